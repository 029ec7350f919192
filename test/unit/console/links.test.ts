import assert from 'node:assert/strict'
import { test } from 'node:test'
import { consoleCommand, linkOwner } from '../../../handlers/commands/console.ts'
import type { CommandContext } from '../../../src/core/command.ts'
import { pageOf, words } from './reader.ts'
import { startRig } from './rig.ts'

type Rig = Awaited<ReturnType<typeof startRig>>

const vic = { name: 'Vic', roles: ['viewer'], slack: null, telegram: '4713', pagerduty: null }

function ask(rig: Rig, more: object = {}, url: string | null = 'https://claw.test/') {
  const context = { person: vic, via: 'slack', now: rig.time.now, ...more } as unknown as CommandContext
  return rig.store.write((tx) => consoleCommand.run(tx, {}, url, context))
}

async function tokenFor(rig: Rig, more: object = {}): Promise<string> {
  const { link } = await ask(rig, more)
  return /\/login\/([\w-]{43})$/.exec(link?.url ?? '')?.[1] ?? ''
}

test('a link signs somebody in who has no token; looking at it does not use it up, using it does', async (t) => {
  const rig = await startRig(t)
  const token = await tokenFor(rig)
  for (let previews = 0; previews < 3; previews++) {
    const page = await rig.browse(`/login/${token}`)
    assert.match(words(await pageOf(page)), /Sign in as Vic\?/)
    assert.deepEqual(page.headers.getSetCookie(), [])
  }
  const res = await rig.browse('/login', '', { link: token })
  assert.deepEqual([res.status, res.headers.get('location')], [303, '/'])
  const cookie = (res.headers.getSetCookie()[0] ?? '').split(';')[0] ?? ''
  assert.match(words(await pageOf(await rig.browse('/', cookie))), /Vic Sign out/)
  const again = await rig.browse('/login', '', { link: token })
  assert.match(words(await pageOf(again, 410)), /works once, for 5 minutes/)
  assert.deepEqual(again.headers.getSetCookie(), [])
  await pageOf(await rig.browse(`/login/${token}`), 410)
  assert.equal((await rig.get('/incidents', { cookie })).status, 200)
  rig.people.names = []
  assert.equal((await rig.browse('/audit', cookie)).status, 401, 'whoever is no longer known is signed out')
})

test('a link ends after five minutes, and cannot be made up or sent from elsewhere', async (t) => {
  const rig = await startRig(t)
  const token = await tokenFor(rig)
  await pageOf(await rig.browse('/login', '', { link: token }, { origin: 'https://evil.example' }), 403)
  for (const link of ['', 'x', token.slice(1), '__proto__', 'constructor']) {
    await pageOf(await rig.browse('/login', '', { link }), 410)
  }
  rig.time.now += 5 * 60_000 - 1
  assert.equal(await linkOwner(rig.store, token, rig.time.now), 'Vic')
  rig.time.now += 1
  await pageOf(await rig.browse(`/login/${token}`), 410)
  await pageOf(await rig.browse('/login', '', { link: token }), 410)
})

test('only the hash of a link is kept, few of each person, and old ones go', async (t) => {
  const rig = await startRig(t)
  const tokens: string[] = []
  for (let n = 0; n < 8; n++) tokens.push(await tokenFor(rig))
  const stored = (await rig.store.meta('console_links')) ?? ''
  for (const token of tokens) assert.ok(!stored.includes(token))
  assert.equal(Object.keys(JSON.parse(stored)).length, 5)
  assert.equal(await linkOwner(rig.store, tokens[0] ?? '', rig.time.now), null)
  assert.equal(await linkOwner(rig.store, tokens[7] ?? '', rig.time.now), 'Vic')
  rig.time.now += 300_000
  await tokenFor(rig, { now: rig.time.now })
  assert.equal(Object.keys(JSON.parse((await rig.store.meta('console_links')) ?? '')).length, 1)
})

test('the command says a link only where the asker alone reads it', async (t) => {
  const rig = await startRig(t)
  const group = await ask(rig, { via: 'telegram', replyTo: { lane: 'telegram', target: '-1001', address: null } })
  assert.equal(group.code, 'forbidden')
  assert.match(group.lines.join(), /in private/)
  assert.equal((await ask(rig, { via: 'telegram' })).ok, false, 'where it is not known: rather not')
  const own = await ask(rig, { via: 'telegram', replyTo: { lane: 'telegram', target: '4713', address: null } })
  assert.equal(own.ok, true)
  assert.doesNotMatch(own.summary, /login/, 'the audit trail keeps the summary')
  assert.doesNotMatch(JSON.stringify(own.data), /login/)
  assert.equal((await ask(rig, {}, null)).code, 'unavailable')
})

test('the same over the API: the audit trail holds no link', async (t) => {
  const rig = await startRig(t)
  const res = await fetch(`${rig.url}/api/v1/commands`, {
    method: 'POST',
    headers: { authorization: 'Bearer dana-token', 'content-type': 'application/json' },
    body: JSON.stringify({ text: 'console' }),
  })
  assert.equal(res.status, 200)
  const token = /\/login\/([\w-]{43})/.exec(await res.text())?.[1] ?? ''
  assert.equal(await linkOwner(rig.store, token, rig.time.now), 'Dana')
  assert.ok(!JSON.stringify(await rig.store.auditRows(0, 10)).includes(token))
})
