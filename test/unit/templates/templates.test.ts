import assert from 'node:assert/strict'
import { readdirSync } from 'node:fs'
import { test } from 'node:test'
import fc from 'fast-check'
import { checkTemplates } from '../../../src/adapters/liquid/renderer.ts'
import { type Message, storyReply, topMessage } from '../../../src/adapters/slack/message.ts'
import { mainMessage, pushReply } from '../../../src/adapters/telegram/message.ts'
import type { IncidentView, StoryEvent } from '../../../src/core/view.ts'
import { checkBlocks, SLACK_LIMITS } from '../../../src/sandbox/slack/blocks.ts'
import { parseHtml, tidy } from '../../../src/sandbox/telegram/html.ts'
import { renderer, TEMPLATES } from '../../fixtures/step.ts'
import { OPENED_AT, sampleAlert, sampleEvent, sampleView } from '../../fixtures/view.ts'
import { VARIANTS } from './variants.ts'

const now = OPENED_AT + 5 * 60_000

const NASTY = [
  '<!channel>',
  '<!here|x>',
  '<@U0123>',
  '<#C0123>',
  '<https://evil.example|Runbook>',
  '@here',
  '@channel',
  '@evil_bot',
  'https://evil.example/x',
  'evil.example',
  'me@evil.example',
  '192.0.2.1',
  '/resolve',
  '#tag',
  '$USD',
  '*bold* _it_ ~no~ `code`',
  '```\nblock\n```',
  '> quote\n> quote',
  ':fire:',
  '</b>',
  '<b>',
  '<a href="https://evil.example">x</a>',
  '&lt;b&gt; &amp;',
  '"\'>',
  '{{ 7|times:7 }}',
  '{% raw %}',
  '{{ incident | json }}',
  '\0',
  'a\u202Eb\u2066c',
  '\uD800',
  'x\uDC00',
  '\u200B\u2028\u2029\u0085',
  '|',
  '\\',
  '"'.repeat(500),
  '\\'.repeat(500),
  '&'.repeat(20_000),
  'x'.repeat(20_000),
  `e${'\u0301'.repeat(20_000)}`,
  '👩‍👩‍👧‍👦'.repeat(2_000),
  '',
  ' ',
  '\n',
  '__proto__',
  'javascript:alert(1)',
  'https://a.example/|<!channel>',
] as const

const nasty = fc.oneof(
  fc.constantFrom(...NASTY),
  fc.string({ unit: 'binary', maxLength: 40 }),
  fc.string({ unit: 'grapheme', maxLength: 40 }),
  fc.array(fc.constantFrom(...NASTY), { maxLength: 4 }).map((parts) => parts.join('')),
)
const url = fc.oneof(
  fc.constant(null),
  nasty,
  fc.constantFrom('https://ok.example/a?b=1&c=%20', `https://ok.example/${'a'.repeat(1_900)}`),
)
const labels = fc.dictionary(nasty, nasty, { maxKeys: 8 })
const time = fc.integer({ min: OPENED_AT, max: OPENED_AT + 1e8 })

const hostileTriage: fc.Arbitrary<IncidentView['triage']> = fc.record({
  at: time,
  regions: fc.array(nasty, { maxLength: 3 }),
  diverged: fc.record({ keys: fc.nat(50), examples: fc.array(nasty, { maxLength: 3 }) }),
  changes: fc.constant([]),
  verdict: fc.record({
    limiter: fc.constantFrom('right', 'wrong', 'unknown'),
    cause: fc.constant('unknown'),
    confidence: fc.constant(0.5),
    summary: nasty,
    evidence: fc.array(nasty, { maxLength: 6 }),
    act: fc.option(fc.record({ label: nasty, command: nasty, risk: nasty })),
  }),
})
const hostileOperation = fc.record({
  id: fc.constant('o9'),
  kind: nasty,
  title: nasty,
  by: nasty,
  startedAt: time,
  done: fc.nat(9),
  step: fc.option(nasty),
  stopping: fc.boolean(),
})
const hostileItem = fc.record({
  phase: fc.constantFrom('switch', 'post-mortem'),
  state: fc.constantFrom('open', 'done'),
  owner: fc.option(nasty),
  by: fc.constant(null),
  at: fc.constant(null),
  note: nasty,
})

const hostileView: fc.Arbitrary<IncidentView> = fc
  .record({
    id: fc.constant('12'),
    state: fc.constantFrom('open', 'acknowledged', 'resolved'),
    level: fc.constantFrom('P1', 'P2', 'P3'),
    levelReason: nasty,
    what: nasty,
    headline: nasty,
    key: labels,
    alertNames: fc.array(nasty, { maxLength: 12 }),
    regions: fc.array(nasty, { maxLength: 100 }),
    allRegions: fc.array(nasty, { maxLength: 100 }),
    acknowledgedBy: nasty,
    acknowledgedAt: time,
    resolvedBy: nasty,
    resolvedAt: time,
    recurrences: fc.nat(9),
    flapping: fc.boolean(),
    signalLost: fc.boolean(),
    alerts: fc.array(
      fc
        .record({
          name: nasty,
          region: nasty,
          labels,
          annotations: fc.record({ summary: nasty, description: nasty }),
          startsAt: time,
          generatorURL: nasty,
        })
        .map((a) => sampleAlert(a)),
      { maxLength: 10 },
    ),
    graphUrl: url,
    runbookUrl: url,
    incidentUrl: url,
    alertmanagerUrl: url,
    onCall: fc.array(nasty, { maxLength: 5 }),
    nextStep: nasty,
    triage: fc.option(hostileTriage),
    operations: fc.array(hostileOperation, { maxLength: 4 }),
    checklist: fc.array(hostileItem, { maxLength: 6 }),
    story: fc
      .array(
        fc.record({
          text: nasty,
          push: fc.boolean(),
          actor: nasty,
          kind: fc.constantFrom('joined', 'worsened', 'resolved', 'step'),
        }),
        { maxLength: 50 },
      )
      .map((list) => list.map((e, i) => sampleEvent(i + 1, e))),
    synthetic: fc.boolean(),
  })
  .map((overrides) => sampleView(overrides as Partial<IncidentView>))

const LINK = /<https?:\/\/[^<>|\s"]+\|[^<>|\n]*>/g

/** What Slack would take, and nothing in it that only a value could have brought. */
function assertSlack(message: Message): void {
  assert.deepEqual(checkBlocks(message.blocks), [])
  assert.ok(JSON.stringify(message.blocks).length <= SLACK_LIMITS.all)
  const inBlocks = message.blocks.flatMap((b) =>
    b.type === 'section' ? [b.text] : b.type === 'context' ? b.elements : [],
  )
  for (const part of inBlocks) assert.equal(part.verbatim, true)
  for (const text of [...inBlocks.map((p) => p.text), message.text, message.plain]) {
    assert.ok(text.length > 0 && text.length <= 4_000)
    assertClean(text)
    const plain = text.replace(LINK, '')
    assert.doesNotMatch(plain, /[<>`~]|@|:\/\/|&(?!(?:amp|lt|gt);)/)
    assert.doesNotMatch(plain, /(?<![\p{L}\p{N}_])_|_(?![\p{L}\p{N}_])/u)
    assert.doesNotMatch(plain, /^&gt;/m, 'a quote')
    assert.doesNotMatch(plain, /:[a-z][a-z_]*:/, 'an emoji')
    // Bold only where templates and the message's own frame have it: whole lines, and the names in front of values.
    for (const line of plain.split('\n').filter((l) => l.includes('*'))) assert.match(line, /^\*[^*]+\*(?: [^*]*)?…?$/)
  }
}

function assertTelegram(html: string): void {
  const parsed = parseHtml(html)
  if (typeof parsed === 'string') assert.fail(`${parsed}: ${html.slice(0, 300)}`)
  const { text, entities } = tidy(parsed)
  assert.ok(text.length >= 1 && text.length <= 4_096, `${text.length} characters`)
  assertClean(text)
  for (const entity of entities) {
    assert.ok(entity.type === 'bold' || entity.type === 'text_link', entity.type)
    if (entity.url !== undefined) assert.match(entity.url, /^https?:\/\/[^\s<>|"]+$/)
  }
  // What Telegram finds in plain text by itself: mentions, mail, URLs, domains, addresses, commands, tags.
  assert.doesNotMatch(text, /@|:\/\/|[#$](?=[A-Za-z])|(?<![\p{L}\p{N}_])\/[A-Za-z0-9_]/u)
  assert.doesNotMatch(text, /[\p{L}\p{N}-]\.[\p{L}]{2,}|\d+\.\d+\.\d+\.\d+/u)
}

function assertClean(text: string): void {
  assert.ok(text.isWellFormed())
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not be there
  assert.doesNotMatch(text, /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069\u2028\u2029]/)
}

function assertAll(incident: IncidentView): void {
  assertSlack(topMessage(renderer, incident, now, null))
  assertTelegram(mainMessage(renderer, incident, now))
  const events: StoryEvent[] = incident.story.length > 0 ? incident.story : [sampleEvent(1)]
  assertSlack(storyReply(renderer, incident, events, now, null))
  assertTelegram(pushReply(renderer, incident, events, now))
  const data = { incident, now, events, event: events.at(-1), page: { key: '1', reason: incident.levelReason } }
  const summary = renderer.render('pagerduty/summary', data).trim()
  assert.ok(summary.length <= 1_024)
  assert.doesNotMatch(summary, /\n/)
  for (const name of ['pagerduty/summary', 'pagerduty/description', 'webhook/text'])
    assertClean(renderer.render(name, data))
}

test('no template is broken', () => {
  assert.deepEqual(checkTemplates(TEMPLATES), [])
})

test('every template that stands there renders and says something', () => {
  const { triage, operations } = VARIANTS.judged as IncidentView
  const incident = { ...VARIANTS['worse while open'], triage, operations } as IncidentView
  const data = { incident, now, events: incident.story, event: incident.story[2], page: incident.pages[0] }
  const names = readdirSync(TEMPLATES, { recursive: true, encoding: 'utf8' }).filter(
    (n) => n.endsWith('.liquid') && !n.startsWith('shared'),
  )
  assert.ok(names.length >= 15)
  for (const name of names) assert.match(renderer.render(name.replace(/\.liquid$/, ''), data), /\S/, name)
})

for (const [name, incident] of Object.entries(VARIANTS)) {
  test(`every destination takes it: ${name}`, () => assertAll(incident))
}

for (const value of NASTY) {
  test(`shown as it is, does nothing: ${JSON.stringify(value.slice(0, 30))}`, () => {
    const some = Array.from({ length: 100 }, () => value)
    assertAll(
      sampleView({
        levelReason: value,
        what: value,
        headline: value,
        key: { [value]: value },
        alertNames: some,
        regions: some,
        allRegions: [...some, value],
        acknowledgedBy: value,
        acknowledgedAt: now,
        state: 'acknowledged',
        alerts: some.slice(0, 10).map((v) => sampleAlert({ name: v, region: v, annotations: { summary: v } })),
        graphUrl: value,
        runbookUrl: value,
        incidentUrl: value,
        alertmanagerUrl: value,
        onCall: some,
        nextStep: value,
        triage: {
          at: now,
          regions: some,
          diverged: { keys: 1, examples: some },
          changes: [],
          verdict: {
            limiter: 'wrong',
            cause: 'divergence',
            confidence: 1,
            summary: value,
            evidence: some,
            act: { label: value, command: value, risk: value },
          },
        },
        checklist: [{ phase: 'switch', state: 'open', owner: value, by: null, at: null, note: value }],
        operations: [
          { id: 'o9', kind: value, title: value, by: value, startedAt: now, done: 1, step: value, stopping: true },
        ],
        story: some.slice(0, 50).map((text, i) => sampleEvent(i + 1, { text, push: i % 2 === 0 })),
      }),
    )
  })
}

test('whatever labels hold, messages stay valid and nothing is injected', () => {
  fc.assert(fc.property(hostileView, assertAll), { numRuns: 60 })
})

test('code in a label is not run', () => {
  const incident = sampleView({ headline: 'P1 · {{ 7 | times: 7 }} · {% assign x = 1 %}' })
  for (const text of [topMessage(renderer, incident, now, null).text, mainMessage(renderer, incident, now)]) {
    assert.match(text, /\{\{ 7 \| times: 7 \}\}/)
    assert.doesNotMatch(text, /49/)
  }
})

test('every message says what a page must say', () => {
  const incident = VARIANTS.acknowledged as IncidentView
  const slack = topMessage(renderer, incident, now, null)
    .blocks.map((b) => JSON.stringify(b))
    .join('\n')
  const must = [
    'P1',
    'Acknowledged',
    'Bucket empty',
    'A and B',
    '31 % left, rising',
    'TokenBucketDepleted',
    '02:15 UTC',
    'severity is critical',
    'Dana and Max',
    'service',
    'rating-api',
    'http://prometheus:9090/graph',
    'https://runbooks.example.com/bucket-empty',
    'https://claw.example.com/incidents/12',
    'by Dana at 02:18 UTC',
    'Next:',
  ]
  for (const said of must) {
    assert.ok(slack.includes(said), `Slack: ${said}`)
    assert.ok(mainMessage(renderer, incident, now).includes(said), `Telegram: ${said}`)
  }
})

test('the verdict is three short lines: what, why, and the act with its risk', () => {
  const incident = VARIANTS.judged as IncidentView
  const slack = JSON.stringify(topMessage(renderer, incident, now, null).blocks)
  const phone = renderer.render('pagerduty/description', { incident, now, page: incident.pages[0] })
  for (const text of [slack, mainMessage(renderer, incident, now), phone]) {
    assert.match(text, /3 nodes diverge since 1.9.0 went out/)
    assert.match(text, /1.8.2 to 1.9.0, 2 min before; 3 nodes are off/)
    assert.match(text, /revert · Back to 1.8.2/)
    assert.doesNotMatch(text, /12 % refused/, 'no more than two reasons')
  }
  for (const text of [slack, mainMessage(renderer, incident, now)]) {
    assert.match(text, /o9 · Reconcile A and B \(highest capacity\) · 2 steps done, now: snapshot · policy/)
    assert.match(text, /1 of 2 done, next: switch \(Dana\)/)
  }
})

test('a storm is counts and the top alerts, not a list', () => {
  const incident = VARIANTS.storm as IncidentView
  for (const text of [
    JSON.stringify(topMessage(renderer, incident, now, null)),
    mainMessage(renderer, incident, now),
  ]) {
    assert.match(text, /4812 of 5000 alerts/)
    assert.match(text, /and 92 more/)
    assert.match(text, /and 4995 more/)
    assert.ok(text.length < 4_000)
  }
})

test('what to do next is the last line, however long the rest is', () => {
  const long = 'x '.repeat(5_000)
  const incident = sampleView({
    levelReason: long,
    alerts: Array.from({ length: 10 }, () => sampleAlert({ name: long, annotations: { summary: long } })),
    story: Array.from({ length: 50 }, (_, i) => sampleEvent(i + 1, { text: long })),
    regions: Array.from({ length: 100 }, () => long),
    alertNames: [long, long, long, long],
    onCall: [long, long, long],
    key: { a: long, b: long, c: long, d: long, e: long },
  })
  assert.match(mainMessage(renderer, incident, now), /…[\s\S]*\n\n<b>Next:<\/b> Acknowledge[^\n]*$/)
  const last = topMessage(renderer, incident, now, null).blocks.at(-1)
  assert.match(JSON.stringify(last), /\*Next:\* Acknowledge/)
  assertAll(incident)
})
