import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  accepted,
  nextEvent,
  type PagerDutyState,
  readState,
  settled,
} from '../../../../src/adapters/pagerduty/plan.ts'
import type { Page } from '../../../../src/core/view.ts'
import { page } from '../sample.ts'

/** Every event it takes until PagerDuty shows `pages`, as `action key (reason)`. */
function walk(pages: Page[], state: PagerDutyState): { events: string[]; state: PagerDutyState } {
  const events: string[] = []
  let current = state
  for (let next = nextEvent(pages, current); next !== null; next = nextEvent(pages, current)) {
    events.push(`${next.action} ${next.page.key || 'main'} (${next.reason})`)
    current = accepted(current, next)
    assert.ok(events.length < 20, 'the plan never comes to an end')
  }
  return { events, state: settled(current, pages) }
}

const sent = (fields: Partial<PagerDutyState['sent'][string]> = {}): PagerDutyState => ({
  sent: { '': { generation: 1, revision: 1, state: 'triggered', ...fields } },
})

const cases: { name: string; pages: Page[]; state: PagerDutyState; events: string[] }[] = [
  { name: 'a new page', pages: [page()], state: { sent: {} }, events: ['trigger main (never sent)'] },
  { name: 'shown already', pages: [page()], state: sent(), events: [] },
  { name: 'new text', pages: [page({ revision: 2 })], state: sent(), events: ['trigger main (new text)'] },
  {
    name: 'a recurrence after a resolve',
    pages: [page({ generation: 2 })],
    state: sent({ state: 'resolved' }),
    events: ['trigger main (new generation)'],
  },
  {
    name: 'wanted open although resolved last',
    pages: [page()],
    state: sent({ state: 'resolved' }),
    events: ['trigger main (reopened)'],
  },
  {
    name: 'acknowledged before it was ever sent',
    pages: [page({ state: 'acknowledged' })],
    state: { sent: {} },
    events: ['trigger main (never sent)', 'acknowledge main (acknowledged here)'],
  },
  {
    name: 'acknowledged',
    pages: [page({ state: 'acknowledged' })],
    state: sent(),
    events: ['acknowledge main (acknowledged here)'],
  },
  {
    name: 'acknowledged, in a generation that was never triggered',
    pages: [page({ generation: 2, state: 'acknowledged' })],
    state: sent({ state: 'acknowledged' }),
    events: ['trigger main (new generation)', 'acknowledge main (acknowledged here)'],
  },
  {
    name: 'acknowledged and new text: the acknowledgement goes first',
    pages: [page({ state: 'acknowledged', revision: 2 })],
    state: sent(),
    events: ['acknowledge main (acknowledged here)', 'trigger main (new text)'],
  },
  {
    name: 'new text while acknowledged',
    pages: [page({ state: 'acknowledged', revision: 2 })],
    state: sent({ state: 'acknowledged' }),
    events: ['trigger main (new text)'],
  },
  {
    name: 'an acknowledgement withdrawn: PagerDuty knows no such event',
    pages: [page()],
    state: sent({ state: 'acknowledged' }),
    events: [],
  },
  {
    name: 'resolved',
    pages: [page({ state: 'resolved', revision: 2 })],
    state: sent({ state: 'acknowledged' }),
    events: ['resolve main (resolved here)'],
  },
  { name: 'resolved before it was sent', pages: [page({ state: 'resolved' })], state: { sent: {} }, events: [] },
  {
    name: 'resolved, and only an older generation is open',
    pages: [page({ state: 'resolved', generation: 2 })],
    state: sent(),
    events: ['resolve main (resolved here)'],
  },
  {
    name: 'resolved while its trigger is in doubt',
    pages: [page({ state: 'resolved' })],
    state: { sent: {}, doubt: true },
    events: ['resolve main (trigger in doubt)'],
  },
  {
    name: 'resolved while the trigger of the second generation is in doubt',
    pages: [page({ state: 'resolved', generation: 2 })],
    state: { ...sent({ state: 'resolved' }), doubt: true },
    events: ['resolve main (trigger in doubt)'],
  },
  {
    name: 'worsenings: all resolve together, whichever of them is in doubt',
    pages: [page({ state: 'resolved' }), page({ key: '1', state: 'resolved' }), page({ key: '2', state: 'resolved' })],
    state: { ...sent({ state: 'acknowledged' }), doubt: true },
    events: ['resolve main (resolved here)', 'resolve 1 (trigger in doubt)', 'resolve 2 (trigger in doubt)'],
  },
  {
    name: 'a worsening while acknowledged',
    pages: [page({ state: 'acknowledged' }), page({ key: '1' })],
    state: sent({ state: 'acknowledged' }),
    events: ['trigger 1 (never sent)'],
  },
]

for (const { name, pages, state, events } of cases) {
  test(`plan: ${name}`, () => {
    const result = walk(pages, state)
    assert.deepEqual(result.events, events)
    assert.equal(result.state.doubt, undefined)
    assert.equal(nextEvent(pages, result.state), null, 'what is shown needs nothing more')
    assert.deepEqual(readState(JSON.parse(JSON.stringify(result.state))), result.state, 'survives being stored')
  })
}

test('plan: state that cannot be read counts as nothing sent', () => {
  for (const state of [null, 'x', 3, [], {}, { sent: { '': { generation: 1 } } }, { sent: null }]) {
    assert.deepEqual(readState(state), { sent: {} })
  }
})

test('plan: a page key may be any text', () => {
  const pages = [page({ key: '__proto__' }), page({ key: 'constructor' })]
  const { events, state } = walk(pages, { sent: {} })
  assert.equal(events.length, 2)
  assert.deepEqual(Object.keys(state.sent), ['__proto__', 'constructor'])
})
