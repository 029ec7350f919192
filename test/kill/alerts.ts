import { createHash } from 'node:crypto'
import { Agent, request } from 'node:http'

/** What Claw has promised: it answered 200 to an alert in this state. */
export type Promised = { service: string; fingerprint: string; status: 'firing' | 'resolved' }

type Alert = { status: 'firing' | 'resolved'; labels: Record<string, string>; startsAt: number }

/** Where webhooks go; `up` resolves as soon as one of the addresses serves. */
export type Target = { ports: () => number[]; up: () => Promise<void> }

export type Source = {
  /** by fingerprint: the newest state that was answered 200 */
  promised: Map<string, Promised>
  services: number
  webhooks: number
  retries: number
  /** no new incidents from now on; resolves when every story is told to its end */
  finish(): Promise<void>
}

/** How many stories run side by side. */
const SIDE_BY_SIDE = 4

/**
 * Posts webhooks as Alertmanager does: again and again until a 200 comes back. Each service is one story: it fires, repeats,
 * sometimes spreads or comes back, and mostly ends.
 * @param room whether another story may begin: without a bound they would run ahead of the kills
 * @param lively whether stories may still spread and come back: each of these is a push that waits for its minute
 */
export function tellStories(
  to: Target,
  options: {
    random: () => number
    teams: number
    room: (told: number) => boolean
    lively: () => boolean
    token: string
  },
): Source {
  const { random, teams, room, lively, token } = options
  const agent = new Agent({ keepAlive: true })
  let stopping = false
  const source: Source = {
    promised: new Map(),
    services: 0,
    webhooks: 0,
    retries: 0,
    async finish() {
      stopping = true
      await Promise.all(workers)
      agent.destroy()
    },
  }

  function post(port: number, body: string): Promise<number> {
    return new Promise((resolve) => {
      const req = request({ port, host: '127.0.0.1', path: '/webhooks/alertmanager', method: 'POST', agent }, (res) => {
        res.resume()
        res.once('end', () => resolve(res.statusCode ?? 0))
        res.once('error', () => resolve(0))
        res.once('close', () => resolve(0))
      })
      req.setHeader('Authorization', `Bearer ${token}`)
      req.setHeader('Content-Type', 'application/json')
      // As Alertmanager, which gives up on a hung server after 10 s.
      req.setTimeout(10_000, () => req.destroy())
      req.once('error', () => resolve(0))
      req.end(body)
    })
  }

  async function send(service: string, alerts: Alert[]): Promise<void> {
    const body = webhookOf(alerts)
    source.webhooks++
    for (;;) {
      await to.up()
      const ports = to.ports()
      const status = await post(ports[Math.floor(random() * ports.length)] ?? 0, body)
      if (status === 200) break
      source.retries++
      // A kill is seen by its reset before the process is known to be gone.
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
    for (const alert of alerts) {
      const fingerprint = fingerprintOf(alert.labels)
      source.promised.set(fingerprint, { service, fingerprint, status: alert.status })
    }
  }

  /** Stories would race ahead of the kills: a short pause between webhooks keeps both going. */
  const breathe = () => new Promise((resolve) => setTimeout(resolve, 20 + random() * 150))

  async function story(): Promise<void> {
    const number = ++source.services
    const service = `svc-${number}`
    const base = { service, team: String(number % teams), severity: random() < 0.5 ? 'critical' : 'warning' }
    const named = (alertname: string, region: string): Alert => ({
      status: 'firing',
      labels: { alertname, region, ...base },
      startsAt: Date.now(),
    })
    const all = [named('TokenBucketDepleted', 'A')]
    if (random() < 0.5) all.push(named('CrdtDriftHigh', 'A'))
    await send(service, all)
    await breathe()
    if (random() < 0.5) await send(service, all)
    if (lively() && random() < 0.5) {
      all.push(named('TokenBucketDepleted', 'B'))
      await send(service, all)
      await breathe()
    }
    if (random() < 0.15) return
    const resolved = all.map((alert): Alert => ({ ...alert, status: 'resolved' }))
    await send(service, resolved)
    await breathe()
    if (random() < 0.3) await send(service, resolved)
    if (!lively() || random() < 0.6) return
    const again = all.slice(0, 1).map((alert): Alert => ({ ...alert, startsAt: Date.now() }))
    await send(service, again)
    await breathe()
    await send(
      service,
      again.map((alert): Alert => ({ ...alert, status: 'resolved' })),
    )
  }

  async function work(): Promise<void> {
    while (!stopping) {
      if (room(source.services)) await story()
      await breathe()
    }
  }
  const workers = Array.from({ length: SIDE_BY_SIDE }, work)
  return source
}

function fingerprintOf(labels: Record<string, string>): string {
  return createHash('sha256').update(JSON.stringify(labels)).digest('hex').slice(0, 16)
}

function webhookOf(alerts: Alert[]): string {
  const now = new Date().toISOString()
  return JSON.stringify({
    version: '4',
    receiver: 'claw',
    status: alerts.some((alert) => alert.status === 'firing') ? 'firing' : 'resolved',
    groupKey: '{}:{}',
    groupLabels: {},
    commonLabels: {},
    commonAnnotations: {},
    externalURL: 'http://alertmanager:9093',
    truncatedAlerts: 0,
    alerts: alerts.map(({ status, labels, startsAt }) => ({
      status,
      labels,
      annotations: { summary: `${labels.alertname} of ${labels.service} in ${labels.region}` },
      startsAt: new Date(startsAt).toISOString(),
      endsAt: status === 'resolved' ? now : '0001-01-01T00:00:00Z',
      generatorURL: 'http://prometheus:9090/graph',
      fingerprint: fingerprintOf(labels),
    })),
  })
}
