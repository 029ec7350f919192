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
# One scenario after another: each is an incident of its own soon.
incidents: { correlation_window: 30s, reopen_within: 1m }
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
  - name: leads
    slack: { channel: C0LEADS }
    telegram: { chat: -1001 }
route:
  receiver: default
  routes:
    - { matchers: ['level="P1"'], receiver: critical }
    - { matchers: ['level="P2"'], receiver: high }
api: { tokens: { Dana: sandbox } }
people:
  - { name: Dana, roles: [commander], slack: U0DANA, telegram: 4711, pagerduty: PDANA01 }
  - { name: Robin, roles: [commander], slack: U0ROBIN, telegram: 4712, pagerduty: PROBIN1 }
approvals: { failover: 1 }
failover:
  propagation_wait: 15s
  soak: 8s
  synthetic_load: { url: ${url}/sandbox/edge/load }
actions:
  reconcile: { settle: 5s }
  revert: { capacity_factor: 1.5, capacity_for: 1m, watch: 10s }
  scale: { replicas: 6, lasts: 1m }
automation: { leads: leads }
# Ten times faster than in production, like the alerts, and with room to play every scenario again and again;
# /claw automation off leaves all of it to you.
remediation:
  - name: reconcile conflicts
    when: { class: divergence, above: 10, for: 2s }
    action: reconcile
    mode: automatic
    budget: { max: 30, per: 10m }
    cool_down: 20s
    verify: { after: 12s }
  - name: revert a version that diverges again
    when: { class: divergence, above: 10, for: 2s, after: reconcile }
    action: revert
    mode: automatic
    budget: { max: 30, per: 10m }
    cool_down: 1m
    verify: { after: 12s }
  - name: scale out an empty region
    when: { class: exhaustion, below: 0.1, for: 6s }
    action: scale
    mode: automatic
    budget: { max: 30, per: 10m }
    cool_down: 1m
    verify: { after: 12s }
  - name: refill once it is scaled out
    when: { class: exhaustion, below: 0.1, for: 6s, after: scale }
    action: reset
    mode: automatic
    budget: { max: 30, per: 10m }
    cool_down: 30s
    verify: { after: 12s }
  - name: abort a bad canary
    when: { class: canary, below: 0.7 }
    action: canary abort
    mode: automatic
    budget: { max: 30, per: 10m }
    cool_down: 1m
    verify: { after: 12s }
    hold_page: 1m
`
}
