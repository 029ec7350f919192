import { z } from 'zod'
import { listOf, runOf } from '../../src/core/acts.ts'
import { type EdgeConflict, type EdgeRegion, RECONCILE_POLICIES, type ReconcilePolicy } from '../../src/core/edge.ts'
import { ClawError } from '../../src/core/errors.ts'
import { suggestion } from '../../src/core/suggest.ts'
import { keysText, MAX_KEYS, spread } from './conflicts.ts'
import { defineCommand } from './define.ts'
import {
  begun,
  edgeOf,
  flagsOf,
  inTheWay,
  inTime,
  regionsNamed,
  regionsNow,
  SILENT,
  tokens,
  typedArg,
  underWay,
  whole,
} from './edge.ts'
import { count, line } from './text.ts'

/** Diverged keys that a preview names. */
const EXAMPLES = 3

type Wanted = { regions: string[]; policy: ReconcilePolicy | null }

type Facts = {
  regions: string[]
  policy: ReconcilePolicy
  /** null: the edge did not say */
  change: Change | null
  silent: boolean
  busy: string[]
}

/** What a reconcile would change; tokens that are admitted more, by region. */
type Change = {
  found: EdgeConflict[]
  /** null: not known */
  tokens: number | null
  byRegion: { region: string; keys: number; tokens: number }[]
}

export const reconcile = defineCommand<{ what: Wanted }, Facts>({
  name: 'reconcile',
  aliases: ['sync'],
  usage: 'reconcile [REGION...] [--policy P]',
  summary: 'bring diverged copies together',
  help: `Takes a snapshot, merges what diverged, and checks that it stays together. Without a region: all of them. --policy: ${RECONCILE_POLICIES.join(', ')}; the default is configured (actions.reconcile.policy). It asks back first and says how many keys diverge and how many tokens more or less it admits.`,
  parameters: [{ name: 'what', optional: true, rest: true }],
  args: z.strictObject({
    what: typedArg(read).default({ regions: [], policy: null }),
  }),
  danger: 'confirm',
  async prepare({ what }, services) {
    const edge = edgeOf(services)
    const [known, found] = await Promise.all([
      regionsNow(services),
      inTime((signal) => edge.conflicts(null, MAX_KEYS, signal)),
    ])
    const regions = regionsNamed(what.regions, known)
    const policy = what.policy ?? services.outside().settings.reconcile.policy
    const busy = await underWay(services, regions)
    const change = found === null ? null : changeOf(found, regions, policy, known)
    return { regions, policy, change, silent: known === null, busy }
  },
  preview(_args, { regions, policy, change, silent, busy }) {
    const parts = [
      `Reconcile ${listOf(regions.map((name) => line(name, 40)))}, ${RULES[policy]}: ${change === null ? 'how many keys diverge cannot be told now, the edge does not say' : changeText(change)}.`,
      ...(silent ? [SILENT] : []),
      ...busy,
      'A snapshot is taken before.',
    ]
    return parts.join(' ')
  },
  async run(tx, _args, { regions, policy, change }, context) {
    const { run, busy } = await context.start(tx, runOf('reconcile', { regions, policy }))
    if (busy) return inTheWay(busy, context.now)
    return begun(run, {
      lines: [change === null ? 'How many keys diverge is not known yet.' : `${capital(changeText(change))}.`],
      data: { policy, keys: change?.found.length ?? null, tokens: change?.tokens ?? null },
    })
  },
})

const RULES: Readonly<Record<ReconcilePolicy, string>> = {
  'highest-capacity': 'the highest copy wins',
  'lowest-available': 'the lowest copy wins',
  'reset-and-reseed': 'every copy is filled again',
}

export const policyArg = (typed: string): ReconcilePolicy => {
  const policy = RECONCILE_POLICIES.find((one) => one === typed.toLowerCase())
  if (policy !== undefined) return policy
  const hint = suggestion(typed, RECONCILE_POLICIES)
  throw new ClawError('invalid', `--policy is ${RECONCILE_POLICIES.join(', ')}${hint}`)
}

function read(text: string): Wanted {
  const { words, flags } = flagsOf(text, { one: ['policy'] })
  // `reconcile A, B and C` is what people say.
  const regions = words.map((word) => word.replace(/,$/, '')).filter((word) => word !== '' && word !== 'and')
  const all = regions.length === 1 && regions[0]?.toLowerCase() === 'all'
  return { regions: all ? [] : regions, policy: flags.policy === undefined ? null : policyArg(flags.policy) }
}

/**
 * What the policy changes of the copies in these regions (all when empty): the chosen value less the present one, summed over
 * keys. A key that is filled again counts with its region's bucket, since the edge names no capacity of a key.
 */
export function changeOf(
  conflicts: readonly EdgeConflict[],
  regions: readonly string[],
  policy: ReconcilePolicy,
  known: readonly EdgeRegion[] | null,
): Change {
  const within = (region: string) => regions.length === 0 || regions.includes(region)
  const found = conflicts
    .filter(({ values }) => Object.keys(values).some(within))
    .toSorted((a, b) => spread(b) - spread(a))
  const byRegion = new Map<string, { region: string; keys: number; tokens: number }>()
  for (const { values } of found) {
    const copies = Object.values(values)
    const chosen = policy === 'lowest-available' ? Math.min(...copies) : Math.max(...copies)
    for (const [region, present] of Object.entries(values)) {
      if (!within(region) || (present === chosen && policy !== 'reset-and-reseed')) continue
      const sum = byRegion.get(region) ?? { region, keys: 0, tokens: 0 }
      byRegion.set(region, { region, keys: sum.keys + 1, tokens: sum.tokens + chosen - present })
    }
  }
  const rows = [...byRegion.values()].sort((a, b) => a.region.localeCompare(b.region))
  if (policy !== 'reset-and-reseed')
    return { found, tokens: rows.reduce((n, row) => n + row.tokens, 0), byRegion: rows }
  const filled = (known ?? [])
    .filter((one) => within(one.region))
    .map(({ region, bucket }) => {
      if (bucket === null || bucket.capacity === null || bucket.available === null) return null
      return { region, keys: byRegion.get(region)?.keys ?? 0, tokens: bucket.capacity - bucket.available }
    })
  const complete = filled.filter((one) => one !== null)
  const sure = known !== null && filled.length > 0 && complete.length === filled.length
  return {
    found,
    tokens: sure ? complete.reduce((n, row) => n + row.tokens, 0) : null,
    byRegion: sure ? complete : [],
  }
}

function changeText({ found, tokens: sum, byRegion }: Change): string {
  const admits =
    sum === null ? 'how many tokens it admits is not known' : `it admits ${tokens(sum)}${perRegion(byRegion)}`
  if (found.length === 0) return `no key diverges now; ${admits}`
  const examples = found.slice(0, EXAMPLES).map(exampleText)
  return `${keysText(found)} ${found.length === 1 ? 'diverges' : 'diverge'}, such as ${examples.join(', ')}; ${admits}`
}

function perRegion(rows: Change['byRegion']): string {
  if (rows.length === 0) return ''
  const texts = rows.map((row) => {
    const keys = row.keys === 0 ? '' : ` in ${count(row.keys, 'key')}`
    return `${line(row.region, 40)} ${row.tokens < 0 ? '-' : '+'}${whole(Math.abs(row.tokens))}${keys}`
  })
  return ` (${texts.join(', ')})`
}

/** `tenant-7 (A 12, B 7)` */
function exampleText({ key, values }: EdgeConflict): string {
  const copies = Object.entries(values)
    .slice(0, 4)
    .map(([region, value]) => `${line(region, 24)} ${whole(value)}`)
  return `${line(key, 60)} (${copies.join(', ')})`
}

const capital = (text: string): string => text.slice(0, 1).toUpperCase() + text.slice(1)
