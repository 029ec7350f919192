import { maker } from './lib/bodies.ts'
import { type Benchmark, bench, pause } from './lib/context.ts'
import { atRate, closed } from './lib/load.ts'
import { pagingTo, postingTo, startClaw, startExpress } from './lib/servers.ts'
import { openSink } from './lib/sink.ts'
import { median, percentile, type Row, shown } from './lib/stats.ts'

/** p99 of the 200 at half of Claw's own top rate, against bare Express at the same rate. */
export const latency: Benchmark = (context) =>
  bench(async (folder, open) => {
    const sink = open(await openSink())
    const claw = open(await startClaw({ main: context.main, folder, config: pagingTo(sink.url) }))
    const express = open(await startExpress())
    const one = maker({ alerts: 1, services: 100, for: 'webhook' })
    let first = 0
    let top = 0
    for (const port of [express.port, claw.port, claw.port]) {
      const warm = await closed({ ports: [port], maker: one, first }, { seconds: context.seconds })
      first += warm.sent
      top = warm.ok / warm.seconds
    }
    const rate = top / 2
    context.note(`top rate ${shown(top)}/s, so ${shown(rate)}/s`)
    const p99: { [name: string]: number[] } = { claw: [], express: [] }
    const p50: { [name: string]: number[] } = { claw: [], express: [] }
    for (let round = 0; round < context.rounds; round++) {
      for (const [name, port] of [
        ['claw', claw.port],
        ['express', express.port],
      ] as const) {
        const result = await atRate({ ports: [port], maker: one, first }, rate, context.seconds)
        first += result.sent
        if (result.failed > 0) throw new Error(`${name}: ${result.failed} requests were not answered 200`)
        p99[name]?.push(percentile(result.latencies, 99))
        p50[name]?.push(percentile(result.latencies, 50))
        context.note(
          `round ${round} ${name}: p50 ${shown(percentile(result.latencies, 50))} ms, p99 ${shown(percentile(result.latencies, 99))} ms`,
        )
      }
    }
    const mine = median(p99.claw ?? [])
    const theirs = median(p99.express ?? [])
    return [
      {
        name: `latency at ${shown(rate)}/s`,
        claw: `p50 ${shown(median(p50.claw ?? []))}, p99 ${shown(mine)} ms`,
        reference: `p50 ${shown(median(p50.express ?? []))}, p99 ${shown(theirs)} ms bare Express`,
        ratio: mine / theirs,
        goal: 'p99 <= 5 times and <= 20 ms',
        met: mine <= 5 * theirs && mine <= 20,
      },
    ]
  })

/** PagerDuty takes 60 at once per integration key; with so many keys, pages of one run stay below. */
const SHARDS = 8

/** Webhook sent to request complete at the destination, one at a time, a quiet system. */
export const pageLatency: Benchmark = async (context) => {
  const rows: Row[] = []
  for (const kind of ['webhook', 'pagerduty'] as const) {
    const times = await bench(async (folder, open) => {
      const sink = open(await openSink())
      const keys = Array.from({ length: SHARDS }, (_, i) => String(i))
      const paging = {
        ...pagingTo(sink.url),
        receivers: keys.map((key) => ({
          name: `r${key}`,
          pagerduty: { routing_key: key.repeat(32), name: `k${key}` },
        })),
        route: {
          receiver: 'r0',
          routes: keys.map((key) => ({ matchers: [`shard="${key}"`], receiver: `r${key}` })),
        },
      }
      const config = kind === 'webhook' ? postingTo(sink.url) : paging
      const claw = open(await startClaw({ main: context.main, folder, config }))
      const one = maker({ alerts: 1, services: 'each', for: 'webhook', shards: SHARDS })
      const measured: number[] = []
      const warmUp = 30
      for (let n = 0; n < warmUp + context.rounds * 40; n++) {
        const arrived = new Promise<number>((resolve) => {
          const mark = `svc-${String(n).padStart(9, '0')}`
          sink.onRequest = (_head, body) => {
            if (body.includes(mark)) resolve(performance.now())
          }
        })
        const sent = performance.now()
        await closed({ ports: [claw.port], maker: one, first: n, connections: 1 }, { count: 1 })
        const at = await Promise.race([arrived, pause(10_000)])
        if (at === undefined) throw new Error(`page ${n} did not reach the ${kind} within 10 s`)
        if (n >= warmUp) measured.push(at - sent)
        await pause(15)
      }
      return measured
    })
    const p50 = percentile(times, 50)
    const p99 = percentile(times, 99)
    rows.push({
      name: `page-latency ${kind}`,
      claw: `p50 ${shown(p50)}, p99 ${shown(p99)} ms`,
      reference: 'Alertmanager was 0.5, 1.7 ms',
      ratio: null,
      goal: 'p50 <= 5, p99 <= 20 ms',
      met: p50 <= 5 && p99 <= 20,
    })
  }
  return rows
}
