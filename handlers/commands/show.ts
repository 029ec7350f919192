import { z } from 'zod'
import { reply } from '../../src/core/command.ts'
import { ClawError } from '../../src/core/errors.ts'
import type { Incident } from '../../src/core/incident.ts'
import type { Delivery } from '../../src/core/store.ts'
import { defineCommand, numberArg, ROWS } from './define.ts'
import { destinationOf, incidentData, titleOf, viewOf } from './present.ts'
import { count, line, percent, span, timeOf } from './text.ts'

const ALERTS = 10
const STORY = 8

export const show = defineCommand({
  name: 'show',
  aliases: ['incident'],
  usage: 'show ID',
  summary: 'everything of one incident, with the reasons',
  help: 'State, why it has its level, which alerts fire, why each receiver heard of it, what became of each message, silences, and the newest lines of its story.',
  parameters: [{ name: 'id', incident: true }],
  args: z.strictObject({ id: numberArg() }),
  danger: 'none',
  async run(tx, { id }, _facts, { now, policy }) {
    const [incident] = await tx.incidents([id])
    if (!incident) throw new ClawError('not_found', `There is no incident ${id}. incidents lists them.`)
    const [alerts, story, deliveries, silences] = [
      await tx.alertsOf(id, ALERTS),
      await tx.story(id, STORY),
      await tx.deliveriesOf([id]),
      (await tx.activeSilences()).filter((one) => one.incident === id && one.endsAt > now),
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
      data: incidentData(incident, policy),
      incident: id,
    })
  },
})

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
