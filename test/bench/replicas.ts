import { maker } from './lib/bodies.ts'
import { type Benchmark, bench, pause } from './lib/context.ts'
import { closed } from './lib/load.ts'
import { startPostgres } from './lib/postgres.ts'
import { postingTo, startClaw, storedAlerts } from './lib/servers.ts'
import { openSink } from './lib/sink.ts'
import { median, type Row, shown } from './lib/stats.ts'

/** Two processes on one PostgreSQL against one, nothing pinned; and nothing delivered twice. */
export const replicas: Benchmark = (context) =>
  bench(async (folder, open) => {
    const sink = open(await openSink())
    const seen = new Map<string, number>()
    sink.onRequest = (head) => {
      const key = /\r\nidempotency-key: *(\S+)/i.exec(head)?.[1] ?? ''
      seen.set(key, (seen.get(key) ?? 0) + 1)
    }
    const postgres = open(await startPostgres(folder, null))
    const one = maker({ alerts: 1, services: 100, for: 'webhook' })
    // Each side has a database of its own; the installation tells their messages apart.
    const sides = await Promise.all(
      ['one', 'two'].map(async (name) => {
        const store = await postgres.url(name)
        const config = { ...postingTo(sink.url), installation: name }
        const count = name === 'one' ? 1 : 2
        const ports: number[] = []
        for (let i = 0; i < count; i++) {
          ports.push(open(await startClaw({ main: context.main, folder, store, config, core: null })).port)
        }
        return { name, store, ports, first: 0, rates: [] as number[] }
      }),
    )
    for (let round = 0; round <= context.rounds; round++) {
      for (const side of sides) {
        const result = await closed({ ports: side.ports, maker: one, first: side.first }, { seconds: context.seconds })
        if (result.failed > 0) throw new Error(`${side.name}: ${result.failed} requests were not answered 200`)
        side.first += result.sent
        if (round > 0) side.rates.push(result.ok / result.seconds)
        context.note(`round ${round} ${side.name}: ${shown(result.ok / result.seconds)}/s`)
        // the edits that wait are sent before the other side is measured
        await pause(1500)
      }
    }
    for (const { name, store, first } of sides) {
      const stored = await storedAlerts(store)
      if (stored !== first) throw new Error(`${name}: ${first} alerts were answered 200, ${stored} are stored`)
    }
    const [single = [], pair = []] = sides.map((side) => side.rates)
    const twice = [...seen.values()].filter((times) => times > 1).length
    const ratio = median(pair) / median(single)
    const row: Row = {
      name: 'replicas: two on one PostgreSQL',
      claw: `${shown(median(pair))}/s, ${twice} of ${shown(seen.size)} delivered twice`,
      reference: `${shown(median(single))}/s one process`,
      ratio,
      goal: '>= 1.00, none twice',
      met: ratio >= 1 && twice === 0,
    }
    return [row]
  })
