import { cpSync } from 'node:fs'
import { join } from 'node:path'
import { maker } from './lib/bodies.ts'
import { type Benchmark, bench, type Context, pause } from './lib/context.ts'
import { closed } from './lib/load.ts'
import { hasAlertmanager, postingTo, startAlertmanager, startClaw } from './lib/servers.ts'
import { openSink, type Sink } from './lib/sink.ts'
import { median, type Row, shown } from './lib/stats.ts'

/** Incidents, or groups of Alertmanager, that come due together. */
const COUNT = 10_000
/** Counted until so many have come: what was being sent when the process was killed is looked at again after a pause. */
const COUNTED = COUNT - 200
/** Alertmanager 0.25 on 2 shared cores, webhooks sent per second. */
const ALERTMANAGER_RATE = 6500

/** Counts requests until `COUNTED` have come. @returns requests a second from the first to the last */
function arrivals(sink: Sink): Promise<number> {
  return new Promise((resolve, reject) => {
    let first = 0
    let seen = 0
    const timer = setTimeout(() => reject(new Error(`only ${seen} of ${COUNTED} requests came within 60 s`)), 60_000)
    sink.onRequest = () => {
      seen += 1
      if (seen === 1) first = performance.now()
      if (seen !== COUNTED) return
      clearTimeout(timer)
      resolve((COUNTED - 1) / ((performance.now() - first) / 1000))
    }
  })
}

/** Messages a second to an unpaced, fast destination: a backlog of distinct incidents is drained by a fresh process. */
export const deliveries: Benchmark = (context) =>
  bench(async (folder, open) => {
    const sink = open(await openSink())
    const backlog = join(folder, 'backlog')
    const config = postingTo(sink.url)
    sink.mood = 'hang'
    const full = await startClaw({ main: context.main, folder: backlog, config })
    const hundred = maker({ alerts: 100, services: 'each', for: 'webhook' })
    await closed({ ports: [full.port], maker: hundred, first: 0 }, { count: COUNT / 100 })
    await full.stop('SIGKILL')
    const rates: number[] = []
    const theirs: number[] = []
    for (let round = 0; round < context.rounds; round++) {
      sink.mood = 'ok'
      const copy = join(folder, `round-${round}`)
      cpSync(backlog, copy, { recursive: true })
      const done = arrivals(sink)
      const claw = await startClaw({ main: context.main, folder: copy, config })
      rates.push(await done)
      await claw.stop()
      context.note(`round ${round} claw: ${shown(rates.at(-1) ?? 0)}/s`)
      if (!hasAlertmanager) continue
      theirs.push(await ofAlertmanager(context, join(folder, `am-${round}`), sink))
      context.note(`round ${round} alertmanager: ${shown(theirs.at(-1) ?? 0)}/s`)
    }
    const rate = median(rates)
    const reference = theirs.length > 0 ? median(theirs) : ALERTMANAGER_RATE
    const row: Row = {
      name: 'deliveries',
      claw: `${shown(rate)}/s`,
      reference: `${shown(reference)}/s Alertmanager${theirs.length > 0 ? '' : ' (not installed: figure of old)'}`,
      ratio: rate / reference,
      goal: `>= 1.00, >= ${shown(ALERTMANAGER_RATE)}/s`,
      met: rate >= reference && rate >= ALERTMANAGER_RATE,
    }
    return [row]
  })

async function ofAlertmanager(_context: Context, folder: string, sink: Sink): Promise<number> {
  const done = arrivals(sink)
  const alertmanager = await startAlertmanager(folder, `${sink.url}/`)
  try {
    const hundred = maker({ alerts: 100, services: 'each', for: 'alertmanager' })
    await closed({ ports: [alertmanager.port], maker: hundred, first: 0 }, { count: COUNT / 100 })
    return await done
  } finally {
    await alertmanager.stop('SIGKILL')
    await pause(100)
  }
}
