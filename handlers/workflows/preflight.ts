import type { EdgeRegion } from '../../src/core/edge.ts'
import { messageOf } from '../../src/core/errors.ts'
import type { ActionSettings, WorkflowServices } from '../../src/core/workflow.ts'
import { count, percent, sentence } from './parts.ts'

// Whether a region may fail over to another, and what that means (system.md, section 3, "Failover"). The command's preview
// and the operation itself ask the same.

/** What was found out; null where it could not be. */
export type FailoverFacts = {
  from: string
  to: string
  /** what sends the clients, and within how many ms they follow; null when nothing is configured */
  traffic: { kind: string; settlesWithin: number } | null
  regions: EdgeRegion[] | null
  /** `/health` of each */
  health: { from: Check; to: Check }
  /** synthetic load on the target; null when none is configured */
  load: Check
  /** level of the target's bucket: Prometheus, else the edge */
  level: { ratio: number | null; source: 'prometheus' | 'edge' | 'unknown' }
  /** what could not be asked, in words */
  problems: string[]
  /** another operation on one of the regions, such as `o7 (Reset the bucket of A)`; null for none */
  busy: string | null
  /** open incidents that touch the target */
  incidents: number[]
}

export type Check = { passed: boolean; detail: string } | null

export type Refusal = {
  code:
    | 'no_switch'
    | 'same_region'
    | 'unknown_region'
    | 'busy'
    | 'last_region'
    | 'target_unhealthy'
    | 'target_unknown'
    | 'headroom'
    | 'load'
  /** one sentence */
  text: string
  /** role that may override it; null: nobody, it cannot work */
  override: 'commander' | null
}

export type Preflight = {
  refusals: Refusal[]
  warnings: string[]
  blast: {
    /** requests a second that move */
    moves: number | null
    /** requests a second that the target is offered afterwards */
    offered: number | null
    /** tokens a second that the target refills */
    refill: number | null
    /** refill over offered, less one; below `settings.failover.headroom` is refused */
    headroom: number | null
    /** level of the target's bucket, 0..1 */
    bucket: number | null
  }
  /** the same in words, for a preview: one short line each */
  lines: string[]
}

/**
 * Asks the outside everything that `judgeFailover` needs, all at once. Never throws: what does not answer is null, with a
 * problem in words.
 * @param signal ends the asking; give it a time-out
 */
export async function gatherFailover(
  services: WorkflowServices,
  { from, to, busy = null, incidents = [] }: { from: string; to: string; busy?: string | null; incidents?: number[] },
  signal: AbortSignal,
): Promise<FailoverFacts> {
  const problems: string[] = []
  const ask = async <T>(work: Promise<T> | undefined): Promise<T | null> => {
    try {
      return work === undefined ? null : await untilAborted(work, signal)
    } catch (error) {
      problems.push(sentence(messageOf(error)))
      return null
    }
  }
  const { edge, traffic, load } = services
  const health = async (region: string): Promise<Check> => {
    const said = await ask(edge?.health(region, signal))
    return said && { passed: said.serving, detail: said.detail }
  }
  const [regions, healthFrom, healthTo, passed, queried] = await Promise.all([
    ask(edge?.regions(signal)),
    health(from),
    health(to),
    ask(load?.(to, signal)),
    ask(services.query?.(levelQuery(services.settings, to), signal)),
  ])
  const told = regions?.find(({ region }) => region === to)?.bucket?.ratio ?? null
  return {
    from,
    to,
    traffic: traffic && { kind: traffic.kind, settlesWithin: traffic.settlesWithin },
    regions,
    health: { from: healthFrom, to: healthTo },
    load: passed,
    level: {
      ratio: queried ?? told,
      source: queried !== null ? 'prometheus' : told !== null ? 'edge' : 'unknown',
    },
    problems: [...new Set(problems)],
    busy,
    incidents,
  }
}

/** PromQL of a region's bucket level: the lowest of its series. A gauge, so no rate(). */
export function levelQuery(settings: ActionSettings, region: string): string {
  return `min(${settings.bucketMetric}{region=${JSON.stringify(region)}})`
}

/** Decides. Pure. */
export function judgeFailover(facts: FailoverFacts, settings: ActionSettings['failover']): Preflight {
  const { from, to, regions } = facts
  const refusals: Refusal[] = []
  const warnings: string[] = []
  const refuse = (code: Refusal['code'], text: string, override: Refusal['override'] = 'commander') =>
    refusals.push({ code, text, override })

  if (facts.traffic === null) {
    refuse('no_switch', 'Nothing is configured that switches traffic: set edge.url or failover.traffic.', null)
  }
  if (from === to) refuse('same_region', `${from} cannot fail over to itself.`, null)
  const source = regions?.find(({ region }) => region === from)
  const target = regions?.find(({ region }) => region === to)
  if (regions !== null && from !== to) {
    for (const [name, found] of [
      [from, source],
      [to, target],
    ] as const) {
      if (!found) refuse('unknown_region', `The edge has no region ${name}.`, null)
    }
  }
  if (facts.busy !== null) {
    refuse('busy', `${facts.busy} is under way on one of these regions: wait for it, or cancel it.`, null)
  }
  if (target && source) {
    const others = (regions ?? []).filter(({ region }) => region !== from)
    if (others.every(({ healthy }) => healthy === false)) {
      refuse('last_region', `${from} is the last healthy region: there is nowhere to go.`)
    }
  }
  if (target?.healthy === false) refuse('target_unhealthy', `${to} is unhealthy: the edge says so.`)
  else if (facts.health.to?.passed === false) {
    refuse('target_unhealthy', `${to} is unhealthy: /health ${sentence(facts.health.to.detail)}`)
  } else if ((target?.healthy ?? null) === null && facts.health.to === null) {
    refuse('target_unknown', `Nobody can say whether ${to} is healthy.`)
  }
  if (facts.load?.passed === false) refuse('load', `The load test of ${to} failed: ${sentence(facts.load.detail)}`)

  const blast = blastOf(source, target, facts.level.ratio)
  if (blast.headroom !== null && blast.headroom < settings.headroom) {
    refuse(
      'headroom',
      `${to} refills ${rate(blast.refill)} and would be offered ${rate(blast.offered)}: ` +
        `${signed(blast.headroom)} headroom, ${signed(settings.headroom)} are wanted.`,
    )
  }
  if (blast.moves === null) warnings.push(`How much traffic ${from} has is unknown.`)
  if (blast.headroom === null) warnings.push(`Whether ${to} can carry it is unknown: the edge gives no rates.`)
  if (source?.receiving === false) warnings.push(`${from} receives no traffic as it is.`)
  if (facts.level.ratio === null) warnings.push(`The bucket level of ${to} is unknown.`)
  else if (facts.level.ratio <= settings.minBucket) {
    warnings.push(
      `The bucket of ${to} is at ${percent(facts.level.ratio)}: unless it rises above ${percent(settings.minBucket)}, the traffic goes back.`,
    )
  }
  if (facts.incidents.length > 0) {
    const named = facts.incidents.slice(0, 5).map((id) => `#${id}`)
    warnings.push(`${count(facts.incidents.length, 'open incident')} in ${to}: ${named.join(', ')}.`)
  }
  warnings.push(...facts.problems)
  return { refusals, warnings, blast, lines: linesOf(facts, blast) }
}

function blastOf(
  source: EdgeRegion | undefined,
  target: EdgeRegion | undefined,
  bucket: number | null,
): Preflight['blast'] {
  // A region that is down says 0/s: what its clients will bring is not known then.
  const silent = source?.healthy === false && source.requestRate === 0
  const moves = silent ? null : (source?.requestRate ?? null)
  const own = target?.requestRate ?? null
  const refill = target?.refillRate ?? null
  const offered = moves === null || own === null ? null : moves + own
  const headroom = offered === null || refill === null || offered <= 0 ? null : refill / offered - 1
  return { moves, offered, refill, headroom, bucket }
}

function linesOf({ from, to, traffic, load }: FailoverFacts, blast: Preflight['blast']): string[] {
  const lines = [`Moves ${blast.moves === null ? 'all clients' : rate(blast.moves)} from ${from} to ${to}.`]
  if (blast.headroom !== null) {
    lines.push(
      `${to} then gets ${rate(blast.offered)} and refills ${rate(blast.refill)}: ${signed(blast.headroom)} headroom.`,
    )
  }
  if (blast.bucket !== null) lines.push(`Bucket of ${to}: ${percent(blast.bucket)}.`)
  if (load?.passed) lines.push(`The load test of ${to} passed.`)
  if (traffic) lines.push(`Clients follow within ${Math.round(traffic.settlesWithin / 1000)} s (${traffic.kind}).`)
  return lines
}

const rate = (perSecond: number | null): string =>
  perSecond === null ? 'an unknown rate' : `${Math.round(perSecond)}/s`
const signed = (ratio: number): string => `${ratio < 0 ? '−' : '+'}${Math.round(Math.abs(ratio) * 100)} %`

/** `work`, or a rejection as soon as `signal` ends: whoever does not listen to it holds nobody up. */
function untilAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const stop = () => reject(new Error('Not everything outside answered in time'))
    if (signal.aborted) return stop()
    signal.addEventListener('abort', stop, { once: true })
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', stop))
  })
}
