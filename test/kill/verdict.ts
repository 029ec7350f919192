import type { Incident } from '../../src/core/incident.ts'
import type { Delivery, Store } from '../../src/core/store.ts'
import type { Promised } from './alerts.ts'
import type { World } from './world.ts'

/** What went wrong, one line each; empty when every promise was kept. */
export type Verdict = { violations: string[]; incidents: number; pages: number; messages: number; replies: number }

type Payload = { incident?: string; version?: number; upto?: number; part?: string }

/** Compares what was promised, what is stored and what people see. Needs a router that is stopped and nothing pending. */
export async function judge(store: Store, world: World, promised: Iterable<Promised>): Promise<Verdict> {
  const violations: string[] = []
  const incidents: Incident[] = []
  for (let before: number | null = null; ; ) {
    const page = await store.listIncidents({ states: [], limit: 500, before })
    incidents.push(...page)
    if (page.length < 500) break
    before = page.at(-1)?.id ?? null
  }
  const deliveries = await store.deliveriesOf(incidents.map((incident) => incident.id))
  violations.push(...(await lostAlerts(store, incidents, promised)))
  for (const incident of incidents) {
    const own = deliveries.filter((delivery) => delivery.incidentId === incident.id)
    violations.push(...unfinished(incident, own))
    violations.push(...wrongPages(incident, world))
    violations.push(...wrongSlack(incident, world))
  }
  violations.push(...wrongTelegram(incidents, deliveries, world))
  const slack = world.slack.state.messages
  return {
    violations,
    incidents: incidents.length,
    pages: world.pagerduty.state.pages.length,
    messages: slack.filter((m) => m.threadTs === null).length + world.telegram.state.messages.filter(isTop).length,
    replies:
      slack.filter((m) => m.threadTs !== null).length + world.telegram.state.messages.filter((m) => !isTop(m)).length,
  }
}

const isTop = (message: { replyTo: number | null }): boolean => message.replyTo === null

async function lostAlerts(store: Store, incidents: Incident[], promised: Iterable<Promised>): Promise<string[]> {
  const found = new Map<string, { service: string; state: string }>()
  for (const incident of incidents) {
    for (const row of await store.alertsOf(incident.id, 1000)) {
      found.set(row.fingerprint, { service: row.payload.labels.service ?? '', state: row.state })
    }
  }
  const lost: string[] = []
  for (const { service, fingerprint, status } of promised) {
    const row = found.get(fingerprint)
    if (!row) lost.push(`alert ${fingerprint} of ${service} was answered 200 and is in no incident`)
    else if (row.state !== status) lost.push(`alert ${fingerprint} of ${service} is ${row.state}, promised ${status}`)
  }
  const keys = new Map<string, number>()
  for (const { key } of incidents) keys.set(key, (keys.get(key) ?? 0) + 1)
  for (const [key, count] of keys) if (count > 1) lost.push(`${count} incidents for the key ${key}`)
  return lost
}

function unfinished(incident: Incident, deliveries: Delivery[]): string[] {
  const kinds = deliveries.map((delivery) => delivery.kind).sort()
  const wrong = kinds.join() === 'pagerduty,slack,telegram' ? [] : [`incident ${incident.id} goes to ${kinds.join()}`]
  for (const { id, kind, state, shown, reason } of deliveries) {
    if (state === 'delivered' && shown === incident.version) continue
    wrong.push(
      `incident ${incident.id}: ${kind} delivery ${id} is ${state} at version ${shown} of ${incident.version}: ${reason}`,
    )
  }
  return wrong
}

function wrongPages(incident: Incident, world: World): string[] {
  const wrong: string[] = []
  for (const page of incident.pages) {
    const key = `claw/kill/${incident.id}${page.key === '' ? '' : `/${page.key}`}`
    const paged = world.pagerduty.state.pagesOf(key)
    if (paged > page.generation) wrong.push(`${key} was paged ${paged} times in ${page.generation} generations`)
    const last = world.pagerduty.state.byKey(key)
    const shown = last?.status ?? 'resolved'
    if (shown !== page.state) wrong.push(`${key} is ${shown} in PagerDuty, ${page.state} here`)
  }
  return wrong
}

function wrongSlack(incident: Incident, world: World): string[] {
  const wrong: string[] = []
  const payload = (m: { metadata: { event_payload: object } | null }) => (m.metadata?.event_payload ?? {}) as Payload
  const own = world.slack.state.messages.filter((m) => payload(m).incident === String(incident.id))
  const top = own.filter((m) => m.threadTs === null)
  if (top.length !== 1) wrong.push(`incident ${incident.id} has ${top.length} top-level messages in Slack`)
  for (const message of top) {
    const { version } = payload(message)
    if (version !== incident.version) {
      wrong.push(`incident ${incident.id} shows version ${version} of ${incident.version} in Slack`)
    }
  }
  const replies = own.filter((m) => m.threadTs !== null)
  const told = replies.map((m) => payload(m).upto ?? 0)
  if (told.some((upto, n) => n > 0 && upto <= (told[n - 1] ?? 0))) {
    wrong.push(`incident ${incident.id}: replies in Slack tell the story up to ${told.join(', ')}`)
  }
  wrong.push(
    ...repeated(
      incident,
      'Slack',
      replies.map((m) => m.text),
    ),
  )
  return wrong
}

/** Telegram carries no metadata: a message that no delivery knows was posted twice. */
function wrongTelegram(incidents: Incident[], deliveries: Delivery[], world: World): string[] {
  const wrong: string[] = []
  const known = new Map<string, number>()
  for (const { target, kind, reference, adapterState, incidentId } of deliveries) {
    if (kind !== 'telegram') continue
    const { replies = [] } = (adapterState ?? {}) as { replies?: number[] }
    const main = world.telegram.state.find(Number(target), Number(reference))
    if (!main || !isTop(main)) wrong.push(`incident ${incidentId} has no message of its own in Telegram`)
    for (const id of replies) {
      const reply = world.telegram.state.find(Number(target), id)
      if (reply?.replyTo !== main?.id) wrong.push(`incident ${incidentId}: reply ${id} hangs elsewhere in Telegram`)
    }
    for (const id of [reference, ...replies.map(String)]) {
      if (known.has(`${target} ${id}`)) wrong.push(`Telegram message ${id} in ${target} belongs to two incidents`)
      known.set(`${target} ${id}`, incidentId)
    }
  }
  const threads = new Map<number, string[]>()
  for (const message of world.telegram.state.messages) {
    const incident = known.get(`${message.chat} ${message.id}`)
    const line = message.text.split('\n')[0]
    if (incident === undefined) wrong.push(`Telegram message ${message.id} in ${message.chat} is nobody's: ${line}`)
    else if (!isTop(message)) threads.set(incident, [...(threads.get(incident) ?? []), message.text])
    else {
      const resolved = incidents.find(({ id }) => id === incident)?.state === 'resolved'
      if (/resolved/i.test(message.text.split('\n')[2] ?? '') !== resolved) {
        wrong.push(`incident ${incident} is ${resolved ? '' : 'not '}resolved, Telegram says: ${message.text}`)
      }
    }
  }
  for (const incident of incidents) wrong.push(...repeated(incident, 'Telegram', threads.get(incident.id) ?? []))
  return wrong
}

/** An incident that came back ends again, in the same words: each text may be said once per life of the incident. */
function repeated(incident: Incident, where: string, texts: string[]): string[] {
  const counts = new Map<string, number>()
  for (const text of texts) counts.set(text, (counts.get(text) ?? 0) + 1)
  return [...counts].flatMap(([text, count]) =>
    count > 1 + incident.recurrences ? [`incident ${incident.id} in ${where}: said ${count} times: ${text}`] : [],
  )
}
