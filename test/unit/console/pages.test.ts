import assert from 'node:assert/strict'
import { test } from 'node:test'
import { whyNot } from '../../../src/console/incident.ts'
import type { EdgeRegion } from '../../../src/core/edge.ts'
import { policyOf } from '../../support/policy.ts'
import { night, pageOf, words } from './reader.ts'
import { START, startRig } from './rig.ts'

function region(name: string, more: Partial<EdgeRegion> = {}): EdgeRegion {
  return {
    region: name,
    healthy: true,
    receiving: true,
    bucket: { capacity: 100, available: 52, ratio: 0.52 },
    syncLagSeconds: 0.04,
    conflictsPerMinute: 0,
    p95LatencySeconds: 0.02,
    errorRatio: 0,
    canaryWeight: 10,
    version: 'v1.4.2',
    requestRate: 240,
    refusedRatio: 0,
    refillRate: 500,
    ratingScore: null,
    jitterSeconds: 0.01,
    replicas: 3,
    nodes: null,
    ...more,
  }
}

test('the first page shows each region, what is unknown, how old it is, and what changed', async (t) => {
  const sick = region('B', {
    healthy: false,
    bucket: { capacity: 100, available: 4, ratio: 0.04 },
    syncLagSeconds: 3.1,
  })
  const history = [
    { at: START - 65_000, regions: [region('A'), region('B')] },
    { at: START - 5_000, regions: [sick, region('A', { requestRate: null, version: '<b>1' })] },
  ]
  const changes = [{ at: START - 60_000, region: 'A', what: 'version' as const, from: '1.8', to: '1.9' }]
  const rig = await startRig(t, { watch: { history: () => history, changes: () => changes } })
  const cookie = await rig.signIn()
  const html = await pageOf(await rig.browse('/', cookie))
  const text = words(html)
  assert.match(
    text,
    /Regions 5 s ago A Healthy 52 % filled .*Traffic unknown .*Version <b>1 B Not healthy 4 % nearly empty/,
  )
  assert.match(text, /Sync lag 3\.1 s high/)
  assert.match(text, /What changed 02:14 UTC A: version 1\.8 → 1\.9/)
  assert.match(html, /<polyline points="0\.0,13\.5 120\.0,13\.5"\/>/)
  rig.time.now += 60_000
  assert.match(words(await pageOf(await rig.browse('/', cookie))), /Old figures: the edge was last heard 65 s ago/)
})

test('without an edge the first page says how to connect one', async (t) => {
  const rig = await startRig(t)
  assert.match(words(await pageOf(await rig.browse('/', await rig.signIn()))), /No edge is connected\. Set edge\.url/)
})

test('an incident says who does not hear of it and why, and shows checklist and operations', async (t) => {
  const { rig, cookie } = await night(t)
  await rig.store.write(async (tx) => {
    const step = { attempts: 1, startedAt: START, endedAt: START + 1200, result: null, error: null }
    await tx.insertWorkflow({
      id: await tx.nextWorkflowId(),
      kind: 'reconcile',
      input: null,
      title: 'Reconcile A and B',
      regions: ['A', 'B'],
      incident: 2,
      by: 'policy:heal',
      via: 'claw',
      replyTo: null,
      state: 'running',
      steps: [
        { ...step, name: 'snapshot', state: 'done' },
        { ...step, name: 'settle', state: 'running', endedAt: null },
      ],
      dueAt: START,
      cancelledBy: null,
      startedAt: START,
      endedAt: null,
      outcome: null,
      data: null,
    })
  })
  const html = await pageOf(await rig.browse('/incidents/2', cookie))
  const text = words(html)
  assert.match(text, /o1 Reconcile A and B Under way by policy heal .*1 step done, now: settle .*snapshot Done, 1\.2 s/)
  assert.match(html, /name="command" value="cancel o1"/)
  assert.match(text, /Checklist ✓ Detection done/)
  assert.match(text, /Who does not, and why default route\.routes\[0\] took it before route/)
  assert.match(words(await pageOf(await rig.browse('/', cookie))), /Under way o1 Reconcile A and B .*incident 2/)
})

test('why a receiver did not get it: what its nearest route wants, or who took it before', () => {
  const { route } = policyOf(`
receivers: [{ name: a }, { name: b }, { name: c }, { name: d }]
route:
  receiver: a
  routes:
    - { matchers: ['level="P1"'], receiver: b }
    - { matchers: ['region="A"', 'team="edge"'], receiver: c }
`)
  const labels = { level: 'P2', region: 'A' }
  assert.equal(whyNot(route, 'b', labels, new Set(['route'])), 'route.routes[0] wants level="P1"; here level is "P2"')
  assert.equal(
    whyNot(route, 'c', labels, new Set(['route'])),
    'route.routes[1] wants team="edge"; here team is missing',
  )
  assert.equal(whyNot(route, 'd', labels, new Set(['route'])), 'no route leads there')
  assert.equal(whyNot(route, 'a', labels, new Set(['route.routes[0]'])), 'route.routes[0] took it before route')
})

test('deliveries: what did not arrive and why, each state by itself, page by page', async (t) => {
  const { rig, cookie } = await night(t)
  const text = words(await pageOf(await rig.browse('/deliveries', cookie)))
  assert.match(text, /Dead letters 1 .*Incident 2 Telegram -1001 for critical Dead letter: chat not found/)
  assert.match(text, /Waiting 1 .*Slack C0CRITICAL.*next try in 17 s: Slack answered 429/)
  assert.match(text, /Pending 1 .*PagerDuty default/)
  const dead = words(await pageOf(await rig.browse('/deliveries?state=dead', cookie)))
  assert.doesNotMatch(dead, /C0CRITICAL/)
  assert.match(
    words(await pageOf(await rig.browse('/deliveries?state=delivered', cookie))),
    /C0ALERTS for default Delivered 02:15 UTC/,
  )
  assert.match(
    words(await pageOf(await rig.browse('/deliveries?state=dead&before=1', cookie))),
    /Dead letters 1 .*None/,
  )
  await pageOf(await rig.browse('/deliveries?before=x', cookie), 400)
})

test('audit: newest first, page by page, by incident; a broken chain is said aloud', async (t) => {
  const { rig, cookie } = await night(t)
  for (let n = 1; n <= 60; n++) await rig.press(cookie, { command: `note 2 remark ${n}.` })
  const html = await pageOf(await rig.browse('/audit', cookie))
  const text = words(html)
  assert.match(text, /The chain holds The newest 50 of 60 rows .*remark 60\. .*remark 11\./)
  assert.doesNotMatch(text, /remark 10\./)
  assert.match(html, /href="\/audit\?before=10">Older/)
  const older = words(await pageOf(await rig.browse('/audit?before=10', cookie)))
  assert.match(older, /remark 10\..*remark 1\./)
  assert.doesNotMatch(older, /remark 11\./)
  assert.match(words(await pageOf(await rig.browse('/audit?check=all', cookie))), /All 60 rows follow each other/)
  const one = words(await pageOf(await rig.browse('/audit?incident=2', cookie)))
  assert.match(one, /Audit trail of incident 2 .*remark 60\..*remark 1\./)
  assert.doesNotMatch(words(await pageOf(await rig.browse('/audit?incident=1', cookie))), /remark/)
  const { auditRows } = rig.store
  rig.store.auditRows = async (after, limit) =>
    (await auditRows(after, limit)).map((row) => (row.id === '30' ? { ...row, actor: 'Nobody' } : row))
  assert.match(
    words(await pageOf(await rig.browse('/audit', cookie))),
    /The chain is broken Row 30 was changed after it was written/,
  )
})

test('silences are listed with their maintenance windows, and end by a form', async (t) => {
  const { rig, cookie } = await night(t)
  assert.match(words(await pageOf(await rig.browse('/silences', cookie))), /Nothing is silenced/)
  await rig.press(cookie, { command: 'silence 2 1h deploying' })
  await rig.press(cookie, { command: 'approve a1' })
  const html = await pageOf(await rig.browse('/silences', cookie))
  const text = words(html)
  assert.match(text, /s1 Incident 2 .*03:15 UTC 60 min left Dana: deploying/)
  assert.match(text, /upgrade the yearly one service="staging" within nights in force/)
  assert.match(html, /name="command" value="unsilence s1"/)
  await rig.press(cookie, { command: 'unsilence s1', back: '/silences' })
  rig.time.now += 5 * 3_600_000
  const after = words(await pageOf(await rig.browse('/silences', cookie)))
  assert.match(after, /Nothing is silenced.*within nights not now/)
})

test('the configuration in force: no secret, the tree, and where an alert would go', async (t) => {
  const rig = await startRig(t)
  const cookie = await rig.signIn()
  const html = await pageOf(await rig.browse('/config', cookie))
  const text = words(html)
  assert.match(
    text,
    /everything → default slack C0ALERTS level="P1" → critical pagerduty default, slack C0CRITICAL and telegram -1001/,
  )
  assert.match(text, /bot_token: "\[secret\]"/)
  for (const secret of ['xoxb-1', '0123456789abcdef']) assert.ok(!html.includes(secret))
  const asked = async (labels: string) =>
    words(await pageOf(await rig.browse(`/config?labels=${encodeURIComponent(labels)}`, cookie)))
  assert.match(
    await asked('severity=critical\r\nregion="A, B"'),
    /P1: severity="critical" makes it P1 .*critical : pagerduty default.*because route\.routes\[0\]: level="P1"/,
  )
  assert.match(
    await asked('severity=warning, service="staging"'),
    /Nobody hears of it now: maintenance window upgrade\. default/,
  )
  assert.match(await asked('severity=~"x"'), /An alert has plain labels: write severity="…"/)
  assert.match(await asked('=="'), /These labels cannot be read\. Column 3: the quote that opens here is never closed/)
})
