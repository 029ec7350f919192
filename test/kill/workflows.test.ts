import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import type { StoryEvent } from '../../src/core/view.ts'
import type { WorkflowRun } from '../../src/core/workflow.ts'
import { openReader } from '../../src/store/store.ts'
import { startEdge } from './edge.ts'
import { freePort } from './harness.ts'
import { type Running, spawnClaw } from './router.ts'

/** `all`: before and after every request; else after every request, and before those that change something. */
const ALL = process.env.CLAW_STEP_KILLS === 'all'
/** contract.md, section 8: workflows go on within 5 s of a restart */
const GO_ON_MS = 5_000
const PATIENCE_MS = 30_000

type Case = { name: string; command: string; sick?: boolean; ends: WorkflowRun['state']; receiving: string[] }

const CASES: Case[] = [
  { name: 'reconcile', command: 'reconcile A B', ends: 'succeeded', receiving: ['A', 'B'] },
  { name: 'reset', command: 'reset A', ends: 'succeeded', receiving: ['A', 'B'] },
  { name: 'capacity', command: 'capacity A 1.5 10m', ends: 'succeeded', receiving: ['A', 'B'] },
  { name: 'revert', command: 'revert A', ends: 'succeeded', receiving: ['A', 'B'] },
  { name: 'canary abort', command: 'canary abort', ends: 'succeeded', receiving: ['A', 'B'] },
  { name: 'failover', command: 'failover A B', ends: 'succeeded', receiving: ['B'] },
  {
    name: 'failover that does not validate',
    command: 'failover A B',
    sick: true,
    ends: 'failed',
    receiving: ['A', 'B'],
  },
]

for (const one of CASES) {
  test(`${one.name}, the process killed at each step: finishes, each effect once`, async (t) => {
    const calm = await runTrial(t, one, null)
    const points = calm.requests.flatMap((request, at) => [
      ...(ALL || request.startsWith('P') ? [{ n: at + 1, phase: 'before' as const }] : []),
      { n: at + 1, phase: 'after' as const },
    ])
    assert.ok(points.length > 0, 'nothing was asked of the edge')
    let slowest = 0
    for (const point of points) {
      const where = `killed ${point.phase} request ${point.n}, ${calm.requests[point.n - 1]}`
      const trial = await runTrial(t, one, point)
      assert.equal(trial.killed, true, where)
      assert.deepEqual(trial.effects, calm.effects, where)
      assert.deepEqual(trial.lines, calm.lines, where)
      slowest = Math.max(slowest, trial.wentOnAfter)
    }
    t.diagnostic(`${points.length} kills; ${calm.effects.join(', ')}; slowest went on after ${Math.round(slowest)} ms`)
    assert.ok(slowest <= GO_ON_MS, `went on only ${slowest} ms after it was ready again`)
  })
}

test('rollback, the process killed at each step: traffic is back, each effect once', async (t) => {
  const one: Case = { name: 'rollback', command: 'rollback o1', ends: 'succeeded', receiving: ['A', 'B'] }
  const calm = await runTrial(t, one, null, 'failover A B')
  for (const [at, request] of calm.requests.entries()) {
    const trial = await runTrial(t, one, { n: at + 1, phase: 'after' }, 'failover A B')
    assert.equal(trial.killed, true, request)
    assert.deepEqual(trial.effects, calm.effects, request)
  }
})

type Trial = {
  requests: string[]
  /** changes that the edge made, in order */
  effects: string[]
  /** what the incident's thread says of it, without figures that depend on time */
  lines: string[]
  killed: boolean
  wentOnAfter: number
}

/** One operation from command to end, with the real process; killed at `point`. `first` is another one that ends before. */
async function runTrial(
  t: TestContext,
  one: Case,
  point: { n: number; phase: 'before' | 'after' } | null,
  first?: string,
): Promise<Trial> {
  const folder = await mkdtemp(join(tmpdir(), 'claw-steps-'))
  const edge = await startEdge()
  edge.sickAfterFailover = one.sick === true
  const port = await freePort()
  const config = join(folder, 'claw.yaml')
  await writeFile(config, configOf(edge.url, port, folder))
  let claw: Running = spawnClaw(config, CACHE)
  t.after(() => claw.signal('SIGKILL'))
  try {
    await claw.ready
    await openIncident(port)
    if (first !== undefined) {
      await say(port, first)
      await over(port, 1)
      edge.requests.length = 0
      edge.effects.length = 0
    }
    let killed = false
    let readyAt = 0
    let wentOnAt = 0
    const dead = Promise.withResolvers<void>()
    edge.onRequest = (n, phase) => {
      if (point && !killed && n === point.n && phase === point.phase) {
        killed = true
        // At once, not in a later turn: the answer must not get out first.
        claw.signal('SIGKILL')
        dead.resolve()
        return false
      }
      if (killed && wentOnAt === 0) wentOnAt = performance.now()
      return true
    }
    // A killed process gives no answer.
    const said = point ? say(port, one.command).catch(() => {}) : say(port, one.command)
    if (point) {
      await Promise.race([dead.promise, expire()])
      await claw.ended
      await said
      claw = spawnClaw(config, CACHE)
      await claw.ready
      readyAt = performance.now()
    } else await said
    const id = first === undefined ? 1 : 2
    await over(port, id)
    claw.signal('SIGTERM')
    assert.equal(await claw.ended, 0, claw.complaints().join('\n'))
    const { run, story } = await stored(folder, id)
    assert.equal(run.state, one.ends, run.outcome ?? '')
    assert.deepEqual(edge.receiving(), one.receiving)
    const lines = story
      .filter(({ kind }) => /^(operation|step)/.test(kind))
      .map(({ text }) => text.replace(/\d+ m?s/g, 'N s'))
    assert.equal(new Set(lines).size, lines.length, 'a line stands twice in the story')
    return {
      requests: edge.requests,
      effects: edge.effects.map(({ call }) => call),
      lines,
      killed,
      wentOnAfter: wentOnAt > 0 ? Math.max(0, wentOnAt - readyAt) : 0,
    }
  } finally {
    claw.signal('SIGKILL')
    await edge.close()
    await rm(folder, { recursive: true, force: true })
  }
}

const CACHE = join(tmpdir(), 'claw-steps-cache')

function configOf(edge: string, port: number, folder: string): string {
  return `
installation: steps
listen: 127.0.0.1:${port}
store: ${JSON.stringify(`sqlite:${folder}/claw.db`)}
log: { level: info }
alertmanager: { token: steps }
edge: { url: ${edge}, token: steps }
failover: { propagation_wait: 2s, soak: 1s }
actions:
  reconcile: { settle: 1s }
  revert: { capacity_factor: 1.5, capacity_for: 10m, watch: 1s }
api: { tokens: { Dana: steps } }
people: [{ name: Dana, roles: [commander] }]
`
}

async function openIncident(port: number): Promise<void> {
  const labels = { alertname: 'CrdtConflictsHigh', service: 'rating-api', region: 'A', severity: 'warning' }
  const alert = {
    fingerprint: '0123456789abcdef',
    status: 'firing',
    labels,
    annotations: {},
    startsAt: new Date().toISOString(),
    endsAt: '0001-01-01T00:00:00Z',
    generatorURL: '',
  }
  const answer = await fetch(`http://127.0.0.1:${port}/webhooks/alertmanager`, {
    method: 'POST',
    headers: { Authorization: 'Bearer steps', 'Content-Type': 'application/json' },
    body: JSON.stringify({ version: '4', receiver: 'claw', status: 'firing', externalURL: '', alerts: [alert] }),
  })
  assert.equal(answer.status, 200)
}

async function ask(port: number, text: string): Promise<{ ok: boolean; body: string }> {
  const answer = await fetch(`http://127.0.0.1:${port}/api/v1/commands`, {
    method: 'POST',
    headers: { Authorization: 'Bearer steps', 'Content-Type': 'application/json' },
    body: JSON.stringify({ text, confirm: true }),
  })
  return { ok: answer.ok, body: await answer.text() }
}

async function say(port: number, command: string): Promise<void> {
  const { ok, body } = await ask(port, command)
  assert.ok(ok, `${command}: ${body}`)
}

/**
 * Resolves when the operation is over; one that a killed process had only been asked for begins after the restart. It ends in
 * another process, so this can only be asked.
 */
async function over(port: number, id: number): Promise<void> {
  const until = Date.now() + PATIENCE_MS
  for (;;) {
    const { body } = await ask(port, `operations o${id}`)
    if (/"state":"(succeeded|failed|cancelled)"/.test(body)) return
    if (Date.now() > until) assert.fail(`operation o${id} is not over after ${PATIENCE_MS / 1000} s: ${body}`)
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
}

function expire(): Promise<never> {
  return new Promise((_, reject) => {
    setTimeout(() => reject(new Error('the step to kill at was never reached')), PATIENCE_MS).unref()
  })
}

async function stored(folder: string, id: number): Promise<{ run: WorkflowRun; story: StoryEvent[] }> {
  const reader = await openReader(`sqlite:${folder}/claw.db`)
  try {
    const run = await reader.workflow(id)
    assert.ok(run, `there is no operation o${id}`)
    return { run, story: await reader.story(1, 200) }
  } finally {
    await reader.close()
  }
}
