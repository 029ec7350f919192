import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { seeded } from '../../src/sandbox/faults.ts'
import { openStore } from '../../src/store/store.ts'
import { tellStories } from './alerts.ts'
import { killConfig, type Running, spawnClaw } from './router.ts'
import { judge } from './verdict.ts'
import { startWorld, type World } from './world.ts'

export type Trial = {
  /** how often a process is ended in the middle of its work */
  ends: number
  signal: 'SIGKILL' | 'SIGTERM'
  /** decides every end, fault and story; what the machine's timing adds cannot be repeated */
  seed: number
  /** channels and chats; few of them make lost messages of several incidents meet */
  teams: number
  /** processes side by side on one store */
  replicas: number
  /** the store's URL, given a folder that lasts as long as the trial */
  store: (folder: string) => string
}

/** One reply a minute, the longest back-off, and a chat that takes 15 messages a minute. */
const QUIET_MS = 240_000
/** `shutdown_timeout`, and what starting and reporting an exit takes. */
const DRAINED_MS = 10_500

/**
 * Runs Claw under load with failing platforms, ends it again and again, lets it finish in peace, and asserts that nothing
 * was lost and nothing repeated.
 */
export async function runTrial(t: TestContext, trial: Trial): Promise<void> {
  const { ends, seed, teams, replicas } = trial
  const folder = await mkdtemp(join(tmpdir(), 'claw-kill-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  const world = await startWorld(seed)
  t.after(() => world.close())
  const store = trial.store(folder)
  const slots: Slot[] = []
  for (let n = 0; n < replicas; n++) {
    const port = await freePort()
    const config = join(folder, `claw-${n}.yaml`)
    await writeFile(config, killConfig({ world: world.url, port, store, teams }))
    slots.push(await warm(config, port, join(folder, 'cache')))
  }
  t.after(() => {
    for (const { claw } of slots) claw.signal('SIGKILL')
  })

  let ended = 0
  const random = seeded(seed)
  const source = tellStories(
    {
      ports: () => slots.map(({ port }) => port),
      up: () =>
        Promise.any(slots.map(({ claw }) => claw.ready)).then(
          () => {},
          () => {},
        ),
    },
    {
      random: seeded(seed + 7),
      teams,
      token: 'kill-test',
      room: (told) => told < 6 + ended * 2,
      // Each push but the first waits for its minute, so a short trial does without.
      lively: () => ends > 10 && ended < ends / 3,
    },
  )
  world.breakThings()
  const complaints: string[] = []
  const began = Date.now()
  while (ended < ends) {
    const slot = slots[Math.floor(random() * slots.length)] ?? assert.fail()
    const { claw } = slot
    await reach(nextInstant(random, trial), claw, world, trial)
    const asked = Date.now()
    if (!claw.asked()) claw.signal(trial.signal)
    const code = await claw.ended
    if (trial.signal === 'SIGTERM') {
      assert.equal(code, 0, claw.complaints().join('\n'))
      assert.ok(Date.now() - asked <= DRAINED_MS, `draining took ${Date.now() - asked} ms`)
    }
    complaints.push(...claw.complaints())
    ended++
    slot.claw = spawnClaw(slot.config, slot.cache)
  }
  await Promise.all(slots.map(({ claw }) => claw.ready))
  const took = Date.now() - began
  world.mend()
  await source.finish()
  const [first] = slots as [Slot]
  await quiet(first)
  for (const { claw } of slots) claw.signal('SIGTERM')
  for (const { claw } of slots) assert.equal(await claw.ended, 0)

  const opened = await openStore(store)
  const verdict = await judge(opened, world, source.promised.values()).finally(() => opened.close())
  const { incidents, pages, messages, replies } = verdict
  const hits = world.slack.faults.hits + world.telegram.faults.hits + world.pagerduty.faults.hits
  t.diagnostic(
    `seed ${seed}: ended ${ended} times by ${trial.signal} in ${Math.round(took / 1000)} s; ${source.webhooks} webhooks, sent ${source.retries} ` +
      `times again; ${source.promised.size} alerts in ${incidents} incidents; ${pages} pages, ${messages} messages, ${replies} replies; ${hits} requests failed on purpose`,
  )
  for (const line of complaints.slice(0, 10)) t.diagnostic(line.slice(0, 500))
  assert.deepEqual(verdict.violations, [])
  assert.ok(incidents >= ends / 5, 'too little happened in between')
}

type Slot = { config: string; port: number; cache: string; claw: Running }

/** An orderly first run leaves the compile cache behind, which makes every further start quicker. */
async function warm(config: string, port: number, cache: string): Promise<Slot> {
  const once = spawnClaw(config, cache)
  await once.ready
  once.signal('SIGTERM')
  assert.equal(await once.ended, 0, once.complaints().join('\n'))
  return { config, port, cache, claw: spawnClaw(config, cache) }
}

type Instant = { how: 'at start' | 'at any time' | 'at an effect'; after: number }

function nextInstant(random: () => number, { signal, replicas }: Trial): Instant {
  const dice = random()
  if (dice < 0.1 && signal === 'SIGKILL' && replicas === 1) return { how: 'at start', after: random() * 500 }
  // With replicas always at an effect: that waits until the lease of one that was killed has ended.
  if (dice < 0.5 && replicas === 1) return { how: 'at any time', after: 20 + random() * 1_200 }
  return { how: 'at an effect', after: 1 + Math.floor(random() * 6) }
}

/** Resolves at that instant; at an effect in the midst of the platform's own work: it took place, the answer has not left. */
async function reach({ how, after }: Instant, claw: Running, world: World, { signal, replicas }: Trial): Promise<void> {
  if (how !== 'at start') await claw.ready
  const now = Promise.withResolvers<void>()
  if (how !== 'at an effect') {
    setTimeout(now.resolve, after)
    return now.promise
  }
  let left = after
  const onEffect = () => {
    // At once, not in a later turn: the answer must not get out first.
    if (--left === 0) claw.signal(signal)
    if (left <= 0) now.resolve()
  }
  world.effects.on('effect', onEffect)
  const bored = setTimeout(now.resolve, replicas === 1 ? 2_000 : 20_000)
  await now.promise
  clearTimeout(bored)
  world.effects.off('effect', onEffect)
}

/** Resolves when no delivery waits any more. Deliveries end in another process, so this can only be asked. */
async function quiet({ port, claw }: Slot): Promise<void> {
  const until = Date.now() + QUIET_MS
  for (;;) {
    const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text()
    const pending = [...text.matchAll(/^claw_delivery_pending\{.*\} (\d+)$/gm)]
    if (pending.every(([, count]) => count === '0')) return
    const waiting = pending.map(([line]) => line).join('\n')
    if (Date.now() > until) assert.fail(`still pending:\n${waiting}\n${claw.complaints().slice(-5).join('\n')}`)
    await new Promise((resolve) => setTimeout(resolve, 250))
  }
}

export async function freePort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1')
  await once(probe, 'listening')
  const address = probe.address()
  probe.close()
  await once(probe, 'close')
  assert.ok(typeof address === 'object' && address !== null)
  return address.port
}
