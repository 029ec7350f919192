import { INPUTS } from '../../src/core/acts.ts'
import { SECOND } from '../../src/core/clock.ts'
import type { Json } from '../../src/core/delivery.ts'
import { ClawError, messageOf } from '../../src/core/errors.ts'
import type { Flow, Outcome } from '../../src/core/workflow.ts'
import { defineWorkflow } from './define.ts'
import { follow, isStop, json, percent, sentence, trafficOf } from './parts.ts'
import { gatherFailover, judgeFailover } from './preflight.ts'
import { type Baseline, examine, left, returned, untilSeen } from './traffic.ts'

/** A load test takes up to 30 s. */
const CHECK_TIMEOUT = 40 * SECOND
const CHECK_ATTEMPTS = 3
/** Looks during the soak: so often, but no more than `MAX_LOOKS`. */
const LOOK_EVERY = 5 * SECOND
const MAX_LOOKS = 10

/** What stands in the run for `rollback`, for the post-mortem and for what comes back. */
type Trip = {
  from: string
  to: string
  expected: Json
  before: { from: Baseline; to: Baseline }
  switchedAt: number | null
  /** level of the target's bucket at the last look */
  level: number | null
}

/** The runbook (system.md, section 3): pre-flight, switch, wait until seen, validate, soak; back again when a check fails. */
export const failover = defineWorkflow({
  kind: 'failover',
  input: INPUTS.failover,
  async run(flow, { from, to, override }) {
    const before = await preflight(flow, from, to, override)
    const expected = await flow.step('traffic before', {}, ({ signal }) => trafficOf(flow.services).read(signal))
    const trip: Trip = { from, to, expected, before, switchedAt: null, level: null }
    let operation: string | null
    try {
      operation = await flow.step('switch: start', {}, ({ key, signal }) =>
        trafficOf(flow.services).move({ from, to, expected, key, by: flow.by, incident: flow.incident }, signal),
      )
    } catch (error) {
      if (!mayHaveMoved(error)) throw error
      return await flow.compensate(() => comeBack(flow, trip, error))
    }
    try {
      await follow(flow, 'switch', operation)
      trip.switchedAt = await flow.step(
        'switched',
        { say: () => `Traffic is switched from ${from} to ${to}; waiting until it is seen to have moved.` },
        async ({ now }) => now,
      )
      const seen = await untilSeen(flow, 'moved', {
        region: from,
        what: `The clients of ${from} were not seen to leave`,
        look: (now, switches) => left(before.from, now, switches),
      })
      if (seen) await flow.tell('seen', `The clients of ${from} have moved to ${to}; checking ${to}.`)
      await validate(flow, trip)
    } catch (error) {
      return await flow.compensate(() => comeBack(flow, trip, error))
    }
    return {
      state: 'succeeded',
      summary: `Clients of ${from} are served by ${to}, which does well. To undo it: /claw rollback ${flow.name}`,
      data: json({ ...trip, moved: true, traffic: trafficOf(flow.services).kind }),
    }
  },
})

/** @returns what both regions did before. @throws ClawError('conflict') with the reasons when it is refused */
async function preflight(flow: Flow, from: string, to: string, override: string | null): Promise<Trip['before']> {
  const { line: _said, ...before } = await flow.step(
    'pre-flight',
    { timeout: CHECK_TIMEOUT, attempts: CHECK_ATTEMPTS, say: ({ line }: { line: string }) => line },
    async ({ signal, attempt }) => {
      // Answers that take longer than this count as missing; the step itself must have time to say so.
      const patience = AbortSignal.any([signal, AbortSignal.timeout(CHECK_TIMEOUT - 5 * SECOND)])
      const facts = await gatherFailover(flow.services, { from, to }, patience)
      if (facts.regions === null && flow.services.edge && attempt < CHECK_ATTEMPTS) {
        throw new ClawError('unavailable', facts.problems[0] ?? 'The edge does not answer.')
      }
      const { refusals, warnings, lines } = judgeFailover(facts, flow.services.settings.failover)
      const standing = refusals.filter((refusal) => override === null || refusal.override === null)
      if (standing.length > 0) throw new ClawError('conflict', standing.map(({ text }) => text).join(' '))
      const passed = refusals.map(({ text }) => `Passed over (${override}): ${text}`)
      const baseline = (name: string): Baseline => {
        const found = facts.regions?.find(({ region }) => region === name)
        return { receiving: found?.receiving ?? null, requestRate: found?.requestRate ?? null }
      }
      return {
        from: baseline(from),
        to: baseline(to),
        line: ['Pre-flight passed.', ...lines, ...passed, ...warnings].join(' '),
      }
    },
  )
  return before
}

/** An answer that says no has changed nothing; a lost one may have. Stopped: it never began. */
function mayHaveMoved(error: unknown): boolean {
  return error instanceof ClawError && ['unavailable', 'timeout', 'internal'].includes(error.code)
}

/** All checks now, and again and again over the soak. @throws ClawError('conflict') with what failed */
async function validate(flow: Flow, trip: Trip): Promise<void> {
  const { soak } = flow.services.settings.failover
  const pause = Math.max(LOOK_EVERY, Math.ceil(soak / MAX_LOOKS))
  const began = await check(flow, trip, 'validation', true)
  for (let at = began, round = 1; at < began + soak; round++) {
    await flow.wait(`soak ${round}: wait`, Math.min(pause, began + soak - at))
    at = await check(flow, trip, `soak ${round}`, false)
  }
}

/** @returns when it looked */
async function check(flow: Flow, trip: Trip, name: string, loud: boolean): Promise<number> {
  const { to } = trip
  const found = await flow.step(
    name,
    {
      timeout: CHECK_TIMEOUT,
      attempts: CHECK_ATTEMPTS,
      say: ({ failed, unknown, level }: { failed: string[]; unknown: string[]; level: number | null }) => {
        if (!loud || failed.length > 0) return null
        const rest = unknown.length > 0 ? ` Unknown: ${unknown.join(', ')}.` : ''
        return `${to} passed its checks (bucket ${percent(level)}); watching it.${rest}`
      },
    },
    async ({ signal, now }) => ({ ...(await examine(flow.services, to, signal)), at: now }),
  )
  trip.level = found.level
  if (found.failed.length > 0) {
    const why = found.failed.map((text) => text.replace(/\.$/, '')).join('; ')
    throw new ClawError('conflict', `${loud ? 'The validation failed' : `${to} did not hold`}: ${why}.`)
  }
  return found.at
}

/** Back to the region that was left, unless that does not serve at all. Only inside `compensate`. */
async function comeBack(flow: Flow, trip: Trip, error: unknown): Promise<Outcome> {
  const { from, to, expected } = trip
  const why = sentence(messageOf(error))
  const stays = await notServing(flow, from)
  if (stays !== null) {
    await flow.alarm(
      'traffic stays',
      `Failover from ${from} to ${to} failed: ${why} ${from} does not serve (${stays}), so traffic stays in ${to}. Somebody must decide now.`,
    )
    return await failed(
      flow,
      trip,
      error,
      true,
      `Traffic stays in ${to}, since ${from} does not serve: ${sentence(stays)} ${why}`,
    )
  }
  await flow.tell('coming back', `${why} Taking traffic back to ${from}.`)
  try {
    const operation = await flow.step('back: start', {}, ({ key, signal }) =>
      trafficOf(flow.services).restore({ from, to, expected, key, by: flow.by, incident: flow.incident }, signal),
    )
    await follow(flow, 'back', operation)
    const wanted = trip.before.from.requestRate
    await untilSeen(flow, 'back again', {
      region: from,
      what: `The clients of ${from} were not seen to come back`,
      look: (now, switches) => returned(wanted, now, switches),
    })
  } catch (problem) {
    const text = sentence(messageOf(problem))
    await flow.alarm(
      'way back failed',
      `Failover from ${from} to ${to} failed: ${why} Taking traffic back failed as well: ${text} Look where the clients of ${from} are, now.`,
    )
    return await failed(flow, trip, error, true, `Traffic may still be in ${to}: taking it back failed: ${text} ${why}`)
  }
  return await failed(flow, trip, error, false, `Traffic is back in ${from}. ${why}`)
}

/** Why a region does not serve; null when it does, or nobody can say. */
async function notServing(flow: Flow, region: string): Promise<string | null> {
  if (!flow.services.edge) return null
  const { serving, detail } = await flow.step('does the original serve', {}, async ({ signal, attempt }) => {
    try {
      return await edgeHealth(flow, region, signal)
    } catch (error) {
      if (!(error instanceof ClawError) || attempt < CHECK_ATTEMPTS) throw error
      return { serving: false, detail: error.message }
    }
  })
  return serving ? null : detail
}

async function edgeHealth(
  flow: Flow,
  region: string,
  signal: AbortSignal,
): Promise<{ serving: boolean; detail: string }> {
  return (await flow.services.edge?.health(region, signal)) ?? { serving: true, detail: '' }
}

/** `moved`: traffic is, or may be, still in the target, so that `rollback` may be asked for. */
async function failed(flow: Flow, trip: Trip, error: unknown, moved: boolean, summary: string): Promise<Outcome> {
  const data = json({ ...trip, moved, traffic: trafficOf(flow.services).kind })
  if (isStop(error)) return { state: 'failed', summary, data }
  await flow.tell('post-mortem', `Post-mortem of the failed failover from ${trip.from} to ${trip.to}: due within 48 h.`)
  const postmortem = {
    title: `Failover from ${trip.from} to ${trip.to} failed`,
    startedAt: flow.startedAt,
    by: flow.by,
    why: messageOf(error),
    switchedAt: trip.switchedAt,
    broughtBack: !moved,
    before: trip.before,
    level: trip.level,
  }
  return {
    state: 'failed',
    summary,
    data: json({ ...trip, moved, traffic: trafficOf(flow.services).kind, postmortem }),
  }
}
