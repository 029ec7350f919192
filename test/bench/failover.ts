import { createServer } from 'node:http'
import { type Benchmark, bench } from './lib/context.ts'
import { startClaw } from './lib/servers.ts'
import { percentile, shown } from './lib/stats.ts'

const API_TOKEN = 'bench-api-token'
const EDGE_TOKEN = 'bench-edge-token'

/**
 * From the failover command (confirmed, nobody else has to agree) to the request that switches traffic, with an edge that
 * answers at once: our own time.
 */
export const failover: Benchmark = (context) =>
  bench(async (folder, open) => {
    const edge = open(await openEdge())
    const claw = open(
      await startClaw({
        main: context.main,
        folder,
        config: {
          edge: { url: edge.url, token: EDGE_TOKEN },
          failover: { propagation_wait: '1s', soak: '0s' },
          api: { tokens: { Dana: API_TOKEN } },
          people: [{ name: 'Dana', roles: ['commander'] }],
        },
      }),
    )
    const times: number[] = []
    for (let n = 0; n < context.rounds * 4; n++) {
      const [from, to] = n % 2 === 0 ? ['A', 'B'] : ['B', 'A']
      edge.begin(from, to)
      const switched = edge.nextSwitch()
      const began = performance.now()
      await say(claw.port, `failover ${from} ${to}`)
      times.push((await switched) - began)
      await ended(claw.port)
    }
    const p99 = percentile(times, 99)
    return [
      {
        name: 'failover command to switch',
        claw: `p50 ${shown(percentile(times, 50))}, p99 ${shown(p99)} ms`,
        reference: '',
        ratio: null,
        goal: '<= 1 s of our own time',
        met: p99 <= 1000,
      },
    ]
  })

async function say(port: number, text: string): Promise<void> {
  const answer = await fetch(`http://127.0.0.1:${port}/api/v1/commands`, {
    method: 'POST',
    headers: { Authorization: `Bearer ${API_TOKEN}`, 'Content-Type': 'application/json' },
    body: JSON.stringify({ text, confirm: true }),
  })
  if (!answer.ok) throw new Error(`${text}: ${answer.status} ${await answer.text()}`)
  await answer.text()
}

/** Resolves when no operation is under way; they end in another process, so this can only be asked. */
async function ended(port: number): Promise<void> {
  for (let n = 0; n < 300; n++) {
    const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text()
    const running = /^claw_actions_running (\d+)$/m.exec(text)?.[1]
    if (running === '0') return
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
  throw new Error('an operation did not end within 30 s')
}

/** An edge of two healthy regions whose every operation is done at once. */
async function openEdge() {
  let receiving = new Set(['A', 'B'])
  let onSwitch: ((at: number) => void) | null = null
  const server = createServer((req, res) => {
    let body = ''
    req.on('data', (chunk) => {
      body += chunk
    })
    req.on('end', () => {
      const path = req.url ?? ''
      const answer = (status: number, value: unknown) => {
        res.writeHead(status, { 'Content-Type': 'application/json' }).end(JSON.stringify(value))
      }
      if (path.startsWith('/admin/v1/regions')) {
        answer(200, { at: new Date().toISOString(), regions: ['A', 'B'].map((name) => regionOf(name, receiving)) })
      } else if (path === '/admin/v1/failover') {
        onSwitch?.(performance.now())
        const { to } = JSON.parse(body) as { to: string }
        receiving = new Set([to])
        answer(202, { operation: 'op_1' })
      } else if (path.startsWith('/admin/v1/operations/')) {
        answer(200, { id: 'op_1', kind: 'failover', state: 'succeeded', progress: 1, detail: 'done' })
      } else if (path.startsWith('/admin/v1/snapshots')) answer(201, { snapshot: 'snap_1' })
      else answer(200, { status: 'ok' })
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  if (typeof address !== 'object' || address === null) throw new Error('no address')
  return {
    url: `http://127.0.0.1:${address.port}`,
    begin(from: string, to: string) {
      receiving = new Set([from, to])
    },
    nextSwitch: () =>
      new Promise<number>((resolve, reject) => {
        const late = setTimeout(() => reject(new Error('traffic was not switched within 10 s')), 10_000)
        onSwitch = (at) => {
          clearTimeout(late)
          resolve(at)
        }
      }),
    close: () =>
      new Promise<void>((resolve) => {
        server.closeAllConnections()
        server.close(() => resolve())
      }),
  }
}

function regionOf(region: string, receiving: ReadonlySet<string>) {
  const receives = receiving.has(region)
  return {
    region,
    healthy: true,
    receiving: receives,
    bucket: { capacity: 12_000, available: 11_800, ratio: 0.98 },
    sync_lag_seconds: 0.1,
    conflicts_per_minute: 0,
    p95_latency_seconds: 0.04,
    error_ratio: 0,
    canary_weight: 0,
    version: '1.8.2',
    request_rate: receives ? 400 : 0,
    refused_ratio: 0,
    refill_rate: 1_500,
  }
}
