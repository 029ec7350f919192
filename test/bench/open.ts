import { cpSync } from 'node:fs'
import { join } from 'node:path'
import { maker } from './lib/bodies.ts'
import { memory } from './lib/child.ts'
import { type Benchmark, bench, pause } from './lib/context.ts'
import { closed } from './lib/load.ts'
import { hasAlertmanager, pagingTo, startAlertmanager, startClaw } from './lib/servers.ts'
import { openSink } from './lib/sink.ts'
import { median, type Row, shown } from './lib/stats.ts'

export const OPEN = 100_000
/** Alertmanager 0.25, resident, with 100 000 active alerts; MiB. */
const ALERTMANAGER_MEMORY = 292

/** Ingest with 100 000 alerts open against none, and what they cost in memory. */
export const open100k: Benchmark = (context) =>
  bench(async (folder, open) => {
    const sink = open(await openSink())
    const config = pagingTo(sink.url)
    const hundred = maker({ alerts: 100, services: 100, for: 'webhook' })
    const one = maker({ alerts: 1, services: 100, for: 'webhook' })
    const full = join(folder, 'full')
    const filled = await startClaw({ main: context.main, folder: full, config })
    await closed({ ports: [filled.port], maker: hundred, first: 0 }, { count: OPEN / 100 })
    await pause(2000)
    const resident = memory(filled.child.pid).now
    await filled.stop()

    const rates: { empty: number[]; full: number[] } = { empty: [], full: [] }
    for (let round = 0; round < context.rounds; round++) {
      for (const state of ['empty', 'full'] as const) {
        const place = join(folder, `${state}-${round}`)
        if (state === 'full') cpSync(full, place, { recursive: true })
        const claw = await startClaw({ main: context.main, folder: place, config })
        const load = { ports: [claw.port], maker: one }
        await closed({ ...load, first: OPEN }, { count: 5000 })
        const result = await closed({ ...load, first: OPEN + 5000 }, { count: Math.round(5000 * context.seconds) })
        await claw.stop()
        if (result.failed > 0) throw new Error(`${result.failed} requests were not answered 200`)
        rates[state].push(result.ok / result.seconds)
        context.note(`round ${round} ${state}: ${shown(result.ok / result.seconds)}/s`)
      }
    }
    const ratio = median(rates.full) / median(rates.empty)
    const rows: Row[] = [
      {
        name: 'open-100k',
        claw: `${shown(median(rates.full))}/s`,
        reference: `${shown(median(rates.empty))}/s with none open`,
        ratio,
        goal: '>= 0.90',
        met: ratio >= 0.9,
      },
    ]
    let theirs = ALERTMANAGER_MEMORY
    if (hasAlertmanager) {
      const alertmanager = open(await startAlertmanager(join(folder, 'am')))
      const body = maker({ alerts: 100, services: 100, for: 'alertmanager' })
      await closed({ ports: [alertmanager.port], maker: body, first: 0 }, { count: OPEN / 100 })
      await pause(2000)
      theirs = memory(alertmanager.child.pid).now
    }
    rows.push({
      name: 'memory, 100 000 open',
      claw: `${shown(resident)} MiB`,
      reference: `${shown(theirs)} MiB Alertmanager${hasAlertmanager ? '' : ' (not installed: figure of old)'}`,
      ratio: resident / theirs,
      goal: `<= ${ALERTMANAGER_MEMORY} MiB`,
      met: resident <= ALERTMANAGER_MEMORY,
    })
    return rows
  })
