import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const MAIN = fileURLToPath(new URL('../../../src/main.ts', import.meta.url))
const run = promisify(execFile)

const CONFIG = `
slack: { bot_token: xoxb-test }
receivers: [{ name: default, slack: { channel: ALL } }]
route: { receiver: default }
`
const POLICIES = `
remediation:
  - { name: reset, when: { class: exhaustion, below: 0.10, for: 1m }, action: reset, mode: automatic, budget: { max: 1, per: 1h } }
  - { name: low, when: { class: exhaustion, below: 0.02 }, action: scale, mode: suggest }
  - { name: reconcile, when: { class: divergence, above: 10, for: 1m }, action: reconcile, cool_down: 1h }
  - { name: idle, when: { class: exhaustion }, action: reset, mode: "off" }
`

const alert = (alertname: string, at: string, more: object = {}) => ({
  status: 'firing',
  labels: { alertname, service: 'rating-api', region: 'A', severity: 'critical' },
  annotations: {},
  startsAt: at,
  endsAt: '0001-01-01T00:00:00Z',
  generatorURL: '',
  fingerprint: alertname.padEnd(16, '0').slice(0, 16),
  ...more,
})
const webhook = (at: string, ...alerts: object[]) =>
  JSON.stringify({
    received_at: at,
    body: {
      version: '4',
      groupKey: '{}',
      status: 'firing',
      receiver: 'claw',
      groupLabels: {},
      commonLabels: {},
      commonAnnotations: {},
      externalURL: '',
      truncatedAlerts: 0,
      alerts,
    },
  })

async function replay(t: TestContext, policies: string, ...flags: string[]): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'claw-replay-'))
  t.after(() => rm(folder, { recursive: true }))
  const [config, file] = [join(folder, 'claw.yaml'), join(folder, 'alerts.ndjson')]
  await writeFile(config, CONFIG + policies)
  await writeFile(
    file,
    [
      webhook(
        '2026-05-04T02:15:00Z',
        alert('TokenBucketDepleted', '2026-05-04T02:14:50Z', { annotations: { bucket_ratio: '0.04' } }),
      ),
      webhook('2026-05-04T02:16:00Z', alert('CrdtConflictsHigh', '2026-05-04T02:16:00Z')),
    ].join('\n'),
  )
  const { stdout } = await run(process.execPath, [MAIN, 'replay', '--config', config, ...flags, file])
  return stdout
}

test('replay tells what policies would have done, when and why or why not, from the alerts alone', async (t) => {
  const text = await replay(t, POLICIES)
  const [, told] = text.split('Nothing was sent.\n')
  assert.equal(
    told,
    `What policies would have done. From the alerts alone: no figures of the edge, and what an act would have changed is not known.
incident 1
  2026-05-04T02:15:50Z  policy:reset (automatic): reset in A: bucket level 4 % in A, below 10 % for 1m.
  2026-05-04T02:15:05Z  policy:low (suggest): no scale in A (not_past_threshold): bucket level 4 % in A, not below 2 %.
  2026-05-04T02:17:00Z  policy:reconcile (suggest): reconcile in A: its alert fires in A for 1m.
`,
  )
})

test('the same as JSON; without policies nothing is added to the text', async (t) => {
  const data = JSON.parse(await replay(t, POLICIES, '--json')) as {
    remediation: { basis: string; policies: { policy: string; acted: { at: string }[]; held: { reason: string }[] }[] }
  }
  assert.match(data.remediation.basis, /alerts alone/)
  assert.deepEqual(
    data.remediation.policies.map(({ policy, acted, held }) => [policy, acted.length, held.map((one) => one.reason)]),
    [
      ['reset', 1, ['not_long_enough', 'cool_down', 'budget']],
      ['low', 0, ['not_past_threshold']],
      ['reconcile', 1, ['not_long_enough', 'cool_down']],
    ],
  )
  assert.match(await replay(t, ''), /Nothing was sent\.\n$/)
})
