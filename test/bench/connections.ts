import { join } from 'node:path'
import { maker } from './lib/bodies.ts'
import { type Benchmark, bench } from './lib/context.ts'
import { burst, closed } from './lib/load.ts'
import { pagingTo, startClaw, storedAlerts } from './lib/servers.ts'
import { openSink } from './lib/sink.ts'
import { shown } from './lib/stats.ts'

const COUNT = 10_000

/** What Alertmanager does when 10 000 groups come due together. Needs `ulimit -n` above 10 200. */
export const connections: Benchmark = (context) =>
  bench(async (folder, open) => {
    const sink = open(await openSink())
    const claw = open(await startClaw({ main: context.main, folder, config: pagingTo(sink.url) }))
    const one = maker({ alerts: 1, services: 100, for: 'webhook' })
    const warmUp = 2000
    await closed({ ports: [claw.port], maker: one, first: COUNT }, { count: warmUp })
    const result = await burst({ ports: [claw.port], maker: one, first: 0 }, COUNT)
    const stored = (await storedAlerts(`sqlite:${join(folder, 'claw.db')}`)) - warmUp
    return [
      {
        name: `connections ${shown(COUNT)} at once`,
        claw: `${shown(result.ok)} answered 200, ${shown(stored)} stored, ${result.seconds.toFixed(2)} s`,
        reference: '',
        ratio: null,
        goal: 'every one stored',
        met: result.ok === COUNT && stored === COUNT,
      },
    ]
  })
