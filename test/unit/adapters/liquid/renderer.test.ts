import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { checkTemplates, createRenderer } from '../../../../src/adapters/liquid/renderer.ts'

const NOW = Date.UTC(2026, 4, 4, 2, 30)

function folder(t: TestContext, files: Record<string, string>): string {
  const root = mkdtempSync(join(tmpdir(), 'claw-templates-'))
  t.after(() => rmSync(root, { recursive: true, force: true }))
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true })
    writeFileSync(join(root, path), text)
  }
  return root
}

/** Renders one template text in each destination's folder. */
function render(t: TestContext, template: string, data: Record<string, unknown>, dir = 'slack'): string {
  const renderer = createRenderer({ root: folder(t, { [`${dir}/x.liquid`]: template }) })
  return renderer.render(`${dir}/x`, { now: NOW, ...data })
}

test('values are escaped for the destination of the folder, without a template asking for it', (t) => {
  const v = '<!channel> & "b" </b>'
  assert.equal(render(t, '{{ v }}', { v }, 'slack'), '&lt;!channel&gt; &amp; "b" &lt;∕b&gt;')
  assert.equal(render(t, '{{ v }}', { v }, 'telegram'), '&lt;!channel&gt; &amp; &quot;b&quot; &lt;∕b&gt;')
  assert.equal(render(t, '{{ v }}', { v }, 'console'), '&lt;!channel&gt; &amp; &quot;b&quot; &lt;/b&gt;')
  assert.equal(render(t, '{{ v }}', { v }, 'pagerduty'), v)
})

test('Slack formatting in values shows as look-alikes, a name with underscores stays as it is', (t) => {
  assert.equal(
    render(t, '{{ v }}', { v: '*b* _i_ ~s~ `c` :fire: rating_api_v2 02:15:30' }),
    '∗b∗ ＿i＿ ∼s∼ ˋcˋ ∶fire: rating_api_v2 02:15:30',
  )
})

test('nothing in a value becomes a mention, a link or a command by itself', (t) => {
  const v = '@here me@example.com https://evil.example /resolve #tag $USD 1.2.3.4 0.05'
  const safe = '＠here me＠example․com https:∕∕evil․example ∕resolve ＃tag ＄USD 1․2․3․4 0.05'
  assert.equal(render(t, '{{ v }}', { v }, 'telegram'), safe)
  assert.equal(render(t, '{{ v }}', { v }, 'slack'), safe)
})

test('code in values is text', (t) => {
  assert.equal(render(t, '{{ v }}', { v: '{{ 7|times:7 }}{% raw %}' }), '{{ 7|times:7 }}{% raw %}')
})

test('there is no way round escaping', (t) => {
  assert.throws(() => render(t, '{{ v | raw }}', { v: '<' }), /undefined filter: raw/)
  for (const template of [
    '{% echo v %}',
    '{{ v | link: v }}',
    "{{ v | append: '' }}",
    '{% capture c %}{{ v }}{% endcapture %}{{ c }}',
    '{% cycle v %}',
    "{{ 'https://a.example' | link: v | upcase }}",
  ])
    assert.doesNotMatch(render(t, template, { v: '<!here>' }), /<!/i, template)
})

test('control, reordering and broken characters are shown, line breaks are blanks', (t) => {
  assert.equal(render(t, '{{ v }}', { v: 'a\0b\u202Ec\uD800d\ne\u2066f\u200Bg' }), 'a�b�c�d e�fg')
})

test('a value has at most 1000 characters', (t) => {
  assert.equal(render(t, '{{ v }}', { v: 'x'.repeat(20_000) }).length, 1_000)
})

test('times are UTC, with the date when it is not today', (t) => {
  const v = Date.UTC(2026, 4, 4, 2, 15)
  assert.equal(render(t, '{{ v | utc }}, {{ v | ago }}, {{ v | since }}', { v }), '02:15 UTC, 15 min ago, 15 min')
  assert.equal(render(t, '{{ v | utc }}', { v: v - 86_400_000 }), '2026-05-03 02:15 UTC')
  assert.equal(render(t, '{{ v | since: e }}', { v, e: v + 7_500_000 }), '2 h 5 min')
  assert.equal(render(t, '{{ v | utc }}|{{ w | utc }}', { v: 1e300, w: null }), 'unknown time|')
})

test('percent, join_and, truncate_text', (t) => {
  assert.equal(
    render(t, '{{ a | percent }} {{ b | percent }} {{ c | percent }}', { a: 0.04, b: null, c: 0.004 }),
    '4 % unknown under 1 %',
  )
  assert.equal(render(t, '{{ v | join_and }}', { v: ['A', 'B', 'C'] }), 'A, B and C')
  assert.equal(render(t, '{{ v | join_and: 2 }}', { v: ['A', '', 'C', 'D'] }), 'A, unnamed and 2 more')
  assert.equal(render(t, '{{ v | truncate_text: 5 }}', { v: 'ab👩‍👩‍👧cd' }), 'ab…')
  assert.equal(render(t, '{{ v | truncate_text: 5 }}', { v: `e${'\u0301'.repeat(9_000)}` }), '…')
})

test('a link needs a strict http(s) address', (t) => {
  const link = (v: unknown, dir = 'slack') => render(t, "{{ v | link: 'Graph' }}", { v }, dir)
  assert.equal(link('https://g.example/a?b=1&c=2'), '<https://g.example/a?b=1&amp;c=2|Graph>')
  assert.equal(link('https://g.example/?a&b', 'telegram'), '<a href="https://g.example/?a&amp;b">Graph</a>')
  assert.equal(link('https://g.example', 'pagerduty'), 'Graph: https://g.example')
  for (const bad of [
    'javascript:alert(1)',
    'https://a|b',
    'https://a b',
    'https://a>b',
    'http://',
    'https://a"b',
    'https://a\n',
    'ftp://a',
    null,
    7,
    'https://a\u202Eb',
    'https:/x',
  ])
    assert.equal(link(bad), 'Graph', String(bad))
})

test("an operator's own file of the same path wins, the others stay", (t) => {
  const root = folder(t, {
    'slack/a.liquid': "old {% render 'shared/p' %}",
    'slack/b.liquid': 'b',
    'shared/p.liquid': 'p',
  })
  const overrides = folder(t, { 'slack/a.liquid': "new {% render 'shared/p' %}" })
  const renderer = createRenderer({ root, overrides })
  assert.equal(renderer.render('slack/a', {}), 'new p')
  assert.equal(renderer.render('slack/b', {}), 'b')
})

test('a broken template is a ClawError, one without end is stopped', (t) => {
  const root = folder(t, { 'slack/a.liquid': '{% if %}', 'slack/b.liquid': '{% for i in (1..9000000) %}x{% endfor %}' })
  const renderer = createRenderer({ root })
  for (const name of ['slack/a', 'slack/b', 'slack/none', 'other/a', 'a'])
    assert.throws(() => renderer.render(name, {}), { name: 'ClawError', code: 'internal' }, name)
})

test('the check lists broken templates with file and line', (t) => {
  const root = folder(t, {
    'slack/good.liquid': 'x',
    'slack/bad.liquid': 'one\n{{ v | raw }}',
    'slack/part.liquid': "\n\n{% render 'shared/none' %}",
  })
  const overrides = folder(t, { 'slakc/a.liquid': 'x' })
  const mistakes = checkTemplates(root, overrides)
  assert.deepEqual(
    mistakes.map((m) => [m.file, m.line]),
    [
      [join(root, 'slack/bad.liquid'), 2],
      [join(root, 'slack/part.liquid'), 3],
      [join(overrides, 'slakc/a.liquid'), null],
    ],
  )
  assert.match(mistakes[0]?.message ?? '', /undefined filter: raw/)
  assert.deepEqual(checkTemplates(join(root, 'none')).length, 1)
})
