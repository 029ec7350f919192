import type { Router } from 'express'
import { type AuditRow, auditProblem, GENESIS } from '../core/audit.ts'
import { ClawError } from '../core/errors.ts'
import { matchersText } from '../core/matchers.ts'
import type { MaintenanceWindow, Policy } from '../core/policy.ts'
import type { Store } from '../core/store.ts'
import { contains } from '../core/timeinterval.ts'
import { queryOf, type Shell } from './page.ts'
import { deliveryRow, moment } from './present.ts'

const SHOWN_DELIVERIES = 50
const SHOWN_AUDIT = 50
/** Rows of one incident that are shown at once. */
const SHOWN_OF_TARGET = 200
/** Rows read at once when the whole chain is checked, and how many at most. */
const CHECKED_AT_ONCE = 2000
const MAX_CHECKED = 200_000

const STATES = ['dead', 'waiting', 'pending', 'delivered'] as const

/** `/deliveries`: what did not arrive yet, why, and sending it again. */
export function deliveryPages(router: Router, shell: Shell): void {
  const { store } = shell
  router.get('/deliveries', async (req, res) => {
    const query = queryOf(req)
    const asked = STATES.find((state) => state === query.get('state'))
    const before = numberOf(query.get('before'))
    const now = shell.clock()
    const counts = await store.countDeliveries()
    const sum = (state: string) => counts.reduce((n, one) => (one.state === state ? n + one.count : n), 0)
    const sections = await Promise.all(
      (asked ? [asked] : STATES.slice(0, 3)).map(async (state) => {
        const found = await store.listDeliveries({ state, limit: SHOWN_DELIVERIES + 1, before: asked ? before : null })
        const rows = found.slice(0, SHOWN_DELIVERIES).map((one) => deliveryRow(one, now))
        return { state, total: sum(state), rows, next: found.length > rows.length ? (rows.at(-1)?.id ?? null) : null }
      }),
    )
    await shell.show(req, res, 'deliveries', {
      live: before === null,
      sections,
      asked: asked ?? null,
      quiet: sum('dead') + sum('waiting') + sum('pending') === 0,
      lanes: lanesOf(counts),
    })
  })
}

function lanesOf(counts: readonly { lane: string; state: string; count: number }[]) {
  const lanes = Map.groupBy(counts, ({ lane }) => lane)
  return [...lanes].map(([lane, rows]) => {
    const of = (state: string) => rows.find((row) => row.state === state)?.count ?? 0
    return { lane, dead: of('dead'), waiting: of('waiting'), pending: of('pending') }
  })
}

/** `/audit`: who did what, newest first, and whether the chain holds. */
export function auditPages(router: Router, shell: Shell): void {
  const { store } = shell
  router.get('/audit', async (req, res) => {
    const query = queryOf(req)
    const head = await store.auditHead()
    const incident = numberOf(query.get('incident'))
    const last = Math.min(numberOf(query.get('before')) ?? head.count, head.count)
    const first = Math.max(0, last - SHOWN_AUDIT)
    const rows =
      incident === null
        ? (await store.auditRows(first, last - first)).reverse()
        : await store.newestAudit(`incident ${incident}`, SHOWN_OF_TARGET)
    await shell.show(req, res, 'audit', {
      live: incident === null && last === head.count && query.get('check') === null,
      rows: rows.map((row) => ({ ...row, moment: moment(Date.parse(row.at)) })),
      count: head.count,
      incident,
      older: incident === null && first > 0 ? first : null,
      newer: incident === null && last < head.count ? Math.min(head.count, last + SHOWN_AUDIT) : null,
      chain: await chainState(store, query.get('check') === 'all'),
    })
  })
}

/** Whether the newest rows follow each other up to the remembered end; with `all`, the whole trail. */
async function chainState(store: Store, all: boolean) {
  const head = await store.auditHead()
  let after = all ? Math.max(0, head.count - MAX_CHECKED) : Math.max(0, head.count - SHOWN_AUDIT)
  const from = after
  let previous = after === 0 ? GENESIS : ((await store.auditRows(after - 1, 1))[0]?.hash ?? '')
  let problem: { id: string; problem: string } | null = null
  while (problem === null && after < head.count) {
    // What is appended meanwhile is for the next look.
    const rows: AuditRow[] = await store.auditRows(after, Math.min(CHECKED_AT_ONCE, head.count - after))
    problem = rows.length === 0 ? { id: String(after + 1), problem: 'is missing' } : auditProblem(rows, previous, after)
    previous = rows.at(-1)?.hash ?? previous
    after += rows.length
  }
  if (problem === null && previous !== head.hash && head.count > 0) {
    problem = { id: String(head.count), problem: 'is not the row that was remembered as the newest' }
  }
  return { problem, whole: from === 0, checked: head.count - from, count: head.count }
}

/** `/silences`: what is silenced, by whom, and maintenance windows. */
export function silencePages(router: Router, shell: Shell): void {
  router.get('/silences', async (req, res) => {
    const now = shell.clock()
    const policy = shell.policy()
    const silences = (await shell.store.activeSilences()).filter((one) => one.endsAt > now)
    await shell.show(req, res, 'silences', {
      live: false,
      silences: silences.map((one) => ({
        id: `s${one.id}`,
        incident: one.incident,
        matchers: one.matchers,
        by: one.by,
        note: one.note,
        starts: moment(one.startsAt),
        ends: moment(one.endsAt),
        minutes: Math.max(1, Math.ceil((one.endsAt - now) / 60_000)),
        inAlertmanager: one.alertmanagerId !== null,
        pending: one.pending,
      })),
      windows: policy.maintenance.map((window) => windowRow(policy, window, now)),
    })
  })
}

function windowRow(policy: Policy, window: MaintenanceWindow, now: number) {
  const inInterval =
    window.intervals.length === 0 ||
    window.intervals.some((name) => policy.timeIntervals.get(name)?.some((interval) => contains(interval, now)))
  const over = window.endsAt !== null && now >= window.endsAt
  const begun = window.startsAt === null || now >= window.startsAt
  return {
    name: window.name,
    matchers: matchersText(window.matchers) || 'everything',
    starts: moment(window.startsAt),
    ends: moment(window.endsAt),
    intervals: window.intervals,
    note: window.note,
    state: over ? 'over' : begun && inInterval ? 'in force' : 'not now',
  }
}

function numberOf(text: string | null): number | null {
  if (text === null) return null
  if (!/^\d{1,15}$/.test(text)) throw new ClawError('invalid', 'This address is none of ours.')
  return Number(text)
}
