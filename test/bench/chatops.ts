import { maker } from './lib/bodies.ts'
import { type Benchmark, bench, pause } from './lib/context.ts'
import { atRate, closed } from './lib/load.ts'
import { startClaw } from './lib/servers.ts'
import { openSink } from './lib/sink.ts'
import { percentile, type Row, shown } from './lib/stats.ts'

const API_TOKEN = 'bench-api-token'
const OPEN = 1000
/** Half of the top rate that ingest reaches on one core of a shared machine. */
const RATE = 3000

/**
 * `status` and `ack` with 1000 incidents open while webhooks come in; and an acknowledgement learnt here until another
 * platform has been told (a webhook destination stands for it: the chat platforms are paced by their own limits).
 */
export const chatops: Benchmark = (context) =>
  bench(async (folder, open) => {
    const sink = open(await openSink())
    const claw = open(
      await startClaw({
        main: context.main,
        folder,
        config: {
          receivers: [{ name: 'sink', webhook: { url: sink.url } }],
          route: { receiver: 'sink' },
          api: { tokens: { Dana: API_TOKEN } },
          people: [{ name: 'Dana', roles: ['commander'] }],
        },
      }),
    )
    const each = maker({ alerts: 1, services: 'each', for: 'webhook' })
    await closed({ ports: [claw.port], maker: each, first: 0 }, { count: OPEN })
    const say = async (text: string): Promise<number> => {
      const began = performance.now()
      const answer = await fetch(`http://127.0.0.1:${claw.port}/api/v1/commands`, {
        method: 'POST',
        headers: { Authorization: `Bearer ${API_TOKEN}`, 'Content-Type': 'application/json' },
        body: JSON.stringify({ text }),
      })
      await answer.text()
      if (!answer.ok) throw new Error(`${text}: ${answer.status}`)
      return performance.now() - began
    }
    await say('status')
    const times: { [command: string]: number[] } = { status: [], ack: [] }
    let incident = 1
    let first = OPEN
    const steady = maker({ alerts: 1, services: 100, for: 'webhook' })
    for (let round = 0; round < context.rounds; round++) {
      const load = atRate({ ports: [claw.port], maker: steady, first }, RATE, context.seconds)
      const until = performance.now() + context.seconds * 900
      while (performance.now() < until) {
        times.status?.push(await say('status'))
        times.ack?.push(await say(`ack ${incident++} looking`))
        await pause(20)
      }
      first += (await load).sent
    }
    await pause(1000)
    const shownAfter: number[] = []
    for (let n = 0; n < 50; n++) {
      const id = incident++
      const arrived = new Promise<number>((resolve) => {
        sink.onRequest = (_head, body) => {
          if (body.includes(`"id":"${id}"`) && body.includes('"state":"acknowledged"')) resolve(performance.now())
        }
      })
      const began = performance.now()
      await say(`ack ${id}`)
      const at = await Promise.race([arrived, pause(5000)])
      if (at === undefined) throw new Error(`the acknowledgement of ${id} was not shown within 5 s`)
      shownAfter.push(at - began)
    }
    const row = (name: string, values: number[], goal: string, most: number): Row => ({
      name,
      claw: `p50 ${shown(percentile(values, 50))}, p99 ${shown(percentile(values, 99))} ms`,
      reference: '',
      ratio: null,
      goal,
      met: percentile(values, 99) <= most,
    })
    return [
      row('chatops status', times.status ?? [], 'p99 <= 300 ms', 300),
      row('chatops ack', times.ack ?? [], 'p99 <= 300 ms', 300),
      row('chatops ack shown elsewhere', shownAfter, 'p99 <= 1 s', 1000),
    ]
  })
