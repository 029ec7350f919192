import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { z } from 'zod'

/** One change that the edge really made; a repeated Idempotency-Key makes none. */
export type Effect = { call: string; key: string }

export type FakeEdge = {
  url: string
  effects: Effect[]
  /** requests that a kill may fall on, so far: all but the listing of regions, which is polled */
  requests: string[]
  /**
   * called for each of them before it is worked on, and once more when its effect took place and no answer has left; with
   * false, the request is lost at that point
   */
  onRequest: (n: number, phase: 'before' | 'after') => boolean
  /** the target of a failover answers 503 from then on */
  sickAfterFailover: boolean
  receiving(): string[]
  close(): Promise<void>
}

const target = z.object({ region: z.string() })
const move = z.object({ from: z.string(), to: z.string() })

/** An edge of two regions whose operations are over at once; it honours the Idempotency-Key (contract.md, section 5). */
export async function startEdge(): Promise<FakeEdge> {
  const answers = new Map<string, { status: number; body: unknown }>()
  const receiving = new Set(['A', 'B'])
  const version: Record<string, string> = { A: '1.9.0', B: '1.9.0' }
  let diverged = true
  let weight = 10
  let sick = ''

  const CHANGES: Record<string, (body: unknown) => { status: number; body: unknown }> = {
    '/snapshots': () => ({ status: 201, body: { snapshot: 'snap_1' } }),
    '/reconcile': () => {
      diverged = false
      return started('reconcile')
    },
    '/buckets/reset': () => started('reset'),
    '/buckets/capacity': () => started('capacity'),
    '/scale': () => started('scale'),
    '/versions/revert': (body) => {
      version[target.parse(body).region] = '1.8.2'
      return started('revert')
    },
    '/failover': (body) => {
      const { from, to } = move.parse(body)
      // Whoever serves again takes its own clients back; a region that is left gives all it has.
      if (receiving.has(to)) receiving.delete(from)
      receiving.add(to)
      if (edge.sickAfterFailover && sick === '') sick = to
      return started('failover')
    },
    '/canary': () => {
      weight = 0
      return { status: 200, body: { weight } }
    },
    '/acknowledgements': () => ({ status: 201, body: {} }),
  }
  let operations = 0
  const started = (kind: string) => ({ status: 202, body: { operation: `op_${kind}_${++operations}` } })

  const shown = (region: string) => ({
    region,
    healthy: region !== sick,
    receiving: receiving.has(region),
    bucket: { capacity: 12_000, available: 11_400, ratio: 0.95 },
    sync_lag_seconds: 0.1,
    conflicts_per_minute: diverged ? 30 : 0,
    p95_latency_seconds: 0.05,
    error_ratio: 0,
    canary_weight: weight,
    version: version[region],
    request_rate: receiving.has(region) ? 300 : 0,
    refused_ratio: 0,
    refill_rate: 1_500,
  })
  const conflict = (n: number) => ({
    key: `tenant-${n}`,
    values: { A: 4, B: 60 },
    since: new Date(Date.now() - 60_000).toISOString(),
  })

  async function handle(req: IncomingMessage, res: ServerResponse): Promise<void> {
    const url = new URL(req.url ?? '/', 'http://edge')
    const path = url.pathname.replace('/admin/v1', '')
    const body = await text(req)
    const send = (status: number, value: unknown) => {
      res.writeHead(status, { 'Content-Type': 'application/json' }).end(JSON.stringify(value))
    }
    if (path === '/regions') {
      return send(200, { regions: ['A', 'B'].map(shown), at: new Date().toISOString() })
    }
    edge.requests.push(`${req.method} ${path.replace(/op_.*/, 'ID')}`)
    const n = edge.requests.length
    if (!edge.onRequest(n, 'before')) return void res.destroy()
    const answer = work()
    if (!edge.onRequest(n, 'after')) return void res.destroy()
    send(answer.status, answer.body)

    function work(): { status: number; body: unknown } {
      if (path === '/conflicts') return { status: 200, body: { conflicts: diverged ? [1, 2, 3].map(conflict) : [] } }
      if (path === '/health') {
        const region = url.searchParams.get('region')
        return region !== null && region === sick
          ? { status: 503, body: { detail: 'does not serve' } }
          : { status: 200, body: { status: 'ok' } }
      }
      if (path.startsWith('/operations/')) {
        const id = path.slice('/operations/'.length)
        const kind = id.split('_')[1]
        return { status: 200, body: { id, kind, state: 'succeeded', progress: 1, detail: 'done' } }
      }
      const change = CHANGES[path]
      const key = req.headers['idempotency-key']
      if (!change || typeof key !== 'string' || key === '') return { status: 400, body: { detail: `no ${path}` } }
      const first = answers.get(key)
      if (first) return first
      const made = change(JSON.parse(body))
      answers.set(key, made)
      edge.effects.push({ call: path, key })
      return made
    }
  }

  const server = createServer((req, res) => {
    handle(req, res).catch((error: unknown) => {
      if (!res.headersSent) res.writeHead(500)
      res.end(String(error))
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const edge: FakeEdge = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    effects: [],
    requests: [],
    onRequest: () => true,
    sickAfterFailover: false,
    receiving: () => [...receiving].sort(),
    close: () =>
      new Promise((resolve) => {
        server.closeAllConnections()
        server.close(() => resolve())
      }),
  }
  return edge
}
