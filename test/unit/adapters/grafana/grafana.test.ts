import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { createGrafanaDestination } from '../../../../src/adapters/grafana/destination.ts'
import type { Json, StepInput, StepResult } from '../../../../src/core/delivery.ts'
import type { IncidentView, StoryEvent } from '../../../../src/core/view.ts'
import { incidentView, NOW, stepInput } from '../sample.ts'
import { deadAddress } from '../serve.ts'
import { fakeGrafana } from './fake.ts'

const TOKEN = 'glsa_secret-of-grafana'

async function setUp(t: TestContext) {
  const grafana = await fakeGrafana(t)
  const destination = createGrafanaDestination({ url: `${grafana.url}/grafana`, token: TOKEN })
  let state: Json = null
  let inDoubt = false

  async function step(incident: IncidentView, more: Partial<StepInput> = {}): Promise<StepResult> {
    const result = await destination.step(stepInput({ incident, state, inDoubt, ...more }))
    if (result.outcome !== 'retry' && result.outcome !== 'dead') state = result.state
    inDoubt = result.outcome === 'retry' && (inDoubt || result.inDoubt)
    return result
  }
  /** As a lane does, until Grafana shows it all. @returns how many effects that took */
  async function show(incident: IncidentView): Promise<number> {
    for (let effects = 0; effects < 20; effects++) {
      const { outcome } = await step(incident)
      if (outcome === 'done') return effects
      assert.equal(outcome, 'progress')
    }
    return assert.fail('it never ends')
  }
  return { ...grafana, destination, step, show, state: () => state }
}

let seq = 0
function line(kind: string, at: number, text: string): StoryEvent {
  seq += 1
  return { seq, at, kind, actor: null, text, push: false }
}
const started = (at = NOW) => line('operation', at, 'Dana started o9: Reconcile A and B.')
const ended = (at = NOW + 5_000) => line('operation_done', at, 'o9: Reconciled A and B: no key had diverged.')

test('an incident is one region: made at its opening, changed with it, ended with it', async (t) => {
  const { show, annotations, seen, destination } = await setUp(t)
  assert.deepEqual([destination.kind, destination.lane], ['grafana', 'grafana'])
  assert.equal(await show(incidentView({ level: 'P2' })), 1)
  assert.equal(seen[0]?.headers.authorization, `Bearer ${TOKEN}`)
  assert.deepEqual(annotations, [
    {
      id: 1,
      time: NOW - 60_000,
      timeEnd: NOW - 60_000,
      text:
        'P1 · Bucket empty in A and B · 4 % left, falling · rating-api<br>' +
        '<a href="https://claw.example.com/incidents/12">Incident 12</a>',
      tags: ['claw', 'claw-incident-prod-12', 'incident', 'P2', 'open', 'A', 'B'],
    },
  ])
  assert.equal(await show(incidentView({ level: 'P2', version: 9 })), 0, 'nothing that it shows has changed')
  assert.equal(await show(incidentView({ level: 'P1' })), 1)
  assert.ok(annotations[0]?.tags.includes('P1'))
  assert.equal(await show(incidentView({ state: 'resolved', resolvedAt: NOW + 7_000 })), 1)
  assert.deepEqual([annotations.length, annotations[0]?.timeEnd], [1, NOW + 7_000])
  assert.equal(await show(incidentView()), 1, 'it came back')
  assert.equal(await show(incidentView({ state: 'resolved', resolvedAt: NOW + 90_000 })), 1)
  assert.deepEqual([annotations.length, annotations[0]?.timeEnd], [1, NOW + 90_000])
  assert.deepEqual(
    seen.map(({ method, url }) => `${method} ${url}`),
    ['POST /grafana/api/annotations', ...Array(4).fill('PATCH /grafana/api/annotations/1')],
  )
})

test('each operation on the edge is a region of its own, from its start to its end', async (t) => {
  const { show, annotations } = await setUp(t)
  const start = started()
  assert.equal(await show(incidentView({ story: [start, line('operation', NOW, 'o9: just a note')] })), 2)
  assert.deepEqual(annotations[1], {
    id: 2,
    time: NOW,
    timeEnd: NOW,
    text: 'o9: Reconcile A and B.<br><a href="https://claw.example.com/incidents/12">Incident 12</a>',
    tags: ['claw', 'claw-action-prod-o9', 'action', 'running'],
  })
  assert.equal(await show(incidentView({ story: [start, ended()] })), 1)
  assert.equal(await show(incidentView({ story: [ended()] })), 0, 'its start is no longer told')
  assert.equal(annotations.length, 2)
  const { time, timeEnd, tags } = annotations[1] ?? assert.fail()
  assert.deepEqual([time, timeEnd, tags.at(-1)], [NOW, NOW + 5_000, 'done'])
  const failed = line('operation_failed', NOW + 9, 'o10: Reset of A failed: no answer.')
  assert.equal(await show(incidentView({ story: [ended(), failed] })), 1)
  assert.deepEqual([annotations[2]?.time, annotations[2]?.tags.at(-1)], [NOW + 9, 'failed'])
})

test('after a lost answer it is looked for, and made only when it is not there', async (t) => {
  const { step, show, annotations, next, seen } = await setUp(t)
  next.push({ lose: true })
  const lost = await step(incidentView())
  assert.ok(lost.outcome === 'retry' && lost.inDoubt)
  assert.equal(annotations.length, 1, 'it was taken')
  const worse = incidentView({ headline: 'P1 · worse' })
  assert.equal(await show(worse), 2, 'found, then brought up to date')
  assert.deepEqual([annotations.length, annotations[0]?.text.startsWith('P1 · worse')], [1, true])
  assert.equal(seen[1]?.url, '/grafana/api/annotations?tags=claw-incident-prod-12&type=annotation&limit=10')
  next.push({ lose: true })
  const acting = incidentView({ headline: 'P1 · worse', story: [started()] })
  assert.equal((await step(acting)).outcome, 'retry')
  await show(acting)
  assert.equal(annotations.length, 2)
  next.push({ status: 503 })
  const more = incidentView({
    headline: 'P1 · worse',
    story: [started(), line('operation', NOW, 'Max started o11: Reset A.')],
  })
  const doubted = await step(more)
  assert.ok(doubted.outcome === 'retry' && doubted.inDoubt)
  await show(more)
  assert.equal(annotations.length, 3, 'it was not there, so it was made')
})

test('a search that fails decides nothing', async (t) => {
  const { step, annotations, next } = await setUp(t)
  for (const trouble of [{ status: 502 }, { status: 200, body: { what: 'a login page' } }, { lose: true } as const]) {
    next.push(trouble)
    const result = await step(incidentView(), { inDoubt: true })
    assert.ok(result.outcome === 'retry' && result.inDoubt, JSON.stringify(result))
  }
  assert.deepEqual(annotations, [])
})

test('one that somebody deleted is made again', async (t) => {
  const { show, annotations } = await setUp(t)
  await show(incidentView())
  annotations.pop()
  assert.equal(await show(incidentView({ headline: 'P1 · worse' })), 2)
  assert.deepEqual(
    annotations.map(({ id }) => id),
    [2],
  )
})

const TABLE: [status: number, outcome: string, inDoubt: boolean, scope: string][] = [
  [301, 'dead', false, ''],
  [400, 'dead', false, ''],
  [401, 'retry', false, 'lane'],
  [403, 'retry', false, 'lane'],
  [404, 'dead', false, ''],
  [408, 'retry', true, 'target'],
  [422, 'dead', false, ''],
  [429, 'retry', false, 'lane'],
  [500, 'retry', true, 'target'],
  [503, 'retry', true, 'target'],
]
for (const [status, outcome, inDoubt, scope] of TABLE) {
  test(`status ${status}: ${outcome}`, async (t) => {
    const { step, next } = await setUp(t)
    next.push({ status, body: { message: `no, ${TOKEN}` }, headers: { 'retry-after': '7' } })
    const result = await step(incidentView())
    assert.equal(result.outcome, outcome)
    assert.ok(!JSON.stringify(result).includes(TOKEN))
    if (result.outcome !== 'retry') return
    assert.deepEqual([result.inDoubt, result.scope], [inDoubt, scope])
    assert.equal(result.retryAfterMs, [401, 403].includes(status) ? 60_000 : 7_000)
  })
}

test('nobody there: tried again, and certainly not made; no address in the reason', async () => {
  const url = await deadAddress()
  const result = await createGrafanaDestination({ url, token: TOKEN }).step(stepInput())
  assert.ok(result.outcome === 'retry' && !result.inDoubt)
  assert.equal(result.reason, 'Grafana: connection refused')
})

test('a success without an id is looked for next time', async (t) => {
  const { step, next } = await setUp(t)
  next.push({ status: 200, body: { message: 'Annotation added' } })
  const result = await step(incidentView())
  assert.ok(result.outcome === 'retry' && result.inDoubt)
})

test('a hostile author gets no markup into Grafana, and tags stay within what it takes', async (t) => {
  const { show, annotations } = await setUp(t)
  const allRegions = [
    '<b>',
    'a:b',
    'fold\u202e',
    'x'.repeat(101),
    '',
    ...Array.from({ length: 60 }, (_, n) => `region-${n}`),
  ]
  await show(
    incidentView({
      headline: `P1 · <img src=x onerror=alert(1)> & "quoted" 'too'\n\u202edlof\u2066${'y'.repeat(2_000)}`,
      incidentUrl: 'https://claw.example.com/incidents/12?"><script>',
      allRegions,
    }),
  )
  const { text, tags } = annotations[0] ?? assert.fail()
  assert.doesNotMatch(text.replace(/<br><a href="[^"<>]*">Incident 12<\/a>$/, ''), /[<>"']/)
  assert.match(text, /&#60;img src=x/)
  assert.doesNotMatch(text + tags.join(), /[\u202a-\u202e\u2066-\u2069]/)
  assert.ok(text.length < 1_300)
  assert.ok(Buffer.byteLength(JSON.stringify(tags)) <= 500)
  assert.ok(tags.includes('a b') && tags.includes('region-0'))
  assert.ok(tags.every((tag) => Buffer.byteLength(tag) <= 100 && !tag.includes(':')))
})
