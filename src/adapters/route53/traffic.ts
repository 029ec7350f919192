import {
  type Change,
  ChangeResourceRecordSetsCommand,
  ListResourceRecordSetsCommand,
  type ListResourceRecordSetsResponse,
  type ResourceRecordSet,
  Route53Client,
} from '@aws-sdk/client-route-53'
import { SECOND } from '../../core/clock.ts'
import type { TrafficChange, TrafficSwitch } from '../../core/edge.ts'
import { ClawError } from '../../core/errors.ts'
import { resolveUrl } from '../http.ts'
import { route53Error } from './errors.ts'
import {
  type Edit,
  editsOf,
  isSameSet,
  NONE,
  plain,
  type Route53Record,
  type Route53Region,
  readRecord,
  readStored,
  shown,
  stands,
} from './records.ts'

export type Route53Options = {
  /** default: that of AWS */
  endpoint?: string | undefined
  /** for the signature; Route 53 itself is one for all regions */
  region: string
  /** both, or neither: then as the AWS SDK finds its credentials */
  accessKeyId?: string | undefined
  secretAccessKey?: string | undefined
  /** hosted zone id */
  zone: string
  /** DNS name whose records are switched */
  record: string
  /** `failover.regions`: `address` for a simple record, `set_identifier` for weighted ones */
  regions: Readonly<Record<string, Route53Region>>
  /** for one call; default 3 000 */
  timeoutMs?: number
}

/** Figures of Route 53. */
const LIMITS = {
  /** ms until all its servers know a change (API Reference, ChangeResourceRecordSets, "Change Propagation": generally 60 s) */
  spread: 60 * SECOND,
  /** s; alias records to AWS resources (Developer Guide, "Choosing between alias and non-alias records") */
  aliasTtl: 60,
  /** record sets of one page (API Reference, ListResourceRecordSets) */
  page: 300,
  /** characters (API Reference, ChangeBatch, Comment) */
  comment: 256,
}

/** A record set as listed, whole, and what of it counts here. */
type Found = { whole: ResourceRecordSet; record: Route53Record }

/**
 * Route 53 as the one that sends clients to regions: a simple record, or weighted records. Compare-and-set is Route 53's own:
 * one batch deletes what was just seen as expected and creates what shall be, and fails as a whole when that is no longer so
 * (API Reference, ChangeResourceRecordSets: a DELETE repeats all values, changes are transactional). `move` is done when
 * Route 53 took the change; it then takes up to 60 s there, and the TTL at resolvers (`settlesWithin`, as last seen).
 * @throws ClawError('invalid') when `endpoint` is no http(s) URL, or only one half of the credentials is given
 */
export function createRoute53Traffic(options: Route53Options): TrafficSwitch {
  const { endpoint, region, accessKeyId, secretAccessKey, zone, record, regions, timeoutMs = 3_000 } = options
  if (endpoint !== undefined) resolveUrl('failover.route53.endpoint', endpoint, '')
  if ((accessKeyId === undefined) !== (secretAccessKey === undefined)) {
    throw new ClawError('invalid', 'failover.route53 needs access_key_id and secret_access_key together')
  }
  const where = `Route 53, record ${record}`
  const given = accessKeyId !== undefined && secretAccessKey !== undefined ? { accessKeyId, secretAccessKey } : null
  const client = new Route53Client({
    region,
    // the workflow's steps try again
    maxAttempts: 1,
    requestHandler: { connectionTimeout: timeoutMs, requestTimeout: timeoutMs, throwOnRequestTimeout: true },
    ...(endpoint === undefined ? {} : { endpoint }),
    ...(given === null ? {} : { credentials: given }),
  })
  let settlesWithin = LIMITS.spread

  /** `call`, bounded in time as a whole: the handler's own limits leave out finding credentials and the answer's body. */
  async function bounded<T>(signal: AbortSignal, call: (abortSignal: AbortSignal) => Promise<T>): Promise<T> {
    const timeout = AbortSignal.timeout(timeoutMs)
    try {
      return await call(AbortSignal.any([signal, timeout]))
    } catch (error) {
      const cause = timeout.aborted && !signal.aborted ? timeout.reason : error
      throw route53Error(cause, where, timeoutMs, given === null ? [] : Object.values(given))
    }
  }

  async function look(signal: AbortSignal): Promise<Found[]> {
    const found: Found[] = []
    // the listing begins at the name, so that all of ours stand together at its beginning
    let from: Partial<ListResourceRecordSetsResponse> | null = { NextRecordName: record }
    while (from !== null) {
      const command: ListResourceRecordSetsCommand = new ListResourceRecordSetsCommand({
        HostedZoneId: zone,
        StartRecordName: from.NextRecordName,
        StartRecordType: from.NextRecordType,
        StartRecordIdentifier: from.NextRecordIdentifier,
        MaxItems: LIMITS.page,
      })
      const page: ListResourceRecordSetsResponse = await bounded(signal, (abortSignal) =>
        client.send(command, { abortSignal }),
      )
      for (const whole of page.ResourceRecordSets ?? []) {
        const one = plain(whole.Name ?? '') === plain(record) ? readRecord(whole) : null
        if (one !== null) found.push({ whole, record: one })
      }
      from = page.IsTruncated === true && plain(page.NextRecordName ?? '') === plain(record) ? page : null
    }
    const ttls = found.map(({ whole }) => (whole.TTL ?? LIMITS.aliasTtl) * SECOND)
    settlesWithin = Math.max(LIMITS.spread, ...ttls)
    return found
  }

  async function change(back: boolean, wanted: TrafficChange, signal: AbortSignal): Promise<null> {
    const expected = readStored(wanted.expected)
    if (expected === null) throw new ClawError('invalid', `${where}: what it is to be compared with is not known`)
    const forward = editsOf(expected, where, { ...wanted, regions })
    const edits = back ? forward.map(({ before, after }) => ({ before: after, after: before })) : forward
    const now = await look(signal)
    const seen = now.map((one) => one.record)
    if (stands(seen, edits, 'after')) return null
    if (!stands(seen, edits, 'before')) throw conflict(seen)
    const command = new ChangeResourceRecordSetsCommand({
      HostedZoneId: zone,
      ChangeBatch: {
        Changes: changesOf(now, edits),
        Comment: `Claw, by ${wanted.by}`.toWellFormed().slice(0, LIMITS.comment),
      },
    })
    try {
      await bounded(signal, (abortSignal) => client.send(command, { abortSignal }))
    } catch (error) {
      if (!(error instanceof ClawError) || error.code !== 'conflict') throw error
      const after = (await look(signal)).map((one) => one.record)
      if (stands(after, edits, 'after')) return null
      // as before, and yet refused: then Route 53's own words say why
      throw stands(after, edits, 'before') ? error : conflict(after)
    }
    return null
  }

  const conflict = (seen: readonly Route53Record[]) =>
    new ClawError(
      'conflict',
      `${where}: changed by somebody else meanwhile (${shown(seen)}); look at it, then ask again`,
    )

  return {
    kind: 'route53',
    get settlesWithin() {
      return settlesWithin
    },
    async read(signal) {
      const records = (await look(signal)).map((one) => one.record)
      if (records.length === 0) throw new ClawError('not_found', `${where}: ${NONE}`)
      return { records }
    },
    move: (wanted, signal) => change(false, wanted, signal),
    restore: (wanted, signal) => change(true, wanted, signal),
  }
}

/** Deletes what was seen, whole, and creates it again with what is to be different; all else (TTL, health check) stays. */
function changesOf(now: readonly Found[], edits: readonly Edit[]): Change[] {
  const pairs = edits.flatMap(({ before, after }) =>
    now.filter((found) => isSameSet(found.record, before)).map(({ whole }) => ({ whole, after })),
  )
  return [
    ...pairs.map(({ whole }): Change => ({ Action: 'DELETE', ResourceRecordSet: whole })),
    ...pairs.map(({ whole, after }): Change => ({ Action: 'CREATE', ResourceRecordSet: withPlace(whole, after) })),
  ]
}

function withPlace(whole: ResourceRecordSet, { weight, values }: Route53Record): ResourceRecordSet {
  return {
    ...whole,
    ...(weight === null ? {} : { Weight: weight }),
    ...(values.length === 0 ? {} : { ResourceRecords: values.map((Value) => ({ Value })) }),
  }
}
