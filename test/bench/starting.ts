import { cpSync } from 'node:fs'
import { join } from 'node:path'
import { maker } from './lib/bodies.ts'
import { type Benchmark, bench } from './lib/context.ts'
import { closed } from './lib/load.ts'
import { pagingTo, startClaw } from './lib/servers.ts'
import { openSink } from './lib/sink.ts'
import { median, type Row, shown } from './lib/stats.ts'

const OPEN = 100_000

/** From the start of the process until /readyz says 200, all three chat platforms configured. */
export const starting: Benchmark = (context) =>
  bench(async (folder, open) => {
    const sink = open(await openSink())
    const config = {
      ...pagingTo(sink.url),
      slack: { bot_token: 'xoxb-bench', api_url: `${sink.url}/` },
      telegram: { bot_token: '1:bench', api_root: sink.url },
      receivers: [
        { name: 'critical', pagerduty: {}, slack: { channel: 'C1' }, telegram: { chat: '-1' } },
        { name: 'default', slack: { channel: 'C2' } },
      ],
    }
    const full = join(folder, 'full')
    const filled = await startClaw({ main: context.main, folder: full, config: pagingTo(sink.url) })
    const hundred = maker({ alerts: 100, services: 100, for: 'webhook' })
    await closed({ ports: [filled.port], maker: hundred, first: 0 }, { count: OPEN / 100 })
    await filled.stop('SIGKILL')

    const times: { empty: number[]; full: number[] } = { empty: [], full: [] }
    for (let round = 0; round < context.rounds; round++) {
      for (const state of ['empty', 'full'] as const) {
        const place = join(folder, `${state}-${round}`)
        if (state === 'full') cpSync(full, place, { recursive: true })
        const began = performance.now()
        const claw = await startClaw({ main: context.main, folder: place, config })
        const ready = await fetch(`http://127.0.0.1:${claw.port}/readyz`)
        const took = (performance.now() - began) / 1000
        await ready.arrayBuffer()
        await claw.stop('SIGKILL')
        if (!ready.ok) throw new Error(`/readyz answered ${ready.status}`)
        times[state].push(took)
        context.note(`round ${round} ${state}: ${took.toFixed(2)} s`)
      }
    }
    const row = (name: string, values: number[], goal: number): Row => ({
      name,
      claw: `${shown(median(values))} s`,
      reference: '',
      ratio: null,
      goal: `<= ${goal} s`,
      met: median(values) <= goal,
    })
    return [row('start, empty', times.empty, 1), row('start, 100 000 alerts', times.full, 2)]
  })
