import type { EdgeRegion } from '../core/edge.ts'
import type { Policy } from '../core/policy.ts'
import type { Action, Mode } from '../core/remediation.ts'
import type { Store } from '../core/store.ts'
import { annotatedRatio, regionOf } from '../engine/judge.ts'
import type { Noted } from '../engine/remediation.ts'
import type { RemediationServices } from '../engine/remediation-sight.ts'

/** What a policy would have done about one incident and region, and why not. Times are milliseconds since the epoch. */
export type Remedied = {
  incident: string
  policy: string
  region: string
  action: Action
  /** as configured */
  mode: Mode
  acted: { at: number; why: string }[]
  /** each reason for not acting, when it first held */
  held: { at: number; reason: string; why: string }[]
}

/** The same policies, but nothing is done: what a policy of any mode but off would do is recorded. */
export function recording(policy: Policy): Policy {
  return {
    ...policy,
    slo: null,
    // A gap in the recording is no silence of Alertmanager's.
    heartbeat: { ...policy.heartbeat, expected: false, timeout: Number.POSITIVE_INFINITY },
    remediation: policy.remediation.map((one) => ({ ...one, mode: one.mode === 'off' ? 'off' : 'shadow' })),
  }
}

/** Gathers decisions as they are made. */
export function createDiary(policy: Policy): { note: (decision: Noted) => void; all: () => Remedied[] } {
  const entries = new Map<string, Remedied>()
  return {
    note({ incident, policy: name, region, do: does, name: reason, text, at }) {
      const own = policy.remediation.find((one) => one.name === name)
      if (!own) return
      const key = JSON.stringify([incident, name, region])
      const entry = entries.get(key) ?? {
        incident: String(incident),
        policy: name,
        region,
        action: own.action,
        mode: own.mode,
        acted: [],
        held: [],
      }
      entries.set(key, entry)
      if (does === 'record') entry.acted.push({ at, why: text })
      else if (!entry.held.some((one) => one.reason === reason)) entry.held.push({ at, reason, why: text })
    },
    all: () => [...entries.values()],
  }
}

/** An edge that knows no more than what the alerts' annotations say: the level of a bucket. */
export function edgeOfAlerts(store: Store, policy: Policy): RemediationServices {
  return {
    edge: {
      async regions() {
        const levels = new Map<string, number>()
        const open = await store.listIncidents({ states: ['open', 'acknowledged'], limit: 200, before: null })
        for (const { id } of open) {
          for (const { payload } of await store.firingRows(id, 1000)) {
            const ratio = annotatedRatio(payload.annotations, policy.annotations.bucketRatio)
            const region = regionOf(payload.labels)
            if (ratio !== null && region !== '') levels.set(region, Math.min(ratio, levels.get(region) ?? 1))
          }
        }
        return [...levels].map(([region, ratio]) => ({
          ...UNKNOWN,
          region,
          bucket: { capacity: null, available: null, ratio },
        }))
      },
      conflicts: async () => {
        throw new Error('alerts name no keys')
      },
    },
    cluster: null,
    query: null,
    settings: policy.actions,
  }
}

const UNKNOWN: EdgeRegion = {
  region: '',
  healthy: null,
  receiving: null,
  bucket: null,
  syncLagSeconds: null,
  conflictsPerMinute: null,
  p95LatencySeconds: null,
  errorRatio: null,
  canaryWeight: null,
  version: null,
  requestRate: null,
  refusedRatio: null,
  refillRate: null,
  ratingScore: null,
  jitterSeconds: null,
  replicas: null,
  nodes: null,
}

const BASIS = 'From the alerts alone: no figures of the edge, and what an act would have changed is not known.'

/** For `--json`; times as ISO 8601. */
export function remediationData(remedied: readonly Remedied[]) {
  const iso = (at: number) => new Date(at).toISOString()
  return {
    basis: BASIS,
    policies: remedied.map((one) => ({
      ...one,
      acted: one.acted.map(({ at, why }) => ({ at: iso(at), why })),
      held: one.held.map(({ at, reason, why }) => ({ at: iso(at), reason, why })),
    })),
  }
}

/** For people: per incident what each policy would have done, when and why, or why not. */
export function remediationText(remedied: readonly Remedied[]): string {
  if (remedied.length === 0) return ''
  const lines = [`What policies would have done. ${BASIS}`]
  for (const incident of new Set(remedied.map((one) => one.incident))) {
    lines.push(`incident ${incident}`)
    for (const one of remedied) if (one.incident === incident) lines.push(...linesOf(one))
  }
  return `${lines.join('\n')}\n`
}

function linesOf({ policy, mode, region, action, acted, held }: Remedied): string[] {
  const where = region === '' ? '' : ` in ${region}`
  const who = `policy:${policy} (${mode})`
  const time = (at: number) => `${new Date(at).toISOString().slice(0, 19)}Z`
  if (acted.length > 0) return acted.map(({ at, why }) => `  ${time(at)}  ${who}: ${action}${where}: ${why}.`)
  return held.slice(-1).map(({ at, reason, why }) => `  ${time(at)}  ${who}: no ${action}${where} (${reason}): ${why}.`)
}
