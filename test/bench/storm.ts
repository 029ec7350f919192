import { join } from 'node:path'
import { maker } from './lib/bodies.ts'
import { memory } from './lib/child.ts'
import { type Benchmark, bench, pause } from './lib/context.ts'
import { closed } from './lib/load.ts'
import { pagingTo, startClaw, storedAlerts } from './lib/servers.ts'
import { openSink } from './lib/sink.ts'
import { median, percentile, shown } from './lib/stats.ts'

const ALERTS = 100_000
const SERVICES = 100

/** 100 000 distinct alerts of 100 services as fast as they go in, one webhook each, into a process that has just started. */
export const storm: Benchmark = async (context) => {
  const seconds: number[] = []
  const peaks: number[] = []
  const pages: number[] = []
  const messages: number[] = []
  for (let round = 0; round < Math.min(context.rounds, 3); round++) {
    await bench(async (folder, open) => {
      const sink = open(await openSink())
      let firstPage = Number.NaN
      const keys = new Set<string>()
      sink.onRequest = (_head, body) => {
        if (Number.isNaN(firstPage)) firstPage = performance.now()
        keys.add(/"dedup_key":"([^"]*)"/.exec(body)?.[1] ?? '')
      }
      const claw = open(await startClaw({ main: context.main, folder, config: pagingTo(sink.url) }))
      const began = performance.now()
      const load = { ports: [claw.port], maker: maker({ alerts: 1, services: SERVICES, for: 'webhook' }), first: 0 }
      const result = await closed(load, { count: ALERTS })
      const stored = await storedAlerts(`sqlite:${join(folder, 'claw.db')}`)
      if (result.ok !== ALERTS || stored !== ALERTS) {
        throw new Error(`of ${ALERTS} webhooks ${result.ok} were answered 200, ${stored} are stored`)
      }
      await pause(1000)
      if (keys.size > SERVICES) throw new Error(`${keys.size} PagerDuty incidents for ${SERVICES} incidents`)
      seconds.push(result.seconds)
      peaks.push(memory(claw.child.pid).peak)
      pages.push((firstPage - began) / 1000)
      messages.push(sink.received)
      context.note(
        `round ${round}: ${result.seconds.toFixed(2)} s, ${shown(peaks.at(-1) ?? 0)} MiB, first page ${((firstPage - began) / 1000).toFixed(3)} s, ${sink.received} messages`,
      )
    })
  }
  const took = median(seconds)
  const peak = percentile(peaks, 100)
  const page = percentile(pages, 100)
  const sent = percentile(messages, 100)
  return [
    {
      name: 'storm of 100 000',
      claw: `${shown(took)} s, peak ${shown(peak)} MiB`,
      reference: '',
      ratio: null,
      goal: '<= 8 s, <= 250 MiB',
      met: took <= 8 && peak <= 250,
    },
    {
      name: 'storm: pages',
      claw: `first after ${shown(page)} s, ${sent} messages for ${SERVICES} incidents`,
      reference: '',
      ratio: null,
      goal: 'first <= 1 s',
      met: page <= 1,
    },
  ]
}
