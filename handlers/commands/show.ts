import { z } from 'zod'
import { wholeChecklist } from '../../src/core/checklist.ts'
import { reply } from '../../src/core/command.ts'
import { ClawError } from '../../src/core/errors.ts'
import type { Incident } from '../../src/core/incident.ts'
import type { Delivery } from '../../src/core/store.ts'
import { runName, type WorkflowRun } from '../../src/core/workflow.ts'
import { checklistText } from './checklist.ts'
import { defineCommand, numberArg, ROWS } from './define.ts'
import { operationData, runningText, stateText } from './operations.ts'
import { destinationOf, incidentData, titleOf, viewOf } from './present.ts'
import { count, line, percent, span, timeOf } from './text.ts'

const ALERTS = 10
const STORY = 8
const OPERATIONS = 5
const EVIDENCE = 5

export const show = defineCommand({
  name: 'show',
  aliases: ['incident'],
  usage: 'show ID',
  summary: 'everything of one incident, with the reasons',
  help: 'State, why it has its level, whether the limiter is right, what was done on the edge, the checklist in short, which alerts fire, why each receiver heard of it, what became of each message, silences, and the newest lines of its story.',
  parameters: [{ name: 'id', incident: true }],
  args: z.strictObject({ id: numberArg() }),
  danger: 'none',
  async run(tx, { id }, _facts, { now, policy }) {
    const [incident] = await tx.incidents([id])
    if (!incident) throw new ClawError('not_found', `There is no incident ${id}. incidents lists them.`)
    const [alerts, story, deliveries, silences, runs] = [
      await tx.alertsOf(id, ALERTS),
      await tx.story(id, STORY),
      await tx.deliveriesOf([id]),
      (await tx.activeSilences()).filter((one) => one.incident === id && one.endsAt > now),
      await tx.workflows({ incident: id, limit: OPERATIONS + 1 }),
    ]
    const view = viewOf(incident, policy, { alerts, story })
    const { counts, bucket } = view
    const lines = [
      stateLine(incident, now),
      `Why ${view.level}: ${line(view.levelReason, 300)}${incident.levelSetBy === null ? '' : ', so no rule changes it'}.`,
      counts.firing === counts.total
        ? `Alerts: ${counts.firing} firing.`
        : `Alerts: ${counts.firing} firing, ${counts.resolved} resolved${counts.suppressed > 0 ? `, ${counts.suppressed} suppressed` : ''}; ${counts.total} in all.`,
    ]
    if (bucket.ratio !== null) {
      lines.push(`Bucket: ${percent(bucket.ratio)} left${bucket.trend ? `, ${bucket.trend}` : ''} (says an alert).`)
    }
    if (view.recurrences > 0) {
      lines.push(`Came back ${count(view.recurrences, 'time')}${view.flapping ? ', flapping' : ''}.`)
    }
    if (view.signalLost) lines.push('Signal lost: the region gives no sign of life.')
    for (const one of silences)
      lines.push(`Silenced until ${timeOf(one.endsAt, now)} by ${line(one.by, 60)} (s${one.id}).`)
    lines.push(...verdictLines(incident, now), ...operationLines(runs, now))
    if (incident.automationStopped) {
      const { at, why } = incident.automationStopped
      lines.push(`Automation ended for it at ${timeOf(at, now)}: ${line(why, 200)}.`)
    }
    const phases = checklistText(incident)
    if (phases !== null) lines.push(phases)
    lines.push(...receiverLines(incident, deliveries, now), 'Story:')
    if (incident.seq > story.length) lines.push(`… ${incident.seq - story.length} lines before`)
    for (const event of story) lines.push(`${timeOf(event.at, now)} ${line(event.text, 200)}`)
    const links = [view.graphUrl && `Graph: ${view.graphUrl}`, view.runbookUrl && `Runbook: ${view.runbookUrl}`]
    lines.push(...links.filter((link) => link !== null), `Next: ${view.nextStep}`)
    const more = counts.total - alerts.length
    const rows = alerts.map((one) => [
      line(one.name, 40),
      line(one.region, 20) || 'none',
      one.level,
      one.state,
      timeOf(one.startsAt, now),
      String(one.timesSeen),
    ])
    if (more > 0) rows.push([`and ${more} more`, '', '', '', '', ''])
    return reply(`Incident ${id} · ${incident.level} · ${incident.state} · ${titleOf(incident, policy)}`, {
      lines,
      table: alerts.length > 0 ? { head: ['Alert', 'Region', 'Level', 'State', 'Since', 'Seen'], rows } : null,
      buttons: view.actions,
      data: {
        ...incidentData(incident, policy),
        verdict: incident.triage ? { ...incident.triage.verdict } : null,
        operations: runs.slice(0, OPERATIONS).map(operationData),
        checklist: wholeChecklist(incident.checklist, incident.openedAt).map(({ phase, state, owner }) => ({
          phase,
          state,
          owner,
        })),
      },
      incident: id,
    })
  },
})

/** Whether the limiter is right, why, and what should be done. */
function verdictLines({ triage }: Incident, now: number): string[] {
  if (!triage) return []
  const { summary, confidence, evidence, act } = triage.verdict
  return [
    `Verdict at ${timeOf(triage.at, now)} (${percent(confidence)} sure): ${line(summary, 200)}`,
    ...evidence.slice(0, EVIDENCE).map((text) => `- ${line(text, 200)}`),
    ...(act === null
      ? []
      : [`Recommended: ${line(act.label, 100)} (/claw ${line(act.command, 100)}). Risk: ${line(act.risk, 200)}`]),
  ]
}

function operationLines(runs: readonly WorkflowRun[], now: number): string[] {
  const lines = runs
    .slice(0, OPERATIONS)
    .map((run) =>
      run.state === 'running'
        ? `Under way: ${runningText(run, now)}, by ${line(run.by, 60)}.`
        : `${runName(run.id)} ${stateText(run)} at ${timeOf(run.endedAt ?? run.startedAt, now)}: ${line(run.outcome ?? run.title, 200)}`,
    )
  return runs.length > OPERATIONS ? [...lines, 'Earlier operations: operations lists them.'] : lines
}

function stateLine(incident: Incident, now: number): string {
  const opened = `Opened ${timeOf(incident.openedAt, now)}`
  if (incident.state === 'resolved' && incident.resolvedAt !== null) {
    const by = incident.resolvedBy === null ? '' : ` by ${line(incident.resolvedBy, 60)}`
    return `${opened}, resolved ${timeOf(incident.resolvedAt, now)}${by} after ${span(incident.resolvedAt - incident.openedAt)}.`
  }
  const running = `${opened}, ${span(now - incident.openedAt)} ago`
  if (incident.acknowledgedAt === null) return `${running}; nobody has acknowledged it.`
  return `${running}; acknowledged by ${line(incident.acknowledgedBy ?? 'someone', 60)} at ${timeOf(incident.acknowledgedAt, now)}.`
}

/** Each receiver with why it hears of it, and beneath it what became of its messages. */
function receiverLines(incident: Incident, deliveries: readonly Delivery[], now: number): string[] {
  if (incident.receivers.length === 0 && deliveries.length === 0) return ['Nobody was told of it.']
  const lines: string[] = []
  for (const { name, why } of incident.receivers) {
    lines.push(`Receiver ${line(name, 60)}: ${line(why, 200)}.`)
    for (const one of deliveries) if (one.receiver === name) lines.push(`- ${deliveryText(one, now)}`)
  }
  for (const one of deliveries) {
    if (!incident.receivers.some(({ name }) => name === one.receiver)) lines.push(`- ${deliveryText(one, now)}`)
  }
  for (const one of incident.muted) lines.push(`Receiver ${line(one.name, 60)} is muted for now.`)
  const hidden = lines.length - ROWS
  return hidden > 0 ? [...lines.slice(0, ROWS), `and ${hidden} more lines on receivers`] : lines
}

function deliveryText(delivery: Delivery, now: number): string {
  const where = destinationOf(delivery)
  const why = delivery.reason === null ? '' : `: ${line(delivery.reason, 120)}`
  if (delivery.state === 'dead') return `${where} given up${why} (deliveries redeliver ${delivery.id})`
  if (delivery.state === 'delivered') return `${where} told ${timeOf(delivery.deliveredAt ?? delivery.createdAt, now)}`
  return `${where} on its way${why}${delivery.attempts > 0 ? `, ${count(delivery.attempts, 'failed try', 'failed tries')}` : ''}`
}
