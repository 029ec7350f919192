import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { chatops } from './chatops.ts'
import { connections } from './connections.ts'
import { deliveries } from './deliveries.ts'
import { failover } from './failover.ts'
import { ingest1, ingest100, ingestPg, repeats } from './ingest.ts'
import { isolation } from './isolation.ts'
import { latency, pageLatency } from './latency.ts'
import type { Benchmark } from './lib/context.ts'
import { canPin, LOAD_CORE, pinSelf } from './lib/pin.ts'
import { type Row, table } from './lib/stats.ts'
import { open100k } from './open.ts'
import { replicas } from './replicas.ts'
import { starting } from './starting.ts'
import { storm } from './storm.ts'

const BENCHMARKS: { [name: string]: Benchmark } = {
  'ingest-1': ingest1,
  'ingest-100': ingest100,
  'ingest-pg': ingestPg,
  repeats,
  latency,
  connections,
  'page-latency': pageLatency,
  deliveries,
  'open-100k': open100k,
  storm,
  start: starting,
  replicas,
  isolation,
  chatops,
  failover,
}

const USAGE = `node test/bench/main.ts [name…] [--rounds 5] [--seconds 2] [--main src/main.ts] [--profile DIR]
names: ${Object.keys(BENCHMARKS).join(', ')}; none: all
`

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    rounds: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '2' },
    main: { type: 'string', default: fileURLToPath(new URL('../../src/main.ts', import.meta.url)) },
    profile: { type: 'string' },
    help: { type: 'boolean' },
  },
})
const rounds = Number(values.rounds)
const seconds = Number(values.seconds)
const unknown = positionals.filter((name) => !Object.hasOwn(BENCHMARKS, name))
if (values.help || unknown.length > 0 || !(rounds >= 1) || !(seconds > 0)) {
  process.stderr.write(USAGE)
  process.exit(2)
}

// every Claw that stops by itself leaves a CPU profile there
if (values.profile !== undefined) process.env.CLAW_BENCH_PROFILE = values.profile
process.on('SIGINT', () => process.exit(130))
process.on('SIGTERM', () => process.exit(143))

if (canPin) pinSelf(LOAD_CORE)
else console.error('!!! taskset is missing: servers and load generator share the cores, ratios are rough')

const rows: Row[] = []
let broken = 0
for (const name of positionals.length > 0 ? positionals : Object.keys(BENCHMARKS)) {
  const began = performance.now()
  try {
    const note = (text: string) => console.error(`${name}: ${text}`)
    const found = await BENCHMARKS[name]?.({ rounds, seconds, main: values.main, note })
    rows.push(...(found ?? []))
  } catch (error) {
    broken += 1
    console.error(`!!! ${name}:`, error)
    rows.push({
      name,
      claw: 'failed',
      reference: (error as Error).message.slice(0, 60),
      ratio: null,
      goal: '',
      met: false,
    })
  }
  console.error(`${name}: took ${((performance.now() - began) / 1000).toFixed(0)} s`)
}
console.log(`\nnode ${process.version}, medians of ${rounds} rounds of ${seconds} s\n\n${table(rows)}`)
process.exitCode = broken > 0 || rows.some((row) => row.met === false) ? 1 : 0
