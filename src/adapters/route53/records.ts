import { isIP } from 'node:net'
import { z } from 'zod'
import type { Json } from '../../core/delivery.ts'
import { ClawError } from '../../core/errors.ts'

/** What `failover.regions` says of one region. */
export type Route53Region = { address?: string | undefined; set_identifier?: string | undefined }

/** The types that send clients somewhere. */
const TYPES = ['A', 'AAAA', 'CNAME'] as const

/** A weight is 0 to 255 (Route 53 API Reference, ResourceRecordSet). */
const MAX_WEIGHT = 255

/** What of a record set says where clients go. Type and set identifier name it among those of one name. */
const recordSchema = z.object({
  type: z.enum(TYPES),
  set: z.string().nullable(),
  /** null where it is not weighted */
  weight: z.number().nullable(),
  /** empty for an alias */
  values: z.array(z.string()),
})

export type Route53Record = z.infer<typeof recordSchema>

/** One record set that changes. */
export type Edit = { before: Route53Record; after: Route53Record }

/** The part of the SDK's ResourceRecordSet that is read. */
type Listed = {
  Type?: string | undefined
  SetIdentifier?: string | undefined
  Weight?: number | undefined
  ResourceRecords?: { Value?: string | undefined }[] | undefined
}

const storedSchema = z.object({ records: z.array(recordSchema) })

/** Null for a record set of another type. */
export function readRecord(listed: Listed): Route53Record | null {
  const type = TYPES.find((one) => one === listed.Type)
  if (type === undefined) return null
  const values = (listed.ResourceRecords ?? []).map((record) => record.Value ?? '')
  return { type, set: listed.SetIdentifier ?? null, weight: listed.Weight ?? null, values }
}

/** What `read` gave before, as stored; null when it is none. */
export function readStored(stored: Json): Route53Record[] | null {
  return storedSchema.safeParse(stored).data?.records ?? null
}

type Ends = { from: string; to: string; regions: Readonly<Record<string, Route53Region>> }

/**
 * What sends the clients of `from` to `to`. Weighted records (both regions have a set_identifier): the weight of `from` is
 * added to that of `to`, for each type. A simple record: the address of `to` in the place of that of `from`. Empty when it
 * is so already.
 * @throws ClawError('invalid' | 'conflict' | 'not_found'), beginning with `where`
 */
export function editsOf(records: readonly Route53Record[], where: string, { from, to, regions }: Ends): Edit[] {
  const [old, next] = [regions[from], regions[to]]
  if (old?.set_identifier !== undefined && next?.set_identifier !== undefined) {
    return weightEdits(records, where, [from, old.set_identifier], [to, next.set_identifier])
  }
  if (old?.address !== undefined && next?.address !== undefined) {
    return addressEdits(records, where, [from, old.address], [to, next.address])
  }
  throw new ClawError(
    'invalid',
    `${where}: failover.regions.${from} and failover.regions.${to} need address, or both set_identifier`,
  )
}

function weightEdits(
  records: readonly Route53Record[],
  where: string,
  [from, old]: [string, string],
  [to, next]: [string, string],
): Edit[] {
  const sources = records.filter((record) => record.set === old)
  if (sources.length === 0) {
    throw new ClawError('not_found', `${where}: has no record with the set_identifier of ${from} (${old})`)
  }
  return sources.flatMap((source): Edit[] => {
    const target = records.find((record) => record.set === next && record.type === source.type)
    if (source.weight === null || target === undefined || target.weight === null) {
      throw new ClawError('invalid', `${where}: needs weighted ${source.type} records for both ${from} and ${to}`)
    }
    if (source.weight === 0) return []
    const weight = Math.min(source.weight + target.weight, MAX_WEIGHT)
    return [
      { before: source, after: { ...source, weight: 0 } },
      { before: target, after: { ...target, weight } },
    ]
  })
}

function addressEdits(
  records: readonly Route53Record[],
  where: string,
  [from, old]: [string, string],
  [to, next]: [string, string],
): Edit[] {
  const [record] = records
  if (record === undefined) throw new ClawError('not_found', `${where}: ${NONE}`)
  if (records.length > 1 || record.set !== null) {
    throw new ClawError(
      'invalid',
      `${where}: there are several records of that name; weighted ones need failover.regions.*.set_identifier`,
    )
  }
  const values = record.values.map(plain)
  if (values.length === 0) throw new ClawError('invalid', `${where}: is an alias, which has no address to switch`)
  if (!values.includes(plain(old))) {
    if (values.includes(plain(next))) return []
    throw new ClawError('conflict', `${where}: holds ${values.join(', ')}, not the address of ${from} (${old})`)
  }
  const type = typeOf(next)
  if (type !== record.type) {
    throw new ClawError('invalid', `${where}: is of type ${record.type}, failover.regions.${to}.address needs ${type}`)
  }
  const others = record.values.filter((value) => plain(value) !== plain(old) && plain(value) !== plain(next))
  return [{ before: record, after: { ...record, values: [next, ...others] } }]
}

/** For a name without records, in words. */
export const NONE = 'the zone has no A, AAAA or CNAME record of that name'

/** Whether they are the same record set of one name. */
export const isSameSet = (a: Route53Record, b: Route53Record): boolean => a.type === b.type && a.set === b.set

/** Whether every record set of `edits` is among `records` as it was before, or as it is to be after. */
export function stands(records: readonly Route53Record[], edits: readonly Edit[], as: keyof Edit): boolean {
  return edits.every((edit) => {
    const [wanted, found] = [edit[as], records.find((record) => isSameSet(record, edit[as]))]
    if (found === undefined || found.weight !== wanted.weight) return false
    const sorted = ({ values }: Route53Record) => values.map(plain).sort().join()
    return sorted(found) === sorted(wanted)
  })
}

/** Names and addresses are compared without regard to case and the root's dot; a listing writes `*` as `\052`. */
export function plain(text: string): string {
  return text.toLowerCase().replaceAll('\\052', '*').replace(/\.$/, '')
}

/** In words, for a conflict: `a weighs 0, b weighs 100`, or the addresses. */
export function shown(records: readonly Route53Record[]): string {
  if (records.length === 0) return 'no record any more'
  return records
    .map(({ set, weight, values }) => (set === null ? values.join(', ') : `${set} weighs ${weight}`))
    .join(', ')
}

function typeOf(address: string): Route53Record['type'] {
  const family = isIP(address)
  return family === 4 ? 'A' : family === 6 ? 'AAAA' : 'CNAME'
}
