import type http from 'node:http'
import type { TestContext } from 'node:test'
import { json, type Seen, type Server, serve } from '../serve.ts'

export const TOKEN = 'cloudflare-token-secret'

export type FakeRecord = { id: string; type: string; name: string; content: string; ttl: number; proxied: boolean }

export type Fake = {
  server: Server
  records: FakeRecord[]
  balancer: { [key: string]: unknown }
  /** bodies of the PATCHes */
  patches: unknown[]
  /** called before a request is answered; true when it answered itself */
  before: (response: http.ServerResponse, seen: Seen) => boolean
}

/** The part of Cloudflare's API v4 that Claw calls: one zone, its records, one load balancer. */
export async function fakeCloudflare(t: TestContext): Promise<Fake> {
  const fake: Omit<Fake, 'server'> = { records: [], balancer: {}, patches: [], before: () => false }
  const server = await serve(t, (response, seen) => {
    if (fake.before(response, seen)) return
    if (seen.headers.authorization !== `Bearer ${TOKEN}`) return refuse(response, 403, 9109, 'Invalid access token')
    const url = new URL(seen.url, 'http://cloudflare.test')
    const [, , version, , zone, kind, id] = url.pathname.split('/')
    if (version !== 'v4' || zone !== 'z1') return refuse(response, 404, 7003, 'Could not route')
    if (seen.method === 'PATCH') fake.patches.push(JSON.parse(seen.body))
    const found = kind === 'dns_records' ? fake.records.find((record) => record.id === id) : fake.balancer
    if (seen.method === 'PATCH') Object.assign(found ?? {}, JSON.parse(seen.body))
    const listed = fake.records.filter((record) => record.name === url.searchParams.get('name'))
    const result = kind === 'dns_records' && id === undefined ? listed : found
    json(response, 200, { success: true, errors: [], messages: [], result })
  })
  return Object.assign(fake, { server })
}

export function refuse(response: http.ServerResponse, status: number, code: number, message: string): void {
  json(response, status, { success: false, errors: [{ code, message }], messages: [], result: null })
}
