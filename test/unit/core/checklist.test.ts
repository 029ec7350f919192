import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  type ChecklistItem,
  PHASES,
  paged,
  setItem,
  tick,
  tickAll,
  wholeChecklist,
} from '../../../src/core/checklist.ts'

type List = readonly ChecklistItem[] | undefined

const event = (kind: string, text = '', actor: string | null = null, at = 5_000) => ({ kind, text, actor, at })
const states = (list: List) => Object.fromEntries(wholeChecklist(list, 1_000).map((item) => [item.phase, item.state]))
const item = (list: List, phase: string) => wholeChecklist(list, 1_000).find((one) => one.phase === phase)

test('a new incident is detected, the rest is open; nothing is stored for it', () => {
  assert.equal(tick(undefined, event('opened', 'Opened as P1.')), undefined)
  const list = wholeChecklist(undefined, 1_000)
  assert.deepEqual(
    list.map(({ phase }) => phase),
    [...PHASES],
  )
  assert.deepEqual(list[0], {
    phase: 'detection',
    state: 'done',
    owner: null,
    by: 'claw',
    at: 1_000,
    note: 'An alert was received.',
  })
  assert.ok(list.slice(1).every(({ state, by, at }) => state === 'open' && by === null && at === null))
})

test('who acknowledges owns what is open; who takes it over owns it from then on', () => {
  let list = tick(undefined, event('acknowledged', 'Acknowledged by Dana.', 'Dana'))
  assert.deepEqual(
    [item(list, 'alerting')?.state, item(list, 'alerting')?.by, item(list, 'validation')?.owner],
    ['done', 'Dana', 'Dana'],
  )
  list = setItem(list, 'switch', { owner: 'Kim' })
  list = tick(list, event('taken', 'Max took it.', 'Max'))
  assert.equal(item(list, 'validation')?.owner, 'Max')
  assert.equal(item(list, 'switch')?.owner, 'Kim', 'given to somebody by hand')
  assert.equal(item(list, 'alerting')?.by, 'Dana', 'who answered the page does not change')
})

test('a page that arrived is told of once', () => {
  const list = paged(undefined, 2_000, 'PagerDuty')
  assert.deepEqual([item(list, 'alerting')?.at, item(list, 'alerting')?.note], [2_000, 'Told PagerDuty.'])
  assert.equal(paged(list, 9_000, 'Slack'), list)
})

test('an outcome that asks for another act validates nothing', () => {
  const text = 'o1: Reconciled A, but 37 keys diverged again: a bad version is the likelier cause. Next: revert it.'
  assert.equal(item(tick(undefined, event('operation_done', text)), 'validation')?.state, 'open')
})

test('a failover is the switch, and its end the validation; another operation ending ticks no switch', () => {
  const started = tick(undefined, event('operation', 'Dana started o9: Fail over from A to B.', 'Dana'))
  assert.deepEqual([item(started, 'switch')?.state, item(started, 'switch')?.owner], ['open', 'Dana'])
  const other = tick(started, event('operation_done', 'o91: Reconciled A and B.'))
  assert.equal(item(other, 'switch')?.state, 'open')
  const done = tick(started, event('operation_done', 'o9: Clients of A are served by B.'))
  assert.deepEqual(
    [item(done, 'switch')?.state, item(done, 'switch')?.by, item(done, 'validation')?.state],
    ['done', 'Dana', 'done'],
  )
})

test('what a policy starts is the automation', () => {
  const list = tickAll(undefined, [
    event('operation', 'policy:conflicts started o3: Reconcile A and B (highest capacity).', 'policy:conflicts'),
    event('step', 'o3: Snapshot snap_1 taken.'),
    event('operation_done', 'o3: All copies agree.'),
  ])
  assert.deepEqual([item(list, 'automation')?.state, item(list, 'automation')?.by], ['done', 'policy:conflicts'])
  assert.equal(item(list, 'switch')?.state, 'open')
})

test('at the end nothing but the post-mortem is open; what was not needed is skipped', () => {
  const list = tick(undefined, event('resolved', 'All alerts are resolved.'))
  assert.deepEqual(states(list), {
    detection: 'done',
    alerting: 'skipped',
    switch: 'skipped',
    validation: 'done',
    automation: 'skipped',
    'post-mortem': 'open',
  })
})

test('the same trouble again opens what Claw had closed, not what people had', () => {
  let list: List = setItem(undefined, 'switch', { state: 'skipped', by: 'Dana', at: 3_000, note: 'B is full.' })
  list = tick(list, event('resolved', 'All alerts are resolved.'))
  list = tick(list, event('recurred', 'fires again'))
  assert.deepEqual([states(list).validation, states(list).automation, states(list).switch], ['open', 'open', 'skipped'])
})

test('lines that tick nothing leave the list as it is, and notes stay short', () => {
  const list = setItem(undefined, 'automation', { note: 'x'.repeat(500) })
  assert.equal(item(list, 'automation')?.note.length, 200)
  for (const kind of ['worsened', 'step', 'note', 'operation']) assert.equal(tick(list, event(kind, 'o1: x')), list)
})
