import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { commandSpecs } from '../../../handlers/commands/index.ts'
import { SECOND } from '../../../src/core/clock.ts'
import { firing } from '../../support/engine.ts'
import { type Rig, type RigOptions, readBlocks, SLACK, startRig, TELEGRAM, TEXTS } from './rig.ts'

/** What is typed, in this order, and what the answer says on every platform. */
const SCRIPT: readonly (readonly [text: string, answer: RegExp])[] = [
  ['status', /2 incidents open, worst P1: .*\n(.*\n)*.*█████/],
  ['status A', /1 incident open in A, worst P1: Bucket nearly empty in A/],
  ['status Z', /Nothing is known of region Z/],
  ['stauts', /There is no command "stauts"; did you mean "status"\?[^.]/],
  ['incidents', /2 incidents open, worst P1/],
  ['show 1', /Incident 1 · P1 · open · .*(.*\n)*.*Why P1: /],
  ['show 99', /There is no incident 99\. incidents lists them\./],
  ['show', /show needs id\.(.*\n)*.*Usage: show ID/],
  ['ack 1 looking', /You have incident 1 /],
  ['ack 1', /You acknowledged incident 1 already/],
  ['ack twelve', /write the number of an incident, such as 12/],
  ['take 2', /Incident 2 .* is yours\./],
  ['note 1 "hello there"', /Noted in incident 1\./],
  ['note 1', /note needs text\.(.*\n)*.*Usage: note ID TEXT/],
  ['level 2 P3', /Incident 2 is now P3 \(was P1\)\./],
  ['level 2 P9', /write P1, P2 or P3/],
  ['escalate 1 need help', /You asked for more hands on incident 1/],
  ['silence 1 1h', /Silence incident 1 .* for 1h .*(.*\n)*.*\/claw approve a1/],
  ['approve a1', /Silenced incident 1 until /],
  ['silence 1', /say for how long, such as 1h/],
  ['silence region="B" 30m planned', /Silence everything that matches region="B" for 30m/],
  ['deny a2 not now', /Taken back: a2 /],
  ['unsilence', /1 silence running\./],
  ['unsilence s1', /Ended s1 /],
  ['merge 2 1', /Merge incident 2 .* into incident 1 .*This cannot be undone\./],
  ['approve a3', /Merged incident 2 into incident 1/],
  ['resolve 1 done', /Resolve incident 1 .*2 alerts still fire: Claw looks again in 10 min/],
  ['approve a4', /Resolved incident 1 /],
  ['approve a4', /a4 was granted already: it ran\./],
  ['approve a99', /There is no question a99\./],
  ['deny a99', /There is no question a99\./],
  ['ack 1', /Incident 1 was resolved already by Dana/],
  ['conflicts', /diverge/],
  ['reconcile A --policy lowest-available', /Reconcile A, the lowest copy wins: (.*\n)*.*\/claw approve a5/],
  ['reconcile A --policy lowest', /--policy is highest-capacity/],
  ['reset A', /Reset the bucket of A to 100 %: it is at /],
  ['capacity A 1.5 30m', /Capacity of A times 1\.5 for 30m, until /],
  ['scale A 4 30m', /Scale A to 4 replicas for 30m, until /],
  ['failover A', /failover needs to\.(.*\n)*.*Usage: failover FROM TO/],
  ['failover A Q', /The edge has no region Q/],
  ['rollback o9', /There is no operation o9\./],
  ['revert A', /Revert the version in A\./],
  ['canary', /[Cc]anary/],
  ['operations', /Nothing was ever done on the edge from here\./],
  ['cancel o9', /There is no operation o9\./],
  ['automation off', /Automation is off/],
  ['automation', /Automation is off, set by Dana/],
  ['checklist 1', /Checklist of incident 1: \d of 6 closed\./],
  ['oncall', /On call: Dana\./],
  ['deliveries', /[Mm]essages?/],
  ['deliveries redeliver 9999', /There is no delivery 9999\./],
  ['postmortem 1', /Post-mortem of incident 1, a draft\./],
  ['audit', /The newest 20 entries of the audit trail\./],
  ['audit 1', /entries of the audit trail about incident 1\./],
  ['drill', /A drill runs in the sandbox; nothing was started here\./],
  ['console', /Your way into the console|not for a group to see/],
  ['help', /34 commands, in Slack and Telegram as \/claw COMMAND\./],
  ['help ack', /ack ID \[note\]: you have it: stops the paging\./],
  ['help nonsense', /There is no command "nonsense"\./],
]

type Way = { options: RigOptions; say: (rig: Rig, text: string, n: number) => Promise<string> }

const typedInSlack: Way['say'] = async (rig, text) => {
  const answer = await rig.slackSays(SLACK.dana, text)
  const read = readBlocks(answer.blocks)
  return read.replaceAll('&lt;', '<').replaceAll('&gt;', '>').replaceAll('&amp;', '&')
}
/** `/claw ack 1` and `/ack 1` in turns. */
const typedInTelegram: Way['say'] = async (rig, text, n) => {
  // A group takes 20 messages a minute.
  rig.pass(5 * SECOND)
  const answer = await rig.telegramSays(TELEGRAM.dana, n % 2 === 0 ? `/${text}` : `/claw ${text}`)
  // Look-alikes keep labels from becoming commands and links.
  return answer.text.replaceAll('\u2215', '/').replaceAll('\u2024', '.')
}
const posted =
  (via: 'terminal' | 'http'): Way['say'] =>
  async (rig, text) => {
    const { summary, lines, table, status, ok } = await rig.terminal('Dana', text, { via })
    assert.equal(status === 200, ok, `${text}: ${status}`)
    assert.ok([200, 400, 403, 404, 409].includes(status), `${text}: ${status}`)
    return [summary, ...lines, ...(table?.rows ?? []).map((row) => row.join('  '))].join('\n')
  }

const WAYS: Readonly<Record<string, Way>> = {
  'Slack over HTTP': { options: {}, say: typedInSlack },
  'Slack over Socket Mode': { options: { socket: true }, say: typedInSlack },
  'Telegram by webhook': { options: {}, say: typedInTelegram },
  'Telegram by polling': { options: { polling: true }, say: typedInTelegram },
  terminal: { options: {}, say: posted('terminal') },
  HTTP: { options: {}, say: posted('http') },
}

async function started(t: TestContext, options: RigOptions = {}): Promise<Rig> {
  const rig = await startRig(t, options)
  await rig.settle()
  await rig.alert(firing({}, TEXTS), firing({ service: 'quota-api', region: 'B' }, TEXTS))
  await rig.settle()
  return rig
}

test('the script says every command of the registry', () => {
  const said = new Set(SCRIPT.map(([text]) => text.split(' ')[0]))
  assert.deepEqual(
    commandSpecs.map(({ name }) => name).filter((name) => !said.has(name)),
    [],
  )
})

for (const [way, { options, say }] of Object.entries(WAYS)) {
  test(`every command answers: ${way}`, async (t) => {
    const rig = await started(t, options)
    for (const [n, [text, expected]] of SCRIPT.entries()) assert.match(await say(rig, text, n), expected, text)
    const [incident] = await rig.app.parts.store.incidents([1])
    assert.equal(incident?.state, 'resolved')
    // Each was said once, so each is in the trail once; what was granted is there under both names.
    const trail = (await rig.audit()).filter(({ action }) => action !== 'approve')
    const typed = SCRIPT.filter(([text]) => !text.startsWith('approve'))
    assert.equal(trail.filter(({ outcome }) => outcome === 'asked').length, 9)
    assert.ok(trail.length >= typed.length && trail.length <= typed.length + 5, String(trail.length))
    assert.deepEqual([...new Set(trail.map(({ actor }) => actor))], ['Dana'])
  })
}

test('the unknown get one answer on each platform, how to be linked; nothing runs', async (t) => {
  const rig = await started(t)
  for (const { name } of commandSpecs.filter((spec) => spec.name !== 'help')) {
    rig.pass(5 * SECOND)
    await rig.settle()
    const slack = readBlocks((await rig.slackSays(SLACK.stranger, `${name} 1`)).blocks)
    assert.match(slack, /add slack: U0STRANGER to you under people in claw\.yaml/, name)
    assert.doesNotMatch(slack, /Bucket/)
    const telegram = await rig.telegramSays(TELEGRAM.stranger, `/${name} 1`)
    assert.match(telegram.text, /add telegram: 666 to you under people/, name)
    assert.doesNotMatch(telegram.text, /Bucket/)
  }
  assert.deepEqual([...new Set((await rig.audit()).map(({ outcome }) => outcome))], ['forbidden'])
  const [incident] = await rig.app.parts.store.incidents([1])
  assert.equal(incident?.state, 'open')
})
