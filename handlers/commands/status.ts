import { z } from 'zod'
import {
  type Button,
  type RegionStatus,
  type RegionsAnswer,
  type Reply,
  refusal,
  reply,
  type Services,
} from '../../src/core/command.ts'
import { messageOf } from '../../src/core/errors.ts'
import type { Policy } from '../../src/core/policy.ts'
import { suggestion } from '../../src/core/suggest.ts'
import type { WorkflowRun } from '../../src/core/workflow.ts'
import { defineCommand, orNull, ROWS } from './define.ts'
import { MAX_RUNNING } from './edge.ts'
import { operationData, runningText } from './operations.ts'
import { incidentData, ringing, titleOf, unresolved } from './present.ts'
import { bar, count, figure, line, span, timeOf } from './text.ts'

type Vitals = Awaited<ReturnType<Services['vitals']>>

/** Incidents that are named; the rest is counted. */
const NAMED = 5

/** Operations under way that are named. */
const OPERATIONS = 3

const HEAD = ['Region', 'Health', 'Bucket', 'Lag', 'Conflicts', 'Traffic', 'Canary']

export const status = defineCommand({
  name: 'status',
  aliases: ['s'],
  usage: 'status [region]',
  summary: 'what is going on now: incidents, regions, paging',
  help: 'Open incidents first, then what is under way on the edge, then each region: health, what is left in its bucket, sync lag, conflicts a minute, requests a second, canary weight and version. It says how old the figures are and which are unknown. With a region: only what touches it.',
  parameters: [{ name: 'region', optional: true }],
  args: z.strictObject({ region: z.string().max(200).optional() }),
  danger: 'none',
  async prepare(_args, services) {
    const [regions, vitals] = await Promise.all([
      services
        .regions()
        .catch((error): RegionsAnswer => ({ regions: [], at: null, problem: messageOf(error), configured: true })),
      orNull(services.vitals()),
    ])
    return { regions, vitals }
  },
  async run(tx, { region }, { regions, vitals }, { now, policy }): Promise<Reply> {
    const all = await unresolved(tx)
    const touched = region === undefined ? all.incidents : all.incidents.filter((one) => touches(one.regions, region))
    const shown = regions.regions.filter((one) => region === undefined || same(one.region, region))
    if (region !== undefined && shown.length === 0 && touched.length === 0) {
      const known = regions.regions.map((one) => one.region)
      const hint = known.length > 0 ? [`Regions: ${known.map((name) => line(name, 40)).join(', ')}.`] : []
      return refusal(
        'not_found',
        `Nothing is known of region ${line(region, 60)}${suggestion(region, known) || '.'}`,
        hint,
      )
    }
    const running = (await tx.workflows({ states: ['running'], limit: MAX_RUNNING })).filter(
      (run) => region === undefined || run.regions.length === 0 || run.regions.some((one) => same(one, region)),
    )
    const total = region === undefined ? all.total : touched.length
    const [worst] = touched
    const title = worst ? titleOf(worst, policy) : ''
    const lines = touched.slice(0, NAMED).map((one) => {
      const who =
        one.state === 'acknowledged' ? `${line(one.acknowledgedBy ?? 'someone', 60)} is on it` : 'nobody has it'
      const again = one.state === 'acknowledged' && ringing(one) ? ', it got worse since' : ''
      // The only one is named above already.
      const name = total === 1 ? `Incident ${one.id}` : `${one.id} · ${one.level} · ${titleOf(one, policy)}`
      return `${name} · since ${timeOf(one.openedAt, now)} · ${who}${again}`
    })
    if (total > lines.length) lines.push(`And ${total - lines.length} more: incidents lists them.`)
    if (running.length > 0) lines.push(runningLine(running, now))
    const troubles = troublesOf(shown, vitals, policy)
    if (worst || troubles.length > 1) lines.push(...troubles.map((text) => `${text}.`))
    lines.push(...ageLines(regions, now), ...unknownLines(shown.slice(0, ROWS)), vitalsLine(vitals, now))
    const waiting = touched.filter(ringing)
    if (shown.length > ROWS) lines.push(`And ${shown.length - ROWS} more regions: status REGION shows one.`)
    lines.push(nextStep(waiting[0]?.id ?? null, touched[0]?.id ?? null, troubles.length > 0))
    const where = region === undefined ? '' : ` in ${line(region, 40)}`
    const summary = worst
      ? `${count(total, 'incident')} open${where}, worst ${worst.level}: ${title}.`
      : troubles.length > 0
        ? `No incident is open${where}, but ${lowered(troubles[0] ?? '')}.`
        : `All quiet${where}: no incident is open.`
    const buttons: Button[] = waiting
      .slice(0, NAMED)
      .map((one) => ({ label: `Ack ${one.id}`, command: `ack ${one.id}`, style: 'primary' }))
    return reply(summary, {
      lines,
      table: shown.length > 0 ? { head: HEAD, rows: shown.slice(0, ROWS).map(rowOf) } : null,
      buttons,
      data: {
        open: total,
        incidents: touched.slice(0, ROWS).map((one) => incidentData(one, policy)),
        operations: running.slice(0, ROWS).map(operationData),
        regions: shown.map((one) => ({ ...one })),
        regions_at: regions.at === null ? null : new Date(regions.at).toISOString(),
        regions_problem: regions.problem,
        paging_proven_at: vitals?.pagingProvenAt ? new Date(vitals.pagingProvenAt).toISOString() : null,
        dead_letters: vitals?.deadLetters ?? null,
      },
    })
  },
})

/** `Under way: o9 Fail over from A to B (switch, 2 min); operations shows more.` */
function runningLine(running: readonly WorkflowRun[], now: number): string {
  const more = running.length > OPERATIONS ? ` and ${running.length - OPERATIONS} more` : ''
  const named = running.slice(0, OPERATIONS).map((run) => runningText(run, now))
  return `Under way: ${named.join('; ')}${more} (operations shows the steps).`
}

const same = (a: string, b: string): boolean => a.toLowerCase() === b.toLowerCase()

const touches = (regions: Record<string, number>, region: string): boolean =>
  Object.keys(regions).some((one) => same(one, region))

const lowered = (text: string): string => (/^[A-Z][a-z]/.test(text) ? text[0]?.toLowerCase() + text.slice(1) : text)

/** What is wrong besides incidents, the worst first. */
function troublesOf(regions: readonly RegionStatus[], vitals: Vitals | null, policy: Policy): string[] {
  const sick = regions.filter((one) => one.healthy === false).map((one) => line(one.region, 40))
  const troubles: string[] = []
  if (sick.length > 0) {
    const more = sick.length > NAMED ? ` and ${sick.length - NAMED} more` : ''
    const names = sick.slice(0, NAMED).join(', ')
    troubles.push(
      `${sick.length === 1 ? 'Region' : 'Regions'} ${names}${more} ${sick.length === 1 ? 'is' : 'are'} not healthy`,
    )
  }
  if (vitals && vitals.heartbeatAge !== null && vitals.heartbeatAge > policy.heartbeat.timeout) {
    troubles.push(`Alertmanager has not been heard for ${span(vitals.heartbeatAge)}: Claw may be blind`)
  }
  if (vitals && vitals.deadLetters > 0) {
    const verb = vitals.deadLetters === 1 ? 'was' : 'were'
    troubles.push(`${count(vitals.deadLetters, 'message')} ${verb} given up (deliveries lists them)`)
  }
  return troubles
}

function healthOf(one: RegionStatus): string {
  const health = one.healthy === null ? 'unknown' : one.healthy ? 'healthy' : 'NOT HEALTHY'
  return one.receiving === false ? `${health}, standby` : health
}

function rowOf(one: RegionStatus): string[] {
  const canary = one.canaryWeight === null ? '?' : `${figure(one.canaryWeight)} %`
  return [
    line(one.region, 24),
    healthOf(one),
    one.ratio === null ? '?' : bar(one.ratio),
    one.syncLagSeconds === null ? '?' : `${figure(one.syncLagSeconds)} s`,
    one.conflictsPerMinute === null ? '?' : `${figure(one.conflictsPerMinute)}/min`,
    one.requestRate === null ? '?' : `${figure(one.requestRate)}/s`,
    one.version === null ? canary : `${canary} ${line(one.version, 24)}`,
  ]
}

function ageLines(answer: RegionsAnswer, now: number): string[] {
  if (!answer.configured) return ['Nothing is known of the regions: no edge is configured (edge.url).']
  const why = answer.problem === null ? '' : line(answer.problem, 200).replace(/\.$/, '')
  if (answer.at === null) return [`Nothing is known of the regions: ${why || 'the edge has not answered yet'}.`]
  const old = span(now - answer.at)
  return [why === '' ? `Regions as of ${old} ago.` : `Regions are ${old} old: ${why}.`]
}

const FIGURES: readonly [keyof RegionStatus, string][] = [
  ['healthy', 'health'],
  ['ratio', 'bucket'],
  ['syncLagSeconds', 'sync lag'],
  ['conflictsPerMinute', 'conflicts'],
  ['requestRate', 'traffic'],
  ['canaryWeight', 'canary weight'],
]

/** `Unknown: sync lag of A and B; traffic of B.` */
function unknownLines(regions: readonly RegionStatus[]): string[] {
  const parts = FIGURES.flatMap(([field, name]) => {
    const without = regions.filter((one) => one[field] === null).map((one) => line(one.region, 24))
    if (without.length === 0) return []
    return [without.length === regions.length ? name : `${name} of ${without.slice(0, NAMED).join(', ')}`]
  })
  return parts.length > 0 ? [`Unknown (?): ${parts.join('; ')}.`] : []
}

function vitalsLine(vitals: Vitals | null, now: number): string {
  if (!vitals) return 'Paging, heartbeat and dead letters: unknown, the database was too slow.'
  const { pagingProvenAt, heartbeatAge, deadLetters, waiting } = vitals
  const parts = [
    pagingProvenAt === null ? 'Paging not proven yet' : `Paging proven ${span(now - pagingProvenAt)} ago`,
    heartbeatAge === null ? 'no heartbeat heard yet' : `heartbeat ${span(heartbeatAge)} ago`,
    deadLetters === 0 ? 'no dead letters' : count(deadLetters, 'dead letter'),
  ]
  if (waiting > 0) parts.push(`${count(waiting, 'message')} waiting`)
  return `${parts.join(' · ')}.`
}

function nextStep(unowned: number | null, first: number | null, trouble: boolean): string {
  if (unowned !== null) return `Next: ack ${unowned}.`
  if (first !== null) return `Next: show ${first} tells all of it.`
  return trouble ? 'Next: look at what is not well.' : 'Nothing to do.'
}
