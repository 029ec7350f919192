import { join } from 'node:path'
import { type Maker, maker } from './lib/bodies.ts'
import { cpuSeconds } from './lib/child.ts'
import { type Benchmark, bench, type Context, skipped } from './lib/context.ts'
import { closed, type Result } from './lib/load.ts'
import { SERVER_CORE } from './lib/pin.ts'
import { startPostgres } from './lib/postgres.ts'
import {
  ALERTMANAGER,
  hasAlertmanager,
  pagingTo,
  type Server,
  startAlertmanager,
  startClaw,
  startExpress,
  storedAlerts,
} from './lib/servers.ts'
import { openSink } from './lib/sink.ts'
import { median, type Row, shown } from './lib/stats.ts'

/** One of the two that are compared: where it listens, what it is sent. */
type Side = { name: string; server: Server; maker: Maker }
type Options = { cycle?: number }

/** Alternates between the two sides; the first round only warms up. @returns alerts a second, one per round */
async function duel(context: Context, sides: [Side, Side], options: Options = {}) {
  const rates: [number[], number[]] = [[], []]
  const stored: [number, number] = [0, 0]
  for (let round = 0; round <= context.rounds; round++) {
    for (const [index, side] of sides.entries()) {
      const { cycle } = options
      const load = { ports: [side.server.port], maker: side.maker, first: cycle ? 0 : (stored[index] ?? 0), ...options }
      const cpu = cpuSeconds(side.server.child.pid)
      const result = await closed(load, { seconds: context.seconds })
      mustAllBeOk(side.name, result)
      stored[index as 0 | 1] += result.sent
      const rate = (result.ok * side.maker.alerts) / result.seconds
      if (round > 0) rates[index as 0 | 1].push(rate)
      // CPU time hardly notices what else the machine is doing
      const each = ((cpuSeconds(side.server.child.pid) - cpu) / result.ok / side.maker.alerts) * 1e6
      context.note(`round ${round} ${side.name}: ${shown(rate)} alerts/s, ${shown(each)} us of CPU each`)
    }
  }
  return { rates, stored }
}

function mustAllBeOk(name: string, { ok, failed }: Result): void {
  if (failed > 0) throw new Error(`${name} answered ${failed} of ${ok + failed} requests with something else than 200`)
}

async function mustBeStored(store: string, wanted: number): Promise<void> {
  const found = await storedAlerts(store)
  if (found !== wanted) throw new Error(`${wanted} alerts were answered 200, ${found} are stored`)
}

function row(name: string, [claw, reference]: [number[], number[]], goal: number, against: string): Row {
  const ratio = median(claw) / median(reference)
  return {
    name,
    claw: `${shown(median(claw))}/s`,
    reference: `${shown(median(reference))}/s ${against}`,
    ratio,
    goal: `>= ${goal.toFixed(2)}`,
    met: ratio >= goal,
  }
}

/** 1-alert webhooks, all distinct, on SQLite. */
export const ingest1: Benchmark = (context) =>
  bench(async (folder, open) => {
    const sink = open(await openSink())
    const claw = open(await startClaw({ main: context.main, folder, config: pagingTo(sink.url) }))
    const express = open(await startExpress())
    const one = maker({ alerts: 1, services: 100, for: 'webhook' })
    context.note(`bodies of ${one.bytes} bytes`)
    const { rates, stored } = await duel(context, [
      { name: 'claw', server: claw, maker: one },
      { name: 'express', server: express, maker: one },
    ])
    await mustBeStored(`sqlite:${join(folder, 'claw.db')}`, stored[0])
    return [row('ingest-1', rates, 0.4, 'bare Express')]
  })

/** The same on PostgreSQL, which shares the core with Claw. */
export const ingestPg: Benchmark = (context) =>
  bench(async (folder, open) => {
    const sink = open(await openSink())
    const postgres = open(await startPostgres(folder, SERVER_CORE))
    const store = await postgres.url('claw')
    const claw = open(await startClaw({ main: context.main, folder, store, config: pagingTo(sink.url) }))
    const express = open(await startExpress())
    const one = maker({ alerts: 1, services: 100, for: 'webhook' })
    const { rates, stored } = await duel(context, [
      { name: 'claw on postgres', server: claw, maker: one },
      { name: 'express', server: express, maker: one },
    ])
    await mustBeStored(store, stored[0])
    return [row('ingest-pg', rates, 0.35, 'bare Express')]
  })

/** Bodies of 100 distinct alerts, against what Alertmanager takes into memory. */
export const ingest100: Benchmark = async (context) => {
  if (!hasAlertmanager) return [skipped('ingest-100', '>= 1.00', `${ALERTMANAGER} is not installed`)]
  return bench(async (folder, open) => {
    const sink = open(await openSink())
    const claw = open(await startClaw({ main: context.main, folder, config: pagingTo(sink.url) }))
    const alertmanager = open(await startAlertmanager(join(folder, 'am')))
    const { rates, stored } = await duel(context, [
      { name: 'claw', server: claw, maker: maker({ alerts: 100, services: 100, for: 'webhook' }) },
      {
        name: 'alertmanager',
        server: alertmanager,
        maker: maker({ alerts: 100, services: 100, for: 'alertmanager' }),
      },
    ])
    await mustBeStored(`sqlite:${join(folder, 'claw.db')}`, stored[0] * 100)
    return [row('ingest-100', rates, 1, 'Alertmanager')]
  })
}

/** Known alerts again, as an HA twin or the repeat interval sends them. */
export const repeats: Benchmark = (context) =>
  bench(async (folder, open) => {
    const known = 5000
    const sink = open(await openSink())
    const claw = open(await startClaw({ main: context.main, folder, config: pagingTo(sink.url) }))
    const express = open(await startExpress())
    const one = maker({ alerts: 1, services: 100, for: 'webhook' })
    mustAllBeOk('claw', await closed({ ports: [claw.port], maker: one, first: 0 }, { count: known }))
    const { rates } = await duel(
      context,
      [
        { name: 'claw', server: claw, maker: one },
        { name: 'express', server: express, maker: one },
      ],
      { cycle: known },
    )
    await mustBeStored(`sqlite:${join(folder, 'claw.db')}`, known)
    return [row('repeats', rates, 0.6, 'bare Express')]
  })
