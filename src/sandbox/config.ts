/**
 * The sandbox's claw.yaml: every secret is the word `sandbox` (contract.md, section 7), every platform a look-alike under
 * Claw's own address.
 */
export function sandboxConfig(at: { url: string; port: number; data: string }): string {
  const { url, port, data } = at
  return `
installation: sandbox
listen: 127.0.0.1:${port}
public_url: ${url}
store: ${JSON.stringify(`sqlite:${data}/claw.db`)}
log: { level: warn }
alertmanager:
  token: sandbox
  heartbeat: { alertname: Watchdog, timeout: 2m }
pagerduty:
  routing_key: sandbox
  api_token: sandbox
  from: claw@example.com
  webhook_secret: sandbox
  events_url: ${url}/sandbox/pagerduty
  api_url: ${url}/sandbox/pagerduty
slack:
  bot_token: sandbox
  signing_secret: sandbox
  api_url: ${url}/sandbox/slack/api/
telegram:
  bot_token: sandbox
  mode: webhook
  webhook_secret: sandbox
  api_root: ${url}/sandbox/telegram
edge: { url: ${url}/sandbox/edge, token: sandbox }
receivers:
  - name: critical
    pagerduty: {}
    slack: { channel: C0CRITICAL }
    telegram: { chat: -1001 }
    fallback: default
  - name: high
    slack: { channel: C0HIGH }
  - name: default
    slack: { channel: C0ALERTS }
route:
  receiver: default
  routes:
    - { matchers: ['level="P1"'], receiver: critical }
    - { matchers: ['level="P2"'], receiver: high }
api: { tokens: { Dana: sandbox } }
people:
  - { name: Dana, roles: [commander], slack: U0DANA, telegram: 4711, pagerduty: PDANA01 }
`
}
