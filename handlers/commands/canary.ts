import { z } from 'zod'
import { runOf } from '../../src/core/acts.ts'
import { refusal, reply } from '../../src/core/command.ts'
import type { CanaryPart, EdgeRegion } from '../../src/core/edge.ts'
import { ClawError } from '../../src/core/errors.ts'
import { defineCommand } from './define.ts'
import { begun, inTheWay, inTime, typedArg, underWay } from './edge.ts'
import { figure, line } from './text.ts'

/** One place that gives the canary traffic, or says that it does; weights in percent, null for unknown. */
type Part = {
  where: string
  weight: number | null
  state: string
  version: string
  owner: string | null
  running: boolean
}

type Facts = { parts: Part[]; silent: string[]; busy: string[] }

export const canary = defineCommand<{ what: 'status' | 'abort' }, Facts>({
  name: 'canary',
  aliases: [],
  usage: 'canary [status|abort]',
  summary: 'the canary: how it does, and its end',
  help: 'status tells its weight, versions and rating everywhere: the edge, the rollout and the ConfigMap, as far as they are configured. abort takes it out of the traffic in all of them and looks that this lasts; it asks back first.',
  parameters: [{ name: 'what', optional: true }],
  args: z.strictObject({ what: typedArg(read).default('status') }),
  danger: 'confirm',
  harmless: ({ what }) => what === 'status',
  right: ({ what }) => (what === 'status' ? 'status' : 'canary'),
  async prepare({ what }, services) {
    const { edge, cluster } = services.outside()
    const inCluster = cluster !== null && (cluster.parts.rollout || cluster.parts.configMap)
    if (!edge && !inCluster) {
      throw new ClawError(
        'unavailable',
        'Nothing is configured that has a canary. Add edge.url, kubernetes.rollout or kubernetes.config_map to claw.yaml.',
      )
    }
    const [regions, found] = await Promise.all([
      edge ? inTime((signal) => edge.regions(signal)) : null,
      cluster && inCluster ? inTime((signal) => cluster.canary(signal)) : null,
    ])
    const silent = [...(edge && !regions ? ['the edge'] : []), ...(inCluster && !found ? ['the cluster'] : [])]
    const parts = [...(found ?? []).map(clusterPart), ...(regions ?? []).map(edgePart)]
    if (what === 'abort' && silent.length === 0 && parts.every((part) => part.weight === 0 && !part.running)) {
      throw new ClawError(
        'conflict',
        'There is no canary to abort: it has no traffic anywhere. canary status shows where that was looked up.',
      )
    }
    return { parts, silent, busy: what === 'abort' ? await underWay(services, []) : [] }
  },
  preview(_args, { parts, silent, busy }) {
    const now = parts
      .filter((part) => part.weight !== 0 || part.running)
      .map((part) => `${part.where} ${weightText(part)}`)
    const owners = [...new Set(parts.flatMap(({ owner }) => (owner === null ? [] : [owner])))]
    return [
      `Abort the canary: it gets no traffic any more${now.length > 0 ? ` (now ${now.join(', ')})` : ''}; the stable version serves all.`,
      ...(owners.length > 0
        ? [
            `Argo CD (${owners.map((name) => line(name, 60)).join(', ')}) may undo that in the cluster: Claw looks whether it holds.`,
          ]
        : []),
      ...(silent.length > 0 ? [`No answer from ${silent.join(' and ')}: how it stands there is unknown.`] : []),
      ...busy,
    ].join(' ')
  },
  async run(tx, { what }, { parts, silent }, context) {
    if (what === 'abort') {
      const { run, busy } = await context.start(tx, runOf('canary abort', {}))
      return busy ? inTheWay(busy, context.now) : begun(run, { data: { parts: parts.map(partData) } })
    }
    if (parts.length === 0)
      return refusal(
        'unavailable',
        `No answer from ${silent.join(' and ') || 'anybody'}: how the canary stands is unknown.`,
      )
    const live = parts.filter((part) => part.running || (part.weight ?? 0) > 0)
    const top = Math.max(...live.map((part) => part.weight ?? 0))
    const unknown = parts.every((part) => part.weight === null)
      ? 'The weight of the canary is unknown.'
      : 'No canary: it has no traffic.'
    return reply(live.length === 0 ? unknown : `A canary runs with ${figure(top)} % of the traffic.`, {
      lines: [
        ...silent.map((name) => `No answer from ${name}.`),
        ...(live.length === 0 ? [] : ['Stop it: /claw canary abort.']),
      ],
      table: {
        head: ['Where', 'Weight', 'State', 'Version', 'Owner'],
        rows: parts.map((part) => [
          line(part.where, 60),
          weightText(part),
          line(part.state, 40),
          line(part.version, 60),
          part.owner === null ? '' : line(part.owner, 40),
        ]),
      },
      buttons: live.length === 0 ? [] : [{ label: 'Abort the canary', command: 'canary abort', style: 'danger' }],
      data: { parts: parts.map(partData) },
    })
  },
})

function read(text: string): 'status' | 'abort' {
  const what = text.toLowerCase()
  if (what === 'status' || what === 'abort') return what
  throw new ClawError('invalid', 'say status or abort')
}

const weightText = ({ weight }: Part): string => (weight === null ? '? %' : `${figure(weight)} %`)

function clusterPart(part: CanaryPart): Part {
  const versions = [part.stable && `stable ${part.stable}`, part.canary && `canary ${part.canary}`].filter(Boolean)
  return {
    where: part.object,
    weight: part.weight,
    state: part.aborted ? 'aborted' : (part.phase ?? ''),
    version: versions.join(', '),
    owner: part.owner,
    running: part.part === 'rollout' && !part.aborted && (part.phase === 'Progressing' || part.phase === 'Paused'),
  }
}

function edgePart(region: EdgeRegion): Part {
  const score = region.ratingScore
  return {
    where: `Edge, ${region.region}`,
    weight: region.canaryWeight,
    state: score === null ? '' : `rating ${figure(score)}`,
    version: region.version ?? '',
    owner: null,
    running: false,
  }
}

function partData({ where, weight, state, version, owner }: Part) {
  return { where, weight, state, version, owner }
}
