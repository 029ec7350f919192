import { createHash } from 'node:crypto'
import type { TestContext } from 'node:test'
import type { Page } from 'playwright-core'
import { start } from '../../src/sandbox/real/process.ts'
import { shows } from './browser.ts'

const MAIN = new URL('../../src/main.ts', import.meta.url).pathname

/** A sandbox of its own, as `npm run sandbox` starts it; it ends with the test, and what it said is shown if that fails. */
export async function startSandbox(t: Pick<TestContext, 'after'>): Promise<{ url: string }> {
  const claw = start('claw', process.execPath, [MAIN, 'sandbox', '--port', '0'])
  t.after(() => claw.stop())
  const [url] = await claw.says(/http:\/\/127\.0\.0\.1:\d+/, 20_000)
  return { url }
}

export type Alert = { labels: Record<string, string>; annotations?: Record<string, string>; resolved?: boolean }

/** Posts what an Alertmanager would post. */
export async function postAlerts(url: string, token: string, alerts: readonly Alert[]): Promise<number> {
  const now = Date.now()
  const startsAt = new Date(now - 60_000).toISOString()
  const response = await fetch(`${url}/webhooks/alertmanager`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${token}` },
    body: JSON.stringify({
      version: '4',
      groupKey: '{}:{}',
      truncatedAlerts: 0,
      status: alerts.every(({ resolved }) => resolved) ? 'resolved' : 'firing',
      receiver: 'claw',
      groupLabels: {},
      commonLabels: {},
      commonAnnotations: {},
      externalURL: 'http://alertmanager.test:9093',
      alerts: alerts.map(({ labels, annotations, resolved }) => ({
        status: resolved ? 'resolved' : 'firing',
        labels,
        annotations: annotations ?? {},
        startsAt,
        endsAt: resolved ? new Date(now).toISOString() : '0001-01-01T00:00:00Z',
        generatorURL: 'http://prometheus.test:9090/graph?g0.expr=up',
        fingerprint: createHash('sha256').update(JSON.stringify(labels)).digest('hex').slice(0, 16),
      })),
    }),
  })
  return response.status
}

/** The parts of the sandbox's page, as people name them. */
export function partsOf(page: Page) {
  const pane = (name: RegExp) => page.getByRole('region', { name })
  const slack = pane(/^Slack/)
  const telegram = pane(/^Telegram/)
  return {
    slack,
    telegram,
    phone: pane(/^The phone/),
    edge: pane(/^The edge/),
    /** Claw's own messages in the open channel, oldest first, without their threads */
    slackMessages: slack.locator('#messages > article.own:not(.note)'),
    telegramMessages: telegram.locator('#chat > article'),
    scenario: (name: string) => page.locator('#scenarios').getByRole('button', { name: new RegExp(`^${name}`) }),
    be: (name: string) => page.getByRole('radio', { name: new RegExp(name) }).check(),
    async type(text: string) {
      const box = slack.getByRole('textbox', { name: 'Message in Slack' })
      await box.fill(text)
      await box.press('Enter')
    },
    /** the page is up: the first look at the world has been drawn */
    ready: () => shows(page.locator('#scenarios button')),
  }
}
