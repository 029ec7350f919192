import { EventEmitter } from 'node:events'
import { Router } from 'express'
import { type FaultRule, seeded } from '../../src/sandbox/faults.ts'
import { type Listening, listen } from '../../src/sandbox/listen.ts'
import { createFakePagerDuty, type FakePagerDuty } from '../../src/sandbox/pagerduty.ts'
import { createFakeSlack, type FakeSlack } from '../../src/sandbox/slack.ts'
import { createFakeTelegram, type FakeTelegram } from '../../src/sandbox/telegram.ts'

/** The platforms as the router under test sees them. */
export type World = {
  url: string
  slack: FakeSlack
  telegram: FakeTelegram
  pagerduty: FakePagerDuty
  /** 'effect': something that people can see took place, and its answer has not left yet */
  effects: EventEmitter
  /** makes the platforms fail at random from now on */
  breakThings(): void
  /** ends all faults */
  mend(): void
  close(): Promise<void>
}

const EFFECTS = {
  slack: ['message', 'edit'],
  telegram: ['message', 'edit'],
  pagerduty: ['page', 'incident'],
} as const

/** What real platforms do on a bad day, each request for itself; together about one in four is hit. */
const FAULTS: FaultRule[] = [
  { kind: 'status', status: 503, probability: 0.05 },
  { kind: 'reset', probability: 0.04 },
  { kind: 'reset_after', probability: 0.06 },
  { kind: 'rate_limit', retryAfter: 1, probability: 0.02 },
  { kind: 'html', status: 502, probability: 0.01 },
  { kind: 'slow', delayMs: 150, probability: 0.08 },
]

/** Starts the three look-alikes on one free port. `seed` decides which requests are hit. */
export async function startWorld(seed: number): Promise<World> {
  const slack = createFakeSlack({ clock: Date.now, seed: seed + 1 })
  const telegram = createFakeTelegram({ clock: Date.now, seed: seed + 2 })
  const pagerduty = createFakePagerDuty({ clock: Date.now, seed: seed + 3 })
  const effects = new EventEmitter()
  for (const [fake, names] of [
    [slack, EFFECTS.slack],
    [telegram, EFFECTS.telegram],
    [pagerduty, EFFECTS.pagerduty],
  ] as const) {
    for (const name of names) fake.state.events.on(name, () => effects.emit('effect'))
  }
  const fakes = [slack, telegram, pagerduty]
  const router = Router()
  const random = seeded(seed)
  let breaking = false
  // What a platform took in it also works on, whether or not whoever sent it still lives.
  router.use((_req, _res, next) => {
    if (!breaking || random() >= 0.1) next()
    else setTimeout(next, random() * 400)
  })
  router.use('/slack', slack.router)
  router.use('/telegram', telegram.router)
  router.use('/pagerduty', pagerduty.router)
  const server: Listening = await listen(router)
  return {
    url: server.url,
    slack,
    telegram,
    pagerduty,
    effects,
    breakThings() {
      breaking = true
      for (const { faults } of fakes) for (const rule of FAULTS) faults.set(rule)
    },
    mend() {
      breaking = false
      for (const { faults } of fakes) faults.clear()
    },
    close: () => server.close(),
  }
}
