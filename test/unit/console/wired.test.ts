import assert from 'node:assert/strict'
import { test } from 'node:test'
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
