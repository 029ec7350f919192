import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Alert } from '../../../src/core/alert.ts'
import type { Occurrence } from '../../../src/core/incident.ts'
import { receive } from '../../../src/core/occurrence.ts'

const T = 1_000_000
const NOW = T + 5_000
const DOUBT = 60_000

const alert = (status: Alert['status'], startsAt: number, endsAt: number | null = null) =>
  ({ status, startsAt, endsAt }) as Alert
const known = (state: Occurrence['state'], startsAt = T, doubtUntil: number | null = null) =>
  ({ state, startsAt, doubtUntil }) as Occurrence

const table: [string, Alert, Occurrence | undefined, string][] = [
  ['firing, never seen', alert('firing', T), undefined, 'new'],
  ['firing, the same firing', alert('firing', T), known('firing'), 'repeated'],
  [
    'firing with a later start while it fires: its resolve was lost',
    alert('firing', T + 1),
    known('firing'),
    'repeated',
  ],
  ['firing with an earlier start while it fires', alert('firing', T - 1), known('firing'), 'repeated'],
  ['firing, began after the one that ended', alert('firing', T + 1), known('resolved'), 'again'],
  ['firing, began before the one that ended', alert('firing', T - 1), known('resolved'), 'late'],
  ['firing of the very one that ended', alert('firing', T), known('resolved'), 'doubted'],
  ['firing of it once more', alert('firing', T), known('resolved', T, NOW + 1), 'still_doubted'],
  [
    'firing with a later start while the old one is in doubt',
    alert('firing', T + 1),
    known('resolved', T, NOW),
    'again',
  ],
  ['resolved, never seen', alert('resolved', T, T + 1), undefined, 'resolve_unknown'],
  ['resolved, firing', alert('resolved', T, T + 1), known('firing'), 'resolved'],
  ['resolved with a later start: the firing was lost', alert('resolved', T + 1, T + 2), known('firing'), 'resolved'],
  ['resolved, ended before the one that fires began', alert('resolved', T - 9, T - 1), known('firing'), 'resolve_late'],
  ['… at the very moment it began', alert('resolved', T - 9, T), known('firing'), 'resolve_late'],
  [
    'resolved, an earlier start but an end after ours began',
    alert('resolved', T - 9, T + 1),
    known('firing'),
    'resolved',
  ],
  ['resolved, an earlier start and no end: now', alert('resolved', T - 9), known('firing'), 'resolved'],
  ['resolved, resolved', alert('resolved', T, T + 1), known('resolved'), 'resolve_repeated'],
  ['resolved while in doubt', alert('resolved', T, T + 1), known('resolved', T, NOW), 'resolve_repeated'],
]

for (const [name, received, before, decision] of table) {
  test(`${name}: ${decision}`, () => {
    assert.equal(receive(received, before, NOW, DOUBT).decision, decision)
  })
}

test('a doubt lasts as long as configured, from the first doubted reception', () => {
  assert.deepEqual(receive(alert('firing', T), known('resolved'), NOW, DOUBT), {
    decision: 'doubted',
    doubtUntil: NOW + DOUBT,
  })
})
