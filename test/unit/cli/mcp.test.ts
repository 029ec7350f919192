import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { pino } from 'pino'
import { commandSpecs } from '../../../handlers/commands/index.ts'
import { lineOf } from '../../../src/cli/mcp.ts'
import { createPages } from '../../../src/pages.ts'
import { startApp } from '../../support/app.ts'

const MAIN = fileURLToPath(new URL('../../../src/main.ts', import.meta.url))
const log = pino({ level: 'silent' })

type Message = { id?: number; result?: Record<string, unknown>; error?: { message: string } }

test('claw mcp: the real process on stdio lists the commands and runs them on the running Claw', async (t) => {
  const app = await startApp(
    t,
    `
api: { tokens: { Dana: secret-of-dana } }
people: [{ name: Dana, roles: [responder] }]
`,
    { pages: (parts, run) => createPages(parts, run, { sandbox: null, log }) },
  )
  const child = spawn(process.execPath, [MAIN, 'mcp'], {
    stdio: ['pipe', 'pipe', 'inherit'],
    env: { PATH: process.env.PATH ?? '', CLAW_URL: app.url, CLAW_API_TOKEN: 'secret-of-dana' },
  })
  t.after(() => child.kill('SIGKILL'))
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  const send = (message: object) => child.stdin.write(`${JSON.stringify({ jsonrpc: '2.0', ...message })}\n`)
  const ask = async (id: number, method: string, params: object): Promise<Message> => {
    send({ id, method, params })
    for (;;) {
      const { value, done } = await lines.next()
      assert.ok(!done, 'the server went away')
      const message = JSON.parse(value) as Message
      if (message.id === id) return message
    }
  }
  const hello = await ask(1, 'initialize', {
    protocolVersion: '2025-06-18',
    capabilities: {},
    clientInfo: { name: 'test', version: '1' },
  })
  assert.match(JSON.stringify(hello.result?.serverInfo), /"name":"claw"/)
  send({ method: 'notifications/initialized' })
  const { tools } = (await ask(2, 'tools/list', {})).result as { tools: { name: string }[] }
  // What a model asked for, no model confirms: it would be both who asks and who agrees.
  const left = commandSpecs.filter(({ name }) => name !== 'approve' && name !== 'console')
  assert.deepEqual(tools.map(({ name }) => name).sort(), left.map(({ name }) => `claw_${name}`).sort())
  const status = (await ask(3, 'tools/call', { name: 'claw_incidents', arguments: {} })).result
  assert.equal(status?.isError, false)
  assert.match(JSON.stringify(status?.content), /[Nn]o open incident|[Nn]othing is open|No incident/)
  const refused = (await ask(4, 'tools/call', { name: 'claw_ack', arguments: { id: '99' } })).result
  assert.equal(refused?.isError, true)
  assert.match(JSON.stringify(refused?.content), /no incident 99/i)
  const question = (await ask(5, 'tools/call', { name: 'claw_silence', arguments: { target: 'service="api" 1h' } }))
    .result
  assert.match(JSON.stringify(question), /approve a1/)
  const yes = await ask(6, 'tools/call', { name: 'claw_approve', arguments: { id: 'a1' } })
  assert.match(JSON.stringify(yes), /claw_approve not found/)
  assert.equal((await app.parts.store.approval(1))?.state, 'open')
  child.stdin.end()
  const [code] = await once(child, 'exit')
  assert.equal(code, 0)
})

test('arguments become one word each, the rest stays as typed', () => {
  const ack = commandSpecs.find(({ name }) => name === 'ack')
  assert.ok(ack)
  const [first, second] = ack.parameters.map(({ name }) => name)
  assert.equal(lineOf(ack, { [first ?? '']: '12', [second ?? '']: 'on it "now"' }), 'ack "12" on it "now"')
  assert.equal(lineOf(ack, { [first ?? '']: '12' }), 'ack "12"')
})
