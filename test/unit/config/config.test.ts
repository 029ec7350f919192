// biome-ignore-all lint/suspicious/noTemplateCurlyInString: it is the syntax under test
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { inspect } from 'node:util'
import { checkConfig } from '../../../src/config/check.ts'
import { loadConfig, parseConfig, redact, secretsOf } from '../../../src/config/config.ts'
import { ConfigError, jsonSchema, pagerdutyKeys, readListen } from '../../../src/config/index.ts'
import { ClawError } from '../../../src/core/errors.ts'

type Env = Record<string, string>
const parse = (text: string, env: Env = {}, files: Env = {}) => parseConfig(text, { env, readFile: reader(files) })
const lines = (text: string, env: Env = {}, files: Env = {}) =>
  checkConfig(text, { env, readFile: reader(files) }).text.split('\n')

function reader(files: Env) {
  return (path: string) => {
    const found = files[path]
    if (found === undefined) throw Object.assign(new Error('no'), { code: 'ENOENT' })
    return found
  }
}

const example = readFileSync(new URL('../../../claw.example.yaml', import.meta.url), 'utf8')
const exampleEnv: Env = Object.fromEntries(
  [...example.matchAll(/\$\{([A-Z_]+)\}/g)].map(([, name]) => [name ?? '', `secret-of-${name}`]),
)

test('an empty file gives the defaults of the contract', async () => {
  const { config, policy, path } = await loadConfig(null, {})
  assert.equal(path, null)
  assert.equal(config.listen, '0.0.0.0:8080')
  assert.equal(config.store, 'sqlite:data/claw.db')
  assert.equal(config.shutdown_timeout, 10_000)
  assert.deepEqual(policy.correlateBy, ['service'])
  assert.deepEqual([policy.correlationWindow, policy.reopenWithin, policy.doubtFor], [300_000, 600_000, 60_000])
  assert.deepEqual(
    policy.severities.map((rule) => [rule.level, ...rule.matchers.map((m) => m.text)]),
    [['P1', 'severity="critical"'], ['P2', 'severity="warning"'], ['P3', 'severity=~"info|none"'], ['P2']],
  )
  assert.deepEqual([...policy.receivers.values()], [{ name: 'default', destinations: [], fallback: null }])
  assert.equal(policy.route.receiver, 'default')
  assert.deepEqual(policy.heartbeat, {
    alertname: 'Watchdog',
    timeout: 300_000,
    forgetAfter: 604_800_000,
    expected: false,
  })
  assert.deepEqual(Object.keys(config.roles), ['viewer', 'responder', 'commander'])
})

test('the example file is right, given the variables it names', () => {
  const result = checkConfig(example, { env: exampleEnv, readFile: reader({}) })
  assert.equal(result.text, 'claw.yaml: ok (2 receivers, 3 routes, 4 severity rules, 1 inhibit rule)')
  const { policy } = parse(example, exampleEnv)
  assert.equal(policy.heartbeat.expected, true)
  assert.deepEqual(policy.receivers.get('critical'), {
    name: 'critical',
    destinations: [
      { kind: 'pagerduty', lane: 'pagerduty', target: 'default', settings: {} },
      { kind: 'slack', lane: 'slack', target: 'C0CRITICAL', settings: { channel: 'C0CRITICAL', notify: false } },
      { kind: 'telegram', lane: 'telegram', target: '-1001', settings: { chat: '-1001', thread: null, notify: false } },
    ],
    fallback: 'default',
  })
})

test('every commented setting of the example is right as well, one by one', () => {
  const offered = example.split('\n').flatMap((line, index) => (/^\s*# \w+: /.test(line) ? [index] : []))
  assert.ok(offered.length > 10)
  for (const index of offered) {
    const all = example.split('\n')
    // a block goes on while its comments are indented deeper
    const depth = /# ( *)/.exec(all[index] ?? '')?.[1]?.length ?? 0
    let end = index + 1
    while (/^\s*# {2,}/.test(all[end] ?? '') && (/# ( *)/.exec(all[end] ?? '')?.[1]?.length ?? 0) > depth) end++
    for (let at = index; at < end; at++) all[at] = (all[at] ?? '').replace('# ', '')
    const { text } = checkConfig(all.join('\n'), { env: exampleEnv, readFile: reader({}) })
    const wanted = text
      .split('\n')
      .filter((line) => !/ ok |needs username and password together|: add |auditor/.test(line))
    assert.deepEqual(wanted, [], all[index])
  }
})

test('each mistake is named with its line and column', () => {
  assert.deepEqual(
    lines(`
listen: 80
alertmanager: { token: '', tokn: x }
incidents:
  correlation_window: 5
  correlate_bye: [a]
  raise_at_regions: two
  severities:
    - { level: P4 }
receivers:
  - slack: { channel: C1, mention: everybody }
route: { receiver: a, group_by: [x] }
people:
pagerduty: { poll_interval: 0s }
`),
    [
      'claw.yaml:2:9: listen must be text; put it in quotes',
      'claw.yaml:3:24: token must not be empty; remove the key or give it a value',
      'claw.yaml:3:28: unknown key "tokn"; did you mean "token"?',
      'claw.yaml:5:23: correlation_window must be a duration such as 30s, 5m, 1h30m or 1d',
      'claw.yaml:6:3: unknown key "correlate_bye"; did you mean "correlate_by"?',
      'claw.yaml:7:21: raise_at_regions must be a number',
      'claw.yaml:9:16: level must be one of P1, P2, P3',
      'claw.yaml:11:5: name is missing',
      'claw.yaml:11:36: mention must be here, channel, or the id of a person (U…) or user group (S…)',
      'claw.yaml:12:23: unknown key "group_by": Claw groups by incidents.correlate_by',
      'claw.yaml:13:1: people is empty; remove the key or give it a value',
      'claw.yaml:14:29: poll_interval must be longer than 0',
    ],
  )
})

test('what refers to nothing is named, with the nearest name', () => {
  assert.deepEqual(
    lines(`
receivers:
  - name: critical
    pagerduty: {}
    slack: { channel: C1 }
    telegram: { chat: -100 }
    fallback: critical
  - { name: b, fallback: c }
  - { name: c, fallback: b }
  - { name: d }
  - { name: d }
route:
  receiver: critcal
  routes:
    - matchers: ['a=b', "severity=~(x"]
      mute_time_intervals: [nigth]
    - matchers:
      - foo bar
      - '{}'
      routes:
        - receiver: nobody-at-all
time_intervals:
  - name: night
    time_intervals:
      - weekdays: ['mon']
roles:
  auditor: { allow: [audit], inherits: viewr }
people:
  - { name: Dana, roles: [auditr], slack: U1 }
  - { name: Eve, slack: U1 }
api: { tokens: { Dana: x, Eve: x, Mallory: y } }
`),
    [
      'claw.yaml:4:5: this receiver pages through PagerDuty: add pagerduty.routing_key',
      'claw.yaml:5:5: this receiver posts to Slack: add slack.bot_token',
      'claw.yaml:6:5: this receiver posts to Telegram: add telegram.bot_token',
      'claw.yaml:7:15: receiver "critical" cannot be its own fallback',
      'claw.yaml:8:26: the fallbacks of "b" lead back to itself',
      'claw.yaml:9:26: the fallbacks of "c" lead back to itself',
      'claw.yaml:11:13: receiver "d" is defined twice',
      'claw.yaml:13:13: receiver "critcal" does not exist; did you mean "critical"?',
      'claw.yaml:15:36: matcher, column 11: invalid regular expression: the group that opens at character 1 is never closed',
      'claw.yaml:16:29: time interval "nigth" does not exist; did you mean "night"?',
      'claw.yaml:18:13: matcher, column 5: expected an operator such as =, !=, =~ or !~, found "bar"',
      'claw.yaml:19:9: this matcher is empty and would match everything',
      'claw.yaml:21:21: receiver "nobody-at-all" does not exist',
      'claw.yaml:25:19: weekdays: "mon" is not valid; write monday:friday or sunday',
      'claw.yaml:27:40: role "viewr" does not exist; did you mean "viewer"?',
      'claw.yaml:29:27: role "auditr" does not exist; did you mean "auditor"?',
      'claw.yaml:30:25: slack account U1 belongs to "Dana" already',
      'claw.yaml:31:32: "Eve" and "Dana" have the same token; one token speaks for one person',
      'claw.yaml:31:35: person "Mallory" is not in people',
    ],
  )
})

test('the root route is as strict as in Alertmanager', () => {
  assert.deepEqual(lines('receivers: [{ name: a }]\nroute:\n  matchers: [a=b]\n  continue: true\n'), [
    'claw.yaml:2:1: the root route needs a receiver, for whatever no other route takes',
    'claw.yaml:3:3: the root route must not have matchers',
    'claw.yaml:4:3: the root route must not have continue',
  ])
  assert.equal(parse('receivers: [{ name: only }]').policy.route.receiver, 'only')
  assert.match(
    lines('receivers: [{ name: a }, { name: b }]')[0] ?? '',
    /^claw.yaml:1:1: there are receivers but no route/,
  )
})

test('broken YAML is one message with its place and without its content', () => {
  assert.deepEqual(lines('a: 1\nlisten: x:1\nlisten: x:2\n'), [
    'claw.yaml:3:1: this key is given twice in the same map',
  ])
  const [flow] = lines('slack: { bot_token: ${SLACK_BOT_TOKEN} }')
  assert.match(flow ?? '', /^claw\.yaml:1:\d+: not valid YAML: .*\$\{…\} must stand in quotes$/)
  for (const text of [
    'token: "hunter2" hunter2',
    'a: [hunter2',
    '- hunter2\nb: c',
    '"hunter2',
    '%hunter2\n---\n',
    'a: !hunter2 b',
  ]) {
    const found = lines(text)
    assert.equal(found.length >= 1, true)
    assert.doesNotMatch(found.join('\n'), /ok|hunter2/, text)
  }
  assert.match(lines('listen: a:1\n---\nlisten: b:2')[0] ?? '', /several documents/)
  assert.deepEqual(lines('just text'), ['claw.yaml:1:1: the file must be a map of keys'])
})

test('aliases and merge keys work, and cannot blow up', () => {
  const { config } = parse(`
people:
  - &dana { name: Dana, roles: [viewer], slack: U1 }
  - { <<: *dana, name: Eve, slack: U2 }
`)
  assert.deepEqual(config.people[1], { name: 'Eve', roles: ['viewer'], slack: 'U2' })
  const levels = Array.from({ length: 20 }, (_, n) => `l${n + 1}: &l${n + 1} [${`*l${n}, `.repeat(9)}*l${n}]`)
  assert.match(lines(['l0: &l0 [x]', ...levels].join('\n')).join('\n'), /too many or too deeply nested values/)
  assert.match(lines('a: &a [*a]')[0] ?? '', /too many or too deeply nested values/)
  assert.match(lines('a: *nothing')[0] ?? '', /^claw\.yaml:1:4: /)
  assert.match(lines(`a: ${'['.repeat(3_000)}`)[0] ?? '', /^claw\.yaml:1:/)
})

test('variables and files are put into values, and can inject nothing', () => {
  const { config } = parse(
    `
alertmanager: { token: "\${file:/run/token}" }
public_url: https://\${HOST}:\${PORT}/
slack: { bot_token: "a$\${b}" }
incidents: { raise_at_regions: "\${REGIONS}" }
receivers:
  - { name: r, slack: { channel: C1, notify: "\${NOTIFY}" } }
people: [{ name: "\${EVIL}" }]
`,
    { HOST: 'claw', PORT: '99', REGIONS: '3', NOTIFY: 'false', EVIL: 'x\nroles: [commander] ${HOST}' },
    { '/run/token': 'abc\n' },
  )
  assert.deepEqual(config.alertmanager.token, ['abc'])
  assert.equal(config.public_url, 'https://claw:99/')
  assert.equal(config.slack.bot_token, 'a${b}')
  assert.equal(config.incidents.raise_at_regions, 3)
  assert.equal(config.receivers[0]?.slack?.notify, false)
  assert.equal(config.people[0]?.name, 'x\nroles: [commander] ${HOST}')
})

test('a variable becomes a number only where it is all of the value and the schema wants one', () => {
  assert.deepEqual(lines('incidents: { raise_at_regions: "${N}0" }', { N: '1' }), [
    'claw.yaml:1:32: raise_at_regions must be a number',
  ])
  assert.deepEqual(lines('incidents: { raise_at_regions: "3" }'), ['claw.yaml:1:32: raise_at_regions must be a number'])
  assert.deepEqual(lines('incidents: { raise_at_regions: "${N}" }', { N: 'three' }), [
    'claw.yaml:1:32: raise_at_regions must be a number',
  ])
  assert.equal(parse('slack: { bot_token: "${T}" }', { T: '12345' }).config.slack.bot_token, '12345')
})

test('a missing variable, an unreadable file and a half-written one have their place', () => {
  assert.deepEqual(
    lines(
      'listen: ${NO}\npublic_url: "http://${file:/nope}"\nstore: "a${"\ntemplates: ${1}\nlog: { level: "x${constructor}" }',
    ),
    [
      'claw.yaml:1:9: environment variable NO is not set',
      'claw.yaml:2:21: file /nope cannot be read: ENOENT',
      'claw.yaml:3:10: ${ is never closed; write $${ for a literal ${',
      'claw.yaml:4:12: ${1} is not valid; write ${NAME}, ${file:/path}, or $${ for a literal ${',
      'claw.yaml:5:17: environment variable constructor is not set',
    ],
  )
  assert.deepEqual(lines('alertmanager:\n  token: ${EMPTY}', { EMPTY: '' }), [
    'claw.yaml:2:10: token must not be empty; remove the key or give it a value',
  ])
  assert.match(lines('alertmanager: { token: ["a", ""] }')[0] ?? '', /^claw\.yaml:1:30: token\[1\] must not be empty/)
})

test('a token that stands alone before the host of an address is a secret, the user of a database is none', () => {
  const { config, secrets } = parse(
    `store: postgres://claw@db:5432/claw\nedge: { url: 'https://to%2Fken@edge.example.com/x', token: t }\n`,
    {},
  )
  const shown = inspect(redact(config), { depth: 20 })
  assert.match(shown, /https:\/\/\[secret\]@edge\.example\.com\/x/)
  assert.match(shown, /postgres:\/\/claw@db:5432\/claw/)
  assert.ok(secrets.includes('to%2Fken') && secrets.includes('to/ken') && !secrets.includes('claw'))
})

test('no secret is shown by redact, and all are listed', () => {
  const text = example.replace('sqlite:data/claw.db', 'postgres://claw:s3%2Fcret@db:5432/claw')
  const { config, secrets } = parse(text, exampleEnv)
  const shown = inspect(redact(config), { depth: 20 })
  const used = [...example.replace(/#.*$/gm, '').matchAll(/\$\{([A-Z_]+)\}/g)].map(([, name]) => `secret-of-${name}`)
  assert.ok(used.length >= 5)
  for (const secret of [...used, 's3%2Fcret']) {
    assert.ok(secrets.includes(secret), secret)
    assert.doesNotMatch(shown, new RegExp(secret))
  }
  assert.ok(secrets.includes('s3/cret'))
  assert.match(shown, /postgres:\/\/claw:\[secret\]@db:5432\/claw/)
  assert.match(shown, /'https:\/\/claw\.example\.com'/)
  assert.deepEqual(secretsOf(parse('').config), [])
})

test('a bad secret is not quoted by the message about it', () => {
  const text =
    'alertmanager: { token: "${T}" }\npagerduty: { from: "${T}" }\nstore: ${T}\nroute: { receiver: x, matchers: ["${T}"] }'
  assert.doesNotMatch(lines(text, { T: 'hunter2\nhunter2' }).join('\n'), /hunter2/)
})

test('PagerDuty services are told apart by name, never by key', () => {
  const { config, policy } = parse(`
pagerduty: { routing_key: global }
receivers:
  - { name: a, pagerduty: {} }
  - { name: b, pagerduty: { routing_key: own } }
  - { name: c, pagerduty: { routing_key: other, name: team } }
route: { receiver: a }
`)
  assert.deepEqual(Object.fromEntries(pagerdutyKeys(config)), { default: 'global', b: 'own', team: 'other' })
  assert.doesNotMatch(JSON.stringify([...policy.receivers]), /global|own|other/)
  assert.match(
    lines(`
receivers:
  - { name: a, pagerduty: { routing_key: one, name: x } }
  - { name: b, pagerduty: { routing_key: two, name: x } }
route: { receiver: a }
`)[0] ?? '',
    /^claw\.yaml:4:16: two different PagerDuty services are both called "x"/,
  )
})

test('mentions are written as Slack reads them, and asking for one means notifying', () => {
  const settings = (slack: string) =>
    parse(
      `pagerduty: { routing_key: k }\nslack: { bot_token: t }\nreceivers: [{ name: a, pagerduty: {}, slack: { channel: C1, ${slack} } }]`,
    ).policy.receivers.get('a')?.destinations[1]?.settings
  assert.deepEqual(settings('mention: here'), { channel: 'C1', notify: true, mention: '<!here>' })
  assert.deepEqual(settings('mention: S0TEAM'), { channel: 'C1', notify: true, mention: '<!subteam^S0TEAM>' })
  assert.deepEqual(settings('mention: U1, notify: false'), { channel: 'C1', notify: false, mention: '<@U1>' })
})

test('a mistake is one ClawError that holds them all', () => {
  try {
    parse('listen: 1\nstore: x')
    assert.fail('it was taken')
  } catch (error) {
    assert.ok(error instanceof ConfigError && error instanceof ClawError)
    assert.equal(error.code, 'invalid')
    assert.deepEqual(error.problems, [
      { line: 1, column: 9, path: 'listen', message: 'listen must be text; put it in quotes' },
      {
        line: 2,
        column: 8,
        path: 'store',
        message: 'store must be sqlite:<path> or postgres://user:password@host:5432/database',
      },
    ])
  }
})

test('addresses to listen on', () => {
  assert.deepEqual(readListen(':8080'), { host: '0.0.0.0', port: 8080 })
  assert.deepEqual(readListen('[::1]:0'), { host: '::1', port: 0 })
  for (const text of ['8080', 'host', 'host:', 'a:65536', '[x]:1', 'a b:1', '::1:80'])
    assert.equal(readListen(text), null, text)
})

test('the JSON Schema knows every key and says what it is for', () => {
  const schema = jsonSchema() as {
    properties: Record<string, { description?: string; properties?: object }>
    additionalProperties: boolean
  }
  assert.equal(schema.additionalProperties, false)
  for (const key of ['listen', 'alertmanager', 'incidents', 'receivers', 'route', 'people', 'api', 'time_intervals'])
    assert.ok(schema.properties[key], key)
  assert.ok(schema.properties.incidents?.description)
  assert.doesNotThrow(() => JSON.stringify(schema))
})

test('what the contract shows in section 8 is taken', () => {
  const { config } = parse(`
approvals: { failover: 1, expire_after: 15m }
alertmanager: { compare_interval: 1m }
pagerduty: { poll_interval: 30s }
failover: { traffic: edge, propagation_wait: 60s, soak: 30s, synthetic_load: { url: http://load } }
edge: { url: http://e, token: t, regions: { A: { url: http://a } } }
selftest: { every: 1h }
heartbeat: { ping_url: http://ping/x }
remediation:
  - { name: heal, when: { class: divergence, below: 0.1, for: 1m }, action: reconcile, mode: automatic, cool_down: 5m, budget: { max: 3, per: 1h }, verify: { after: 2m } }
`)
  assert.equal(config.approvals.failover, 1)
  assert.equal(config.remediation[0]?.budget?.per, 3_600_000)
  assert.equal(config.selftest.every, 3_600_000)
})
