import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import type { ServerResponse } from 'node:http'
import { test } from 'node:test'
import { createSession } from '../../../src/http/session.ts'
import { startRig } from '../chatops/rig.ts'
import { pageOf, words } from './reader.ts'

test('the whole program: sign-in, configuration as people write it, a command over the page', async (t) => {
  const rig = await startRig(t)
  const { url } = rig.app
  const token = Object.entries(rig.app.parts.loaded().config.api.tokens)[0]
  assert.ok(token)
  const signedIn = await fetch(`${url}/signin`, {
    method: 'POST',
    redirect: 'manual',
    headers: { origin: url },
    body: new URLSearchParams({ token: token[1] }),
  })
  assert.equal(signedIn.status, 303)
  const cookie = (signedIn.headers.getSetCookie()[0] ?? '').split(';')[0] ?? ''
  const get = async (path: string) => pageOf(await fetch(`${url}${path}`, { headers: { cookie } }))
  const config = await get('/config')
  assert.match(words(config), /correlation_window: 5m .*acknowledge_within: P1: 5m P2: 15m/)
  for (const secret of rig.app.parts.loaded().secrets) {
    if (secret !== 'sandbox') assert.ok(!config.includes(`: ${secret}<`), 'no secret')
  }
  const form = /name="token" value="([^"]+)"/.exec(await get('/silences'))?.[1] ?? ''
  const pressed = await fetch(`${url}/commands`, {
    method: 'POST',
    redirect: 'manual',
    headers: { cookie, origin: url },
    body: new URLSearchParams({ token: form, command: 'status' }),
  })
  assert.equal(pressed.status, 303)
  assert.match(words(await get(pressed.headers.get('location') ?? '')), /status All quiet/)
})

test('who reads the database, or a backup of it, cannot make a cookie', async (t) => {
  const rig = await startRig(t, { yaml: '  - { name: Kay, roles: [commander] }\n' })
  const { url, parts } = rig.app
  const person = 'Kay'
  const home = (cookie: string) => fetch(url, { headers: { cookie } }).then((res) => res.text())
  assert.match(await home(''), /Sign in/)
  const stored = await parts.store.meta('console_key')
  assert.ok(stored, 'made with the first page')
  const cookies: string[] = []
  const res = { appendHeader: (_name: string, value: string) => cookies.push(value.split(';')[0] ?? '') }
  const forger = createSession({
    tokens: () => ({}),
    people: () => [person],
    key: () => stored,
    clock: parts.clock,
    publicUrl: () => null,
  })
  assert.ok(forger.start(res as unknown as ServerResponse, person))
  assert.match(await home(cookies[0] ?? ''), /<h1>Sign in<\/h1>/)
  // The way that it is meant to go works for the same person.
  const link = randomBytes(32).toString('base64url')
  const hash = createHash('sha256').update(link).digest('hex')
  const links = JSON.stringify({ [hash]: { person, until: parts.clock() + 60_000 } })
  await parts.store.write((tx) => tx.setMeta('console_links', links))
  const signedIn = await fetch(`${url}/login`, {
    method: 'POST',
    redirect: 'manual',
    headers: { origin: url },
    body: new URLSearchParams({ link }),
  })
  assert.doesNotMatch(await home((signedIn.headers.getSetCookie()[0] ?? '').split(';')[0] ?? ''), /<h1>Sign in<\/h1>/)
})
