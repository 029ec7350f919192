import { readFile } from 'node:fs/promises'
import pino from 'pino'
import { parseAlertmanagerWebhook } from '../../handlers/webhooks/alertmanager.ts'
import { MINUTE, SECOND } from '../core/clock.ts'
import type { DestinationSpec } from '../core/delivery.ts'
import { ClawError, messageOf } from '../core/errors.ts'
import type { Policy } from '../core/policy.ts'
import { createChecks } from '../engine/checks.ts'
import { createLane } from '../engine/delivery.ts'
import { createIngest } from '../engine/ingest.ts'
import { createRemediation } from '../engine/remediation.ts'
import { createSignals } from '../engine/signals.ts'
import { createViews } from '../engine/view.ts'
import type { Flags } from '../main.ts'
import { openStore } from '../store/store.ts'
import { configOf } from './config.ts'
import { createRecorder, type Sent } from './recorder.ts'
import {
  createDiary,
  edgeOfAlerts,
  type Remedied,
  recording,
  remediationData,
  remediationText,
} from './replay-remediation.ts'

/** One recorded webhook and when it was received (ms since the epoch). */
type Recorded = { at: number; body: Buffer }

/** Time that is played on after the last webhook, so that doubts, quiet periods and windows come to their end. */
const TAIL = 30 * MINUTE
/** Longest stretch between two webhooks that is looked at second by second. */
const STRETCH = 15 * MINUTE

/**
 * `claw replay`: runs recorded webhooks through the policy on a clock of their own and prints what would have been sent.
 * Sends nothing, keeps nothing, does nothing on the edge: what remediation policies would have done is told beside. A line of NDJSON is a webhook body, or `{"received_at": …, "body": {…}}`; a bare body is
 * taken as received at the newest time that its alerts mention.
 */
export async function replay(flags: Flags, files: string[]): Promise<number> {
  if (files.length === 0) {
    process.stderr.write('claw replay: name at least one file of recorded webhook bodies (JSON or NDJSON).\n')
    return 2
  }
  const { policy, config } = await configOf(flags.config)
  const recorded = (await Promise.all(files.map(read))).flat().sort((a, b) => a.at - b.at)
  const { incidents, sent, remedied } = await play(recorded, policy, config.installation)
  process.stdout.write(
    flags.json === true
      ? `${JSON.stringify({ ...summary(recorded, incidents, sent), remediation: remediationData(remedied) }, null, 2)}\n`
      : `${story(recorded, incidents, sent)}${remediationText(remedied)}`,
  )
  return 0
}

async function read(file: string): Promise<Recorded[]> {
  let text: string
  try {
    text = await readFile(file, 'utf8')
  } catch (error) {
    throw new ClawError('not_found', `${file} cannot be read: ${messageOf(error)}`)
  }
  const whole = tryJson(text)
  if (whole !== undefined)
    return (Array.isArray(whole) ? whole : [whole]).map((one, i) => recordedOf(one, `${file}[${i}]`))
  return text
    .split('\n')
    .map((line, index) => ({ line: line.trim(), where: `${file}:${index + 1}` }))
    .filter(({ line }) => line !== '')
    .map(({ line, where }) => {
      const one = tryJson(line)
      if (one === undefined) throw new ClawError('invalid', `${where}: not JSON.`)
      return recordedOf(one, where)
    })
}

function tryJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function recordedOf(value: unknown, where: string): Recorded {
  const wrapped = typeof value === 'object' && value !== null && 'body' in value ? value : null
  const body = Buffer.from(JSON.stringify(wrapped ? wrapped.body : value))
  const at = wrapped && 'received_at' in wrapped ? Date.parse(String(wrapped.received_at)) : Number.NaN
  try {
    const { alerts } = parseAlertmanagerWebhook(body)
    const newest = Math.max(0, ...alerts.map((alert) => Math.max(alert.startsAt, alert.endsAt ?? 0)))
    return { at: Number.isNaN(at) ? newest : at, body }
  } catch (error) {
    throw new ClawError('invalid', `${where}: ${messageOf(error)}`)
  }
}

async function play(
  recorded: readonly Recorded[],
  given: Policy,
  installation: string,
): Promise<{ incidents: number; sent: Sent[]; remedied: Remedied[] }> {
  const policy = recording(given)
  let now = recorded[0]?.at ?? 0
  const clock = () => now
  const log = pino({ level: 'silent' })
  const store = await openStore('sqlite::memory:')
  const signals = createSignals([], clock)
  const views = createViews({ store, policy: () => policy, signals, publicUrl: () => null })
  const sent: Sent[] = []
  const specs = new Map<string, DestinationSpec>()
  for (const receiver of policy.receivers.values()) for (const spec of receiver.destinations) specs.set(spec.lane, spec)
  const lanes = [...specs.values()].map((spec) =>
    createLane(
      createRecorder(spec, (one) => sent.push(one)),
      {
        store,
        loadView: (id) => views.load(id),
        clock,
        owner: 'replay',
        installation,
        log,
        giveUpAfter: Number.POSITIVE_INFINITY,
      },
    ),
  )
  const ingest = createIngest({ store, policy: () => policy, clock, believes: () => false, onStored: () => {} })
  const diary = createDiary(given)
  const remediation = createRemediation({
    store,
    policy: () => policy,
    services: () => edgeOfAlerts(store, policy),
    clock,
    log,
    onStored: () => {},
    wakeWorkflows: () => {},
    onAction: () => {},
    alertsAlone: true,
    onDecision: diary.note,
  })
  const checks = createChecks({
    store,
    policy: () => policy,
    signals,
    lookup: () => null,
    ingest,
    clock,
    log,
    retention: () => Number.POSITIVE_INFINITY,
    onStored: () => {},
    startedAt: now,
    everyRound: () => (policy.remediation.length > 0 ? remediation.tick() : Promise.resolve()),
  })
  async function round(): Promise<void> {
    await checks.tick()
    for (const lane of lanes) while ((await lane.tick()) > 0);
  }
  /** Time passes in seconds while anything may happen, then in one leap. */
  async function passUntil(at: number): Promise<void> {
    const stretch = Math.min(at, now + STRETCH)
    for (; now + SECOND < stretch; now += 5 * SECOND) await round()
    now = Math.max(now, at)
    await round()
  }
  for (const { at, body } of recorded) {
    await passUntil(at)
    await ingest.accept(parseAlertmanagerWebhook(body))
    for (const lane of lanes) while ((await lane.tick()) > 0);
  }
  await passUntil(now + TAIL)
  for (const lane of lanes) await lane.stop()
  const incidents = (await store.countIncidents()).reduce((sum, { count }) => sum + count, 0)
  await store.close()
  return { incidents, sent, remedied: diary.all() }
}

function summary(recorded: readonly Recorded[], incidents: number, sent: readonly Sent[]) {
  const pages = sent.filter((one) => one.what === 'page').length
  const messages = sent.filter((one) => one.what === 'message').length
  const edits = sent.filter((one) => one.what === 'edit').length
  return { webhooks: recorded.length, incidents, pages, messages, edits, sent }
}

function story(recorded: readonly Recorded[], incidents: number, sent: readonly Sent[]): string {
  const { webhooks, pages, messages, edits } = summary(recorded, incidents, sent)
  const lines = sent
    .filter((one) => one.what !== 'edit')
    .map(
      (one) =>
        `${new Date(one.at).toISOString().slice(0, 19)}Z  ${one.what.padEnd(11)} ${one.destination.padEnd(24)} ${one.text}`,
    )
  return `${lines.join('\n')}${lines.length > 0 ? '\n\n' : ''}${counted(webhooks, 'webhook')} would have become ${counted(incidents, 'incident')}: ${counted(pages, 'page')}, ${counted(messages, 'message')}, ${counted(edits, 'silent edit')}. Nothing was sent.\n`
}

function counted(n: number, noun: string): string {
  return `${n} ${noun}${n === 1 ? '' : 's'}`
}
