import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parse, stringify } from 'yaml'
import { z } from 'zod'
import { fasterRules } from './fast-rules.ts'
import { eventually, freePort, type Program, start } from './process.ts'

/** What the harness starts; Debian's names, and `apt-get install prometheus prometheus-alertmanager` brings both. */
export const PROGRAMS = ['prometheus', 'prometheus-alertmanager'] as const

export type Stack = {
  prometheusUrl: string
  alertmanagerUrls: readonly [string, string]
  /** Value of an instant query that gives exactly one sample. Rejects when it gives none or more. */
  query(expr: string): Promise<number>
  /** Names of the alerts that Prometheus has firing, sorted, the watchdog left out. */
  firing(): Promise<string[]>
  /** the newest output of each program, for the report of a failure */
  output(): string
  stop(): Promise<void>
}

const text = (file: string) => readFileSync(new URL(`../../../deploy/${file}`, import.meta.url), 'utf8')

/** Only what is changed here; all else of the shipped files stays as it is. */
const PrometheusFile = z.looseObject({
  global: z.looseObject({}),
  alerting: z.looseObject({ alertmanagers: z.unknown() }),
  scrape_configs: z.array(z.looseObject({ job_name: z.string() })),
})
const Route = z.looseObject({ group_wait: z.string(), group_interval: z.string() })
const AlertmanagerFile = z.looseObject({
  route: Route.extend({ routes: z.array(Route) }),
  receivers: z.array(
    z.looseObject({
      webhook_configs: z.array(
        z.looseObject({ url: z.string(), http_config: z.looseObject({ authorization: z.looseObject({}) }) }),
      ),
    }),
  ),
})

/** The shipped prometheus.yaml, scraping a sandbox each second. `host` is Claw's `127.0.0.1:<port>`. */
export function prometheusConfig(host: string, alertmanagers: readonly string[]): string {
  const config = PrometheusFile.parse(parse(text('prometheus/prometheus.yaml')))
  Object.assign(config.global, { scrape_interval: '1s', scrape_timeout: '1s', evaluation_interval: '1s' })
  config.alerting.alertmanagers = [{ static_configs: [{ targets: alertmanagers }] }]
  for (const job of config.scrape_configs) {
    // One page has all regions, so its target has no region; the labels are the edge's own.
    if (job.job_name === 'openclaw-edge') job.metrics_path = '/sandbox/edge/metrics'
    job.static_configs = [{ targets: [host] }]
  }
  return stringify(config)
}

/** The shipped alertmanager.yaml, impatient, and with its webhook going to `clawUrl`. */
export function alertmanagerConfig(clawUrl: string, tokenFile: string): string {
  const config = AlertmanagerFile.parse(parse(text('alertmanager/alertmanager.yaml')))
  // Two seconds are below the peer timeout of 15 s: this is where a healthy pair sends stale firings after a resolve.
  for (const route of [config.route, ...config.route.routes]) {
    Object.assign(route, { group_wait: '1s', group_interval: '2s' })
  }
  for (const webhook of config.receivers.flatMap((receiver) => receiver.webhook_configs)) {
    webhook.url = `${clawUrl}/webhooks/alertmanager`
    webhook.http_config.authorization.credentials_file = tokenFile
  }
  return stringify(config)
}

/**
 * Starts a real Prometheus with the shipped rules (their times divided by 15, see fast-rules.ts), scraping
 * `<clawUrl>/sandbox/edge/metrics`, and two real Alertmanagers in one cluster that post to Claw with the bearer token
 * `sandbox`. Loopback only, folders of their own, ready when it resolves.
 */
export async function startStack(clawUrl: string): Promise<Stack> {
  const folder = mkdtempSync(join(tmpdir(), 'claw-real-'))
  const [web, am1, am2, gossip1, gossip2] = await Promise.all([0, 1, 2, 3, 4].map(freePort))
  const local = (port: number | undefined) => `127.0.0.1:${port}`
  const programs: Program[] = []

  async function stop(): Promise<void> {
    // An Alertmanager that leaves its cluster waits for 10 s; nothing of it is needed any more.
    await Promise.all(programs.map((program) => program.stop(1_000)))
    rmSync(folder, { recursive: true, force: true })
  }

  function alertmanager(name: string, port: string, gossip: string, peer: string): void {
    const data = join(folder, name)
    mkdirSync(data)
    programs.push(
      start(name, 'prometheus-alertmanager', [
        `--config.file=${join(folder, 'alertmanager.yaml')}`,
        `--storage.path=${data}`,
        `--web.listen-address=${port}`,
        `--cluster.listen-address=${gossip}`,
        `--cluster.advertise-address=${gossip}`,
        `--cluster.peer=${peer}`,
        // A cluster counts as settled after some ten rounds of gossip, before which nothing is sent.
        '--cluster.gossip-interval=50ms',
        '--cluster.pushpull-interval=5s',
      ]),
    )
  }

  const prometheusUrl = `http://${local(web)}`
  const alertmanagerUrls = [`http://${local(am1)}`, `http://${local(am2)}`] as const
  const output = () => programs.map((program) => `--- ${program.name}\n${program.output()}`).join('\n')

  async function query(expr: string): Promise<number> {
    const response = await fetch(`${prometheusUrl}/api/v1/query?query=${encodeURIComponent(expr)}`)
    const { data } = Answer.parse(await response.json())
    const [sample] = data.result
    if (!sample || data.result.length > 1) throw new Error(`${expr} gave ${data.result.length} samples`)
    return Number(sample.value[1])
  }

  async function firing(): Promise<string[]> {
    const response = await fetch(`${prometheusUrl}/api/v1/alerts`)
    const { data } = Alerts.parse(await response.json())
    return data.alerts
      .filter((alert) => alert.state === 'firing' && alert.labels.alertname !== 'Watchdog')
      .map((alert) => alert.labels.alertname ?? '')
      .sort()
  }

  try {
    const token = join(folder, 'token')
    writeFileSync(token, 'sandbox')
    writeFileSync(join(folder, 'alertmanager.yaml'), alertmanagerConfig(clawUrl, token))
    writeFileSync(join(folder, 'claw.rules.yaml'), fasterRules(text('prometheus/claw.rules.yaml')))
    writeFileSync(join(folder, 'prometheus.yaml'), prometheusConfig(new URL(clawUrl).host, [local(am1), local(am2)]))
    alertmanager('alertmanager-1', local(am1), local(gossip1), local(gossip2))
    alertmanager('alertmanager-2', local(am2), local(gossip2), local(gossip1))
    programs.push(
      start('prometheus', 'prometheus', [
        `--config.file=${join(folder, 'prometheus.yaml')}`,
        `--storage.tsdb.path=${join(folder, 'prometheus')}`,
        `--web.listen-address=${local(web)}`,
        // What was sent before an Alertmanager listened comes again after this; a minute, divided by 15.
        '--rules.alert.resend-delay=4s',
      ]),
    )
    await eventually('Prometheus has scraped the edge', 20, () => query('count(openclaw_token_bucket_available) > 0'))
    for (const url of alertmanagerUrls) {
      await eventually(`${url} has settled with its peer`, 20, async () => {
        const { cluster } = Status.parse(await (await fetch(`${url}/api/v2/status`)).json())
        if (cluster.status !== 'ready' || cluster.peers.length !== 2) throw new Error(JSON.stringify(cluster))
      })
    }
  } catch (error) {
    const said = output()
    await stop()
    throw new Error(`${error instanceof Error ? error.message : error}\n${said}`, { cause: error })
  }
  return { prometheusUrl, alertmanagerUrls, query, firing, output, stop }
}

const Answer = z.object({ data: z.object({ result: z.array(z.object({ value: z.tuple([z.number(), z.string()]) })) }) })
const Alerts = z.object({
  data: z.object({ alerts: z.array(z.object({ state: z.string(), labels: z.record(z.string(), z.string()) })) }),
})
const Status = z.object({ cluster: z.object({ status: z.string(), peers: z.array(z.unknown()) }) })
