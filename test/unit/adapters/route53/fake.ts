import type http from 'node:http'
import type { TestContext } from 'node:test'
import { type Seen, type Server, serve } from '../serve.ts'

export type FakeSet = {
  name: string
  type: string
  set?: string
  weight?: number
  ttl?: number
  values?: string[]
  alias?: string
  healthCheck?: string
}

export type Fake = {
  server: Server
  sets: FakeSet[]
  /** the actions of each batch that was taken */
  batches: string[][]
  pageSize: number
  /** called before a request is answered; true when it answered itself */
  before: (response: http.ServerResponse, seen: Seen) => boolean
}

const NAMESPACE = 'https://route53.amazonaws.com/doc/2013-04-01/'

/** Listing and changing of one hosted zone, Z1, as Route 53 does it: batches are all or nothing, a DELETE repeats all values. */
export async function fakeRoute53(t: TestContext): Promise<Fake> {
  const fake: Omit<Fake, 'server'> = { sets: [], batches: [], pageSize: 100, before: () => false }
  const server = await serve(t, (response, seen) => {
    if (fake.before(response, seen)) return
    if (!seen.url.includes('/2013-04-01/hostedzone/Z1/rrset'))
      return refuse(response, 404, 'NoSuchHostedZone', 'No zone')
    if (seen.method === 'POST') return change(fake, response, seen.body)
    list(fake, response, new URL(seen.url, 'http://aws.test').searchParams)
  })
  return Object.assign(fake, { server })
}

function list(fake: Omit<Fake, 'server'>, response: http.ServerResponse, query: URLSearchParams): void {
  const name = query.get('name')?.replace(/\.$/, '')
  const from = fake.sets.findIndex(
    (one) =>
      one.name === name &&
      (query.get('type') ?? one.type) === one.type &&
      (query.get('identifier') ?? one.set) === one.set,
  )
  const page = from < 0 ? [] : fake.sets.slice(from, from + fake.pageSize)
  const next = from < 0 ? undefined : fake.sets[from + fake.pageSize]
  const more =
    next === undefined
      ? '<IsTruncated>false</IsTruncated>'
      : `<IsTruncated>true</IsTruncated><NextRecordName>${next.name}.</NextRecordName><NextRecordType>${next.type}</NextRecordType>` +
        (next.set === undefined ? '' : `<NextRecordIdentifier>${next.set}</NextRecordIdentifier>`)
  const sets = page.map(xml).join('')
  answer(
    response,
    200,
    `<ListResourceRecordSetsResponse xmlns="${NAMESPACE}"><ResourceRecordSets>${sets}</ResourceRecordSets>${more}<MaxItems>${fake.pageSize}</MaxItems></ListResourceRecordSetsResponse>`,
  )
}

function change(fake: Omit<Fake, 'server'>, response: http.ServerResponse, body: string): void {
  const sets = [...fake.sets]
  const actions: string[] = []
  for (const [, action, text = ''] of body.matchAll(
    /<Action>(\w+)<\/Action><ResourceRecordSet>(.*?)<\/ResourceRecordSet>/gs,
  )) {
    const set = parse(text)
    const same = sets.findIndex((one) => one.name === set.name && one.type === set.type && one.set === set.set)
    const found = sets[same]
    if (action === 'DELETE') {
      if (found === undefined || xml(found) !== xml(set)) {
        refuse(response, 400, 'InvalidChangeBatch', `[Tried to delete ${set.name} but the values do not match]`)
        return
      }
      sets.splice(same, 1)
    } else {
      if (found !== undefined) {
        refuse(response, 400, 'InvalidChangeBatch', `[${set.name} exists]`)
        return
      }
      sets.push(set)
    }
    actions.push(`${action} ${set.set ?? set.type} ${set.weight ?? set.values?.join('+')}`)
  }
  // listed in the order of their names
  fake.sets = sets.sort((a, b) => a.name.localeCompare(b.name))
  fake.batches.push(actions)
  answer(
    response,
    200,
    `<ChangeResourceRecordSetsResponse xmlns="${NAMESPACE}"><ChangeInfo><Id>/change/C1</Id><Status>PENDING</Status><SubmittedAt>2026-05-04T02:20:00Z</SubmittedAt></ChangeInfo></ChangeResourceRecordSetsResponse>`,
  )
}

/** One record set, members in the order of the schema. */
function xml(set: FakeSet): string {
  const tag = (name: string, value: string | number | undefined) =>
    value === undefined ? '' : `<${name}>${value}</${name}>`
  const values = (set.values ?? []).map((value) => `<ResourceRecord><Value>${value}</Value></ResourceRecord>`).join('')
  const alias =
    set.alias === undefined
      ? ''
      : `<AliasTarget><HostedZoneId>Z9</HostedZoneId><DNSName>${set.alias}</DNSName><EvaluateTargetHealth>true</EvaluateTargetHealth></AliasTarget>`
  return `<ResourceRecordSet><Name>${set.name}.</Name>${tag('Type', set.type)}${tag('SetIdentifier', set.set)}${tag('Weight', set.weight)}${tag('TTL', set.ttl)}${values === '' ? '' : `<ResourceRecords>${values}</ResourceRecords>`}${alias}${tag('HealthCheckId', set.healthCheck)}</ResourceRecordSet>`
}

function parse(text: string): FakeSet {
  const of = (name: string) => text.match(new RegExp(`<${name}>(.*?)</${name}>`))?.[1]
  const [set, weight, ttl, alias, healthCheck] = ['SetIdentifier', 'Weight', 'TTL', 'DNSName', 'HealthCheckId'].map(of)
  const values = [...text.matchAll(/<Value>(.*?)<\/Value>/g)].map((match) => match[1] ?? '')
  return {
    name: (of('Name') ?? '').replace(/\.$/, ''),
    type: of('Type') ?? '',
    ...(set === undefined ? {} : { set }),
    ...(weight === undefined ? {} : { weight: Number(weight) }),
    ...(ttl === undefined ? {} : { ttl: Number(ttl) }),
    ...(values.length === 0 ? {} : { values }),
    ...(alias === undefined ? {} : { alias }),
    ...(healthCheck === undefined ? {} : { healthCheck }),
  }
}

export function refuse(response: http.ServerResponse, status: number, code: string, message: string): void {
  answer(
    response,
    status,
    `<ErrorResponse xmlns="${NAMESPACE}"><Error><Type>Sender</Type><Code>${code}</Code><Message>${message}</Message></Error><RequestId>r1</RequestId></ErrorResponse>`,
  )
}

function answer(response: http.ServerResponse, status: number, body: string): void {
  response.writeHead(status, { 'Content-Type': 'text/xml' })
  response.end(`<?xml version="1.0" encoding="UTF-8"?>${body}`)
}
