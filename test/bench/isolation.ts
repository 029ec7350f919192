import { maker } from './lib/bodies.ts'
import { type Benchmark, bench, pause } from './lib/context.ts'
import { atRate } from './lib/load.ts'
import { startClaw } from './lib/servers.ts'
import { type Mood, openSink } from './lib/sink.ts'
import { median, percentile, type Row, shown } from './lib/stats.ts'

const RATE = 100
const FAULTS = ['hang', '429', '500', 'reset'] as const

/** One destination is ill; how long new incidents take to reach the other. Quiet and each illness in turn. */
export const isolation: Benchmark = async (context) => {
  const p99 = new Map<Mood, number[]>()
  for (let round = 0; round < context.rounds; round++) {
    for (const mood of ['ok', ...FAULTS] as const) {
      const times = await bench(async (folder, open) => {
        const good = open(await openSink())
        const ill = open(await openSink())
        const config = {
          receivers: [
            { name: 'good', webhook: { url: good.url } },
            { name: 'ill', webhook: { url: ill.url } },
          ],
          route: { receiver: 'good', routes: [{ receiver: 'good', continue: true }, { receiver: 'ill' }] },
        }
        const claw = open(await startClaw({ main: context.main, folder, config }))
        const one = maker({ alerts: 1, services: 'each', for: 'webhook' })
        const arrived = new Map<string, number>()
        good.onRequest = (_head, body) => {
          const service = /svc-\d{9}/.exec(body)?.[0] ?? ''
          if (!arrived.has(service)) arrived.set(service, performance.now())
        }
        ill.mood = mood
        const load = { ports: [claw.port], maker: one }
        await atRate({ ...load, first: 0 }, RATE, 1)
        const began = performance.now()
        const result = await atRate({ ...load, first: RATE }, RATE, context.seconds)
        if (result.failed > 0) throw new Error(`${mood}: ${result.failed} webhooks were not answered 200`)
        await pause(300)
        const measured: number[] = []
        for (let i = 0; i < result.sent; i++) {
          const at = arrived.get(`svc-${String(RATE + i).padStart(9, '0')}`)
          measured.push(at === undefined ? Number.POSITIVE_INFINITY : at - (began + (i / RATE) * 1000))
        }
        return measured
      })
      const value = percentile(times, 99)
      p99.set(mood, [...(p99.get(mood) ?? []), value])
      context.note(`round ${round} ${mood}: p50 ${shown(percentile(times, 50))}, p99 ${shown(value)} ms`)
    }
  }
  const quiet = median(p99.get('ok') ?? [])
  return FAULTS.map((fault): Row => {
    const value = median(p99.get(fault) ?? [])
    return {
      name: `isolation: other ${fault}`,
      claw: `p99 ${shown(value)} ms`,
      reference: `${shown(quiet)} ms when all is well`,
      ratio: value / quiet,
      goal: '<= 1.50',
      met: value / quiet <= 1.5,
    }
  })
}
