import { z } from 'zod'
import { listOf, runOf } from '../../src/core/acts.ts'
import { formatDuration } from '../../src/core/duration.ts'
import type { EdgeRegion } from '../../src/core/edge.ts'
import { ClawError } from '../../src/core/errors.ts'
import type { EdgeChange } from '../../src/core/triage.ts'
import { isReturn } from '../../src/core/verdict-facts.ts'
import type { ActionSettings } from '../../src/core/workflow.ts'
import { defineCommand } from './define.ts'
import { begun, inTheWay, inTime, regionsNamed, SILENT, underWay } from './edge.ts'
import { figure, line, timeOf } from './text.ts'

type Facts = {
  regions: string[]
  /** what runs there now, and what it ran before where that was seen */
  versions: { region: string; now: string | null; before: string | null; at: number | null }[]
  rollout: boolean
  settings: ActionSettings
  /** regions that went back already: to revert them again brings the other version back */
  back: EdgeChange[]
  silent: boolean
  busy: string[]
}

export const revert = defineCommand<{ region?: string | undefined }, Facts>({
  name: 'revert',
  aliases: [],
  usage: 'revert [REGION]',
  summary: 'undo the last version that was rolled out',
  help: 'Goes back to the version before (Argo Rollouts, or the edge itself), then reconciles, gives more capacity for a while and watches that nothing diverges again. Without a region: those that run a version which came lately, else all. It asks back first.',
  parameters: [{ name: 'region', optional: true }],
  args: z.strictObject({ region: z.string().min(1).max(200).optional() }),
  danger: 'confirm',
  async prepare({ region }, services, context) {
    const { edge, cluster, settings } = services.outside()
    const rollout = cluster?.parts.rollout === true
    if (!edge && !rollout) {
      throw new ClawError(
        'unavailable',
        'Neither edge nor rollout is configured. Add edge.url, or kubernetes.rollout, to claw.yaml.',
      )
    }
    const known = edge ? await inTime((signal) => edge.regions(signal)) : null
    const changes = services.changes()
    const all = newestVersions(changes, known)
    const back = all.filter((change) => isReturn(changes, change))
    const changed = all.filter((change) => !back.includes(change))
    const runs = known?.map((one) => one.region) ?? back.map((one) => one.region)
    if (region === undefined && runs.length > 0 && runs.every((name) => back.some((one) => one.region === name))) {
      throw new ClawError('conflict', `Nothing to revert: ${back.map((one) => backText(one, context.now)).join(' ')}`)
    }
    const suspect = known?.filter((one) =>
      changed.some(({ region: name, to }) => one.region === name || one.version === to),
    )
    const regions =
      region === undefined && suspect && suspect.length > 0
        ? suspect.map((one) => one.region)
        : regionsNamed(region === undefined ? [] : [region], known)
    const versions = regions.map((name) => {
      const change = all.find((one) => one.region === name)
      const now = known?.find((one) => one.region === name)?.version ?? change?.to ?? null
      return { region: name, now, before: change?.from ?? null, at: change?.at ?? null }
    })
    return {
      regions,
      versions,
      rollout,
      settings,
      silent: edge !== null && known === null,
      back: back.filter((one) => regions.includes(one.region)),
      busy: await underWay(services, regions),
    }
  },
  preview(_args, { regions, versions, rollout, settings, back, silent, busy }, { now }) {
    const { capacityFactor, capacityFor } = settings.revert
    const more =
      capacityFactor > 1 ? `, then ${figure(capacityFactor)} times the capacity for ${formatDuration(capacityFor)}` : ''
    return [
      `Revert the version in ${listOf(regions.map((name) => line(name, 40)))}.`,
      ...versions.map((one) => versionText(one, now)),
      ...(back.length > 0 ? ['WARNING:', ...back.map((one) => backText(one, now))] : []),
      rollout ? 'The last rollout in the cluster is undone.' : 'The edge goes back to the version before.',
      `Afterwards it reconciles (${settings.reconcile.policy.replaceAll('-', ' ')})${more}.`,
      ...(silent ? [SILENT] : []),
      ...busy,
    ].join(' ')
  },
  async run(tx, _args, { regions, versions, settings }, context) {
    const { run, busy } = await context.start(tx, runOf('revert', { regions, policy: settings.reconcile.policy }))
    if (busy) return inTheWay(busy, context.now)
    return begun(run, {
      lines: versions.map((one) => versionText(one, context.now)),
      data: { versions: versions.map(({ region, now, before }) => ({ region, from: now, to: before })) },
    })
  },
})

/** The newest change of version of each region, as far as that version still runs there. */
function newestVersions(changes: readonly EdgeChange[], known: readonly EdgeRegion[] | null): EdgeChange[] {
  const newest = new Map<string, EdgeChange>()
  for (const change of changes) if (change.what === 'version') newest.set(change.region, change)
  return [...newest.values()].filter((change) => {
    if (known === null) return true
    const region = known.find((one) => one.region === change.region)
    return region !== undefined && (region.version === null || region.version === change.to)
  })
}

/** `A went back from 1.9.0 to 1.8.2 at 02:15 UTC already; again would bring 1.9.0 back.` */
function backText({ region, from, to, at }: EdgeChange, now: number): string {
  const bad = line(from, 40)
  return `${line(region, 40)} went back from ${bad} to ${line(to, 40)} at ${timeOf(at, now)} already; again would bring ${bad} back.`
}

/** `A runs 1.9.0 since 02:13 UTC, 1.8.2 before.` */
function versionText({ region, now: version, before, at }: Facts['versions'][number], now: number): string {
  const name = line(region, 40)
  if (version === null) return `Which version ${name} runs is unknown.`
  const since = at === null ? '' : ` since ${timeOf(at, now)}`
  return `${name} runs ${line(version, 40)}${since}, ${before === null ? 'what ran before is not known' : `${line(before, 40)} before`}.`
}
