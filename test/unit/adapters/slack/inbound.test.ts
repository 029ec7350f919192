import assert from 'node:assert/strict'
import { test } from 'node:test'
import { reply } from '../../../../src/core/command.ts'
import { signSlack } from '../../../../src/sandbox/slack.ts'
import { OPENED_AT, sampleView } from '../../../fixtures/view.ts'
import { CHANNEL, DANA, gate, TOKEN, world } from './rig.ts'

const ACK_BUTTON = {
  type: 'button',
  action_id: 'claw:ack',
  value: 'ack 12',
  text: { type: 'plain_text', text: 'Acknowledge' },
}

/** A message with one button, as Claw posts it. */
async function posted(w: Awaited<ReturnType<typeof world>>, button: object = ACK_BUTTON, thread?: string) {
  const response = await fetch(`${w.server.url}/api/chat.postMessage`, {
    method: 'POST',
    headers: { authorization: `Bearer ${TOKEN}`, 'content-type': 'application/json' },
    body: JSON.stringify({
      channel: CHANNEL,
      text: 'P1',
      blocks: [{ type: 'actions', elements: [button] }],
      ...(thread === undefined ? {} : { thread_ts: thread }),
    }),
  })
  const { ts } = (await response.json()) as { ts: string }
  const message = w.state.find(CHANNEL, ts)
  assert.ok(message)
  return message
}

test('a slash command is stored, then acknowledged with nothing', async (t) => {
  const w = await world(t)
  const answer = await w.state.command(DANA, CHANNEL, 'ack 12 looking', w.to)
  assert.deepEqual(answer, { status: 200, body: '' })
  const [request] = w.inbox.requests
  const [url] = [...w.state.responseUrls.keys()]
  const [trigger] = [...w.state.triggers.keys()]
  assert.deepEqual(request, {
    id: `slack:${trigger}`,
    via: 'slack',
    person: null,
    user: DANA,
    text: 'ack 12 looking',
    incident: null,
    confirmed: false,
    override: null,
    replyTo: {
      lane: 'slack',
      target: CHANNEL,
      address: {
        responseUrl: `${w.server.url}/response/${url}`,
        channel: CHANNEL,
        user: DANA,
        thread: null,
        inThread: false,
        aloud: false,
        at: OPENED_AT,
      },
    },
  })
  assert.equal(w.state.requests.length, 0, 'no call to Slack, not even auth.test')
})

test('what people type is taken as they meant it: curly quotes, and the characters that Slack escapes', async (t) => {
  const w = await world(t)
  await w.state.command(DANA, CHANNEL, 'silence severity=\u201ccritical\u201d 1h a &lt; b &amp;&amp; c &amp;lt;', w.to)
  assert.equal(w.inbox.requests[0]?.text, 'silence severity="critical" 1h a < b && c &lt;')
})

test('forged, stale and future requests are refused, and nothing is stored', async (t) => {
  const w = await world(t)
  for (const wrong of [{ secret: 'guess' }, { skewSeconds: -360 }, { skewSeconds: 360 }]) {
    assert.equal((await w.state.command(DANA, CHANNEL, 'status', { ...w.to, ...wrong })).status, 401)
  }
  for (const right of [{ skewSeconds: -299 }, { skewSeconds: 299 }]) {
    assert.equal((await w.state.command(DANA, CHANNEL, 'status', { ...w.to, ...right })).status, 200)
  }
  assert.equal(w.inbox.requests.length, 2)
  const logged = w.logged.join('\n')
  assert.match(logged, /signature is wrong/)
  assert.match(logged, /too old/)
  assert.match(logged, /in the future/)
})

test('a request whose body, timestamp or signature was touched is refused, whatever is left out', async (t) => {
  const w = await world(t)
  const body = 'command=%2Fclaw&text=status&trigger_id=1&user_id=U1&channel_id=C1'
  const ts = String(OPENED_AT / 1_000)
  const good = {
    'content-type': 'application/x-www-form-urlencoded;charset=UTF-8',
    'x-slack-request-timestamp': ts,
    'x-slack-signature': signSlack('sandbox', ts, body),
  }
  const post = async (headers: Record<string, string>, sent = body, method = 'POST') =>
    (await fetch(w.url, { method, headers, ...(method === 'POST' ? { body: sent } : {}) })).status
  assert.equal(await post(good), 200)
  assert.equal(await post(good, `${body}&text=resolve+12`), 401)
  assert.equal(await post({ ...good, 'x-slack-request-timestamp': String(OPENED_AT / 1_000 + 1) }), 401)
  for (const name of Object.keys(good).slice(1)) assert.equal(await post({ ...good, [name]: '' }), 401, name)
  assert.equal(await post({ ...good, 'x-slack-signature': good['x-slack-signature'].replace('v0=', 'v1=') }), 401)
  assert.equal(await post({ ...good, 'x-slack-signature': `${good['x-slack-signature'].slice(0, -2)}` }), 401)
  assert.equal(await post({}, ''), 401)
  assert.equal(await post(good, 'x'.repeat(1_000_001)), 413)
  assert.equal(await post({}, '', 'GET'), 405)
  assert.equal(w.inbox.submits, 1)
})

test('without a signing secret everything is refused, also what is signed with nothing', async (t) => {
  for (const signingSecret of [null, '']) {
    const w = await world(t, { signingSecret })
    assert.equal((await w.state.command(DANA, CHANNEL, 'status', w.to)).status, 401)
    assert.equal((await w.state.command(DANA, CHANNEL, 'status', { ...w.to, secret: '' })).status, 401)
    assert.equal(w.inbox.submits, 0)
  }
})

test('a replayed request and a retry run once', async (t) => {
  const w = await world(t)
  await w.state.command(DANA, CHANNEL, 'escalate 12', w.to)
  assert.deepEqual(await w.state.again(), { status: 200, body: '' })
  assert.deepEqual(await w.state.again(1), { status: 200, body: '' })
  assert.equal(w.inbox.submits, 3)
  assert.equal(w.inbox.requests.length, 1)
})

test('nothing is acknowledged before it is stored', async (t) => {
  const w = await world(t)
  const store = gate()
  const asked = gate()
  w.inbox.gate = store.promise
  w.inbox.onSubmit = asked.open
  const events: string[] = []
  const answered = w.state.command(DANA, CHANNEL, 'ack 12', w.to).then(() => events.push('answered'))
  await asked.promise
  // A whole round trip to the same server fits in between.
  assert.equal((await fetch(w.url)).status, 405)
  events.push('stored')
  store.open()
  await answered
  assert.deepEqual(events, ['stored', 'answered'])
})

test('a store that is slower than Slack waits: said in time, and what becomes of it is told', async (t) => {
  const w = await world(t, { ackMs: 20 })
  const store = gate()
  w.inbox.gate = store.promise
  const answer = await w.state.command(DANA, CHANNEL, 'ack 12', w.to)
  assert.equal(answer.status, 200)
  assert.match(answer.body, /"response_type":"ephemeral".*slow to store/)
  w.inbox.down = true
  store.open()
  const told = await w.state.waitFor((s) => s.responses[0])
  assert.match(told.text, /could not store this, so nothing was done/)
})

test('a command that cannot be stored is answered so', async (t) => {
  const w = await world(t)
  w.inbox.down = true
  const answer = await w.state.command(DANA, CHANNEL, 'ack 12', w.to)
  assert.equal(answer.status, 200)
  assert.deepEqual(JSON.parse(answer.body), {
    response_type: 'ephemeral',
    text: 'Claw could not store this, so nothing was done. Try again in a moment.',
  })
  w.inbox.down = false
  assert.equal((await w.state.again()).body, '', 'the very same request may be stored later')
  assert.equal(w.inbox.requests.length, 1)
})

test('a button runs its command, in the incident that it names, answered aside', async (t) => {
  const w = await world(t)
  const message = await posted(w)
  assert.deepEqual(await w.state.click(DANA, message, 'claw:ack', w.to), { status: 200, body: '' })
  const [request] = w.inbox.requests
  assert.equal(request?.text, 'ack 12')
  assert.equal(request?.incident, 12)
  assert.equal(request?.confirmed, false)
  assert.match(request?.id ?? '', /^slack:1\.2\.trigger/)
  assert.equal(request?.replyTo?.target, CHANNEL)
  const address = request?.replyTo?.address as { thread: string; inThread: boolean; responseUrl: string }
  assert.equal(address.thread, message.ts)
  assert.equal(address.inThread, false)
  assert.match(address.responseUrl, /\/response\//)
  assert.equal(message.edits, 0)
})

test('a button in a thread is answered in that thread', async (t) => {
  const w = await world(t)
  const parent = await posted(w)
  const message = await posted(w, { ...ACK_BUTTON, action_id: 'claw:approve', value: 'approve a7' }, parent.ts)
  await w.state.click(DANA, message, 'claw:approve', w.to)
  const [request] = w.inbox.requests
  assert.equal(request?.incident, null)
  const address = request?.replyTo?.address as { thread: string; inThread: boolean }
  assert.deepEqual([address.thread, address.inThread], [parent.ts, true])
})

test('a double click is one press; a press later is another; a retry is the same', async (t) => {
  const w = await world(t)
  const message = await posted(w)
  await w.state.click(DANA, message, 'claw:ack', w.to)
  w.clock.now += 300
  assert.equal((await w.state.click(DANA, message, 'claw:ack', w.to)).status, 200)
  assert.equal(w.inbox.requests.length, 1)
  assert.equal((await w.state.click('U0MAX', message, 'claw:ack', w.to)).status, 200)
  assert.equal(w.inbox.requests.length, 2, 'another person')
  w.clock.now += 5_000
  await w.state.click(DANA, message, 'claw:ack', w.to)
  await w.state.again(1)
  assert.equal(w.inbox.requests.length, 3)
})

test('a press that cannot be stored is told aside and may be tried again at once', async (t) => {
  const w = await world(t)
  const message = await posted(w)
  w.inbox.down = true
  assert.deepEqual(await w.state.click(DANA, message, 'claw:ack', w.to), { status: 200, body: '' })
  const told = await w.state.waitFor((s) => s.responses[0])
  assert.match(told.text, /could not store this/)
  assert.equal((told.body as { replace_original: boolean }).replace_original, false)
  w.inbox.down = false
  w.clock.now += 500
  await w.state.click(DANA, message, 'claw:ack', w.to)
  assert.equal(w.inbox.requests.length, 1)
})

test('what Claw does not know is acknowledged and ignored', async (t) => {
  const w = await world(t)
  const foreign = await posted(w, { ...ACK_BUTTON, action_id: 'somebody:else' })
  assert.equal((await w.state.click(DANA, foreign, 'somebody:else', w.to)).status, 200)
  const send = async (payload: object | string) => {
    const text = typeof payload === 'string' ? payload : JSON.stringify(payload)
    const body = new URLSearchParams({ payload: text }).toString()
    const ts = String(OPENED_AT / 1_000)
    const headers = {
      'content-type': 'application/x-www-form-urlencoded',
      'x-slack-request-timestamp': ts,
      'x-slack-signature': signSlack('sandbox', ts, body),
    }
    return (await fetch(w.url, { method: 'POST', headers, body })).status
  }
  assert.equal(await send({ type: 'of_the_future', user: { id: DANA } }), 200)
  assert.equal(await send({ type: 'view_closed', user: { id: DANA }, view: { callback_id: 'x' } }), 200)
  assert.equal(await send({ type: 'view_submission', user: { id: DANA }, view: { callback_id: 'x' } }), 200)
  const press = { user: { id: DANA }, actions: [{ type: 'button', action_id: 'claw:ack', value: 'ack 1' }] }
  assert.equal(await send({ type: 'block_actions', ...press }), 200, 'no trigger_id: no identity')
  assert.equal(await send('{'), 400)
  assert.equal(w.inbox.submits, 0)
})

test("Slack's check of the address is answered", async (t) => {
  const w = await world(t)
  const body = JSON.stringify({ type: 'url_verification', challenge: 'abc' })
  const ts = String(OPENED_AT / 1_000)
  const headers = {
    'content-type': 'application/json',
    'x-slack-request-timestamp': ts,
    'x-slack-signature': signSlack('sandbox', ts, body),
  }
  assert.deepEqual(await (await fetch(w.url, { method: 'POST', headers, body })).json(), { challenge: 'abc' })
})

test('App Home shows open incidents and their buttons to those who may see them', async (t) => {
  const w = await world(t)
  w.incidents.push(
    sampleView({ actions: [{ label: 'Acknowledge', command: 'ack 12', style: 'primary' }] }),
    sampleView({ id: '13', state: 'acknowledged', acknowledgedBy: 'Max <!channel>' }),
  )
  await w.state.home(DANA, w.to)
  const view = await w.state.waitFor((s) => s.views[0])
  assert.deepEqual([view.kind, view.user], ['home', DANA])
  const text = JSON.stringify(view.view)
  assert.match(text, /Incidents: 2 open/)
  assert.match(text, /Bucket empty in A and B/)
  assert.match(text, /Acknowledged by Max &lt;!channel&gt;/)
  assert.deepEqual(w.inbox.previews, ['incidents'])

  assert.equal((await w.state.click(DANA, view, 'claw:ack', w.to)).status, 200)
  const [request] = w.inbox.requests
  assert.equal(request?.replyTo?.target, DANA, 'there is no channel: a direct message')
  const address = request?.replyTo?.address as { responseUrl: string | null } | undefined
  assert.equal(address?.responseUrl, null)

  await w.state.click(DANA, view, 'claw-home:refresh', w.to)
  await w.state.waitFor((s) => s.views[1])
  assert.equal(w.inbox.submits, 1, 'refreshing is no command')
})

test('App Home tells the unknown how to be linked, and nothing else', async (t) => {
  const w = await world(t)
  w.incidents.push(sampleView())
  w.inbox.answer = async () => ({
    ...reply('I do not know you yet.', { lines: ['Ask whoever runs Claw to add slack: U0EVE.'] }),
    ok: false,
    code: 'forbidden',
  })
  await w.state.home('U0EVE', w.to)
  const text = JSON.stringify((await w.state.waitFor((s) => s.views[0])).view)
  assert.match(text, /add slack: U0EVE/)
  assert.doesNotMatch(text, /Bucket/)
})

test('App Home holds a hundred incidents within its blocks', async (t) => {
  const w = await world(t)
  for (let id = 1; id <= 100; id++) {
    const actions = ['ack', 'silence', 'escalate', 'resolve', 'status'].map((name) => ({
      label: name.repeat(30),
      command: `${name} ${id}`,
      style: 'plain' as const,
    }))
    w.incidents.push(sampleView({ id: String(id), headline: '<&>'.repeat(200), nextStep: 'x'.repeat(5_000), actions }))
  }
  await w.state.home(DANA, w.to)
  const { view } = await w.state.waitFor((s) => s.views[0])
  assert.ok((view.blocks as unknown[]).length <= 100)
  assert.match(JSON.stringify(view), /80 more/)
})

test('a mention in the thread of an incident is about that incident, and is answered there', async (t) => {
  const w = await world(t)
  const { ts } = (await (
    await fetch(`${w.server.url}/api/chat.postMessage`, {
      method: 'POST',
      headers: { authorization: `Bearer ${TOKEN}`, 'content-type': 'application/json' },
      body: JSON.stringify({
        channel: CHANNEL,
        text: 'P1',
        metadata: {
          event_type: 'claw_incident',
          event_payload: { installation: 'test', incident: '12', version: 1, upto: 1, part: 'message' },
        },
      }),
    })
  ).json()) as { ts: string }
  assert.equal((await w.state.mention(DANA, CHANNEL, 'ack looking', ts, w.to)).status, 200)
  await w.state.again(1)
  const [request] = w.inbox.requests
  assert.equal(w.inbox.requests.length, 1)
  assert.match(request?.id ?? '', /^slack:Ev/)
  assert.deepEqual([request?.text, request?.incident], ['ack looking', 12])
  assert.deepEqual(request?.replyTo?.address, {
    responseUrl: null,
    channel: CHANNEL,
    user: DANA,
    thread: ts,
    inThread: true,
    aloud: true,
    at: null,
  })
  await w.state.mention(DANA, CHANNEL, 'status', null, w.to)
  assert.equal(w.inbox.requests[1]?.incident, null)
})

test('a mention that cannot be stored is not acknowledged, so that Slack sends it again', async (t) => {
  const w = await world(t)
  w.inbox.down = true
  assert.equal((await w.state.mention(DANA, CHANNEL, 'status', null, w.to)).status, 500)
  w.inbox.down = false
  assert.equal((await w.state.again(1)).status, 200)
  assert.equal(w.inbox.requests.length, 1)
})

test('nothing that is logged holds a secret', async (t) => {
  const w = await world(t)
  w.inbox.down = true
  await w.state.command(DANA, CHANNEL, 'ack 12', { ...w.to, secret: 'guess' })
  await w.state.command(DANA, CHANNEL, 'ack 12', w.to)
  await w.state.mention(DANA, CHANNEL, 'status', null, w.to)
  assert.ok(w.logged.length >= 3)
  for (const line of w.logged) assert.doesNotMatch(line, /xoxb|response\/|v0=|sandbox/)
})
