import { Buffer } from 'node:buffer'

/** Bytes of one request that are rewritten in place for every use: no copy, no garbage. */
export type Request = {
  readonly bytes: Buffer
  /** makes it the request number `n`; its alerts are n * alerts, n * alerts + 1 … */
  set(n: number): void
}

export type Shape = {
  /** alerts in one body */
  alerts: number
  /** 100 services over two regions, or a service (hence an incident) for each alert */
  services: 100 | 'each'
  /** Claw's webhook, or Alertmanager's own POST /api/v2/alerts */
  for: 'webhook' | 'alertmanager'
  /** one more label; its value is the alert's number modulo this */
  shards?: number
}

export type Maker = { make: () => Request; bytes: number; alerts: number }

// Stand-ins of fixed width. They occur nowhere else in a request.
const NUMBER = '#########'
const FINGERPRINT = '%'.repeat(16)
const SERVICE = '~~~'
const REGION = '^'
const SHARD = '@'
const STAND_IN = /#{9}|%{16}|~{3}|\^|@/g

/** The token that Claw is configured with. */
export const TOKEN = 'bench'

/** A factory of requests shaped like those of a real Alertmanager (0.25), all alerts distinct by their numbers. */
export function maker(shape: Shape, since = new Date()): Maker {
  const startsAt = since.toISOString()
  const service = shape.services === 'each' ? `svc-${NUMBER}` : `svc-${SERVICE}`
  const shard = shape.shards === undefined ? '' : `,"shard":"${SHARD}"`
  const common = `"alertname":"TokenBucketDepleted","region":"${REGION}","service":"${service}","severity":"critical"${shard}`
  const labels = `{${common},"instance":"edge-${NUMBER}"}`
  const annotations = '{"summary":"Token bucket nearly empty","bucket_ratio":"0.04"}'
  const generator = '"generatorURL":"http://prometheus:9090/graph?g0.expr=bucket"'
  const pieces: { text: string; alert: number }[] = []
  if (shape.for === 'webhook') pieces.push({ text: '{"receiver":"claw","status":"firing","alerts":[', alert: 0 })
  else pieces.push({ text: '[', alert: 0 })
  for (let alert = 0; alert < shape.alerts; alert++) {
    const text =
      shape.for === 'webhook'
        ? `{"status":"firing","labels":${labels},"annotations":${annotations},"startsAt":"${startsAt}","endsAt":"0001-01-01T00:00:00Z",${generator},"fingerprint":"${FINGERPRINT}"}`
        : `{"labels":${labels},"annotations":${annotations},"startsAt":"${startsAt}",${generator}}`
    pieces.push({ text: (alert > 0 ? ',' : '') + text, alert })
  }
  if (shape.for === 'webhook') {
    const commons = shape.alerts === 1 ? labels : '{"alertname":"TokenBucketDepleted"}'
    pieces.push({
      text: `],"groupLabels":{"alertname":"TokenBucketDepleted"},"commonLabels":${commons},"commonAnnotations":${annotations},"externalURL":"http://alertmanager:9093","version":"4","groupKey":"{}:{alertname=\\"TokenBucketDepleted\\"}","truncatedAlerts":0}`,
      alert: 0,
    })
  } else pieces.push({ text: ']', alert: 0 })
  const length = pieces.reduce((sum, { text }) => sum + text.length, 0)
  const path = shape.for === 'webhook' ? '/webhooks/alertmanager' : '/api/v2/alerts'
  const head = `POST ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: Alertmanager/0.25.0\r\nContent-Length: ${length}\r\nAuthorization: Bearer ${TOKEN}\r\nContent-Type: application/json\r\n\r\n`

  const places: { at: number; kind: string; alert: number }[] = []
  let at = head.length
  for (const { text, alert } of pieces) {
    for (const match of text.matchAll(STAND_IN)) places.push({ at: at + match.index, kind: match[0], alert })
    at += text.length
  }
  const model = Buffer.from(head + pieces.map(({ text }) => text).join(''), 'latin1')
  const make = (): Request => {
    const bytes = Buffer.from(model)
    return {
      bytes,
      set(n) {
        const first = n * shape.alerts
        for (const { at, kind, alert } of places) {
          const number = first + alert
          if (kind === NUMBER) digits(bytes, at, 9, number)
          else if (kind === FINGERPRINT) hash(bytes, at, number)
          else if (kind === SERVICE) digits(bytes, at, 3, number % 100)
          else if (kind === REGION) bytes[at] = 65 + (Math.floor(number / 100) % 2)
          else bytes[at] = 48 + (number % (shape.shards ?? 1))
        }
      },
    }
  }
  return { make, bytes: length, alerts: shape.alerts }
}

function digits(bytes: Buffer, at: number, width: number, value: number): void {
  let rest = value
  for (let i = at + width - 1; i >= at; i--) {
    bytes[i] = 48 + (rest % 10)
    rest = Math.floor(rest / 10)
  }
}

const HEX = Buffer.from('0123456789abcdef', 'latin1')

/** Scattered like real fingerprints: rising ones would flatter a B-tree. One to one, so that none collide. */
function hash(bytes: Buffer, at: number, value: number): void {
  let high = Math.imul(value ^ 0x5bd1e995, 0x9e3779b1)
  high = Math.imul(high ^ (high >>> 15), 0x85ebca6b)
  high ^= high >>> 13
  let low = Math.imul(value + 0x27d4eb2f, 0xc2b2ae35)
  low ^= low >>> 16
  for (let i = 0; i < 8; i++) bytes[at + i] = HEX[(high >>> (i * 4)) & 15] ?? 0
  for (let i = 0; i < 8; i++) bytes[at + 8 + i] = HEX[(low >>> (i * 4)) & 15] ?? 0
}
