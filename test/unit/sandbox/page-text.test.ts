import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Child, clockOf, link, mrkdwn, percent, safeUrl, telegramText } from '../../../src/sandbox/page/text.js'

/** Nodes as a short notation: `b(text)`, links with their address. */
function shape(nodes: readonly Child[]): string {
  return nodes
    .map((node) => {
      if (typeof node === 'string') return node
      const href = node.props.href === undefined ? '' : ` ${String(node.props.href)}`
      return `${node.tag}${href}(${shape(node.children)})`
    })
    .join('')
}

/** All tags and attributes that a tree would make. */
function made(nodes: readonly Child[]): { tags: Set<string>; attributes: Set<string> } {
  const tags = new Set<string>()
  const attributes = new Set<string>()
  const walk = (children: readonly Child[]): void => {
    for (const child of children) {
      if (typeof child === 'string') continue
      tags.add(child.tag)
      for (const name of Object.keys(child.props)) attributes.add(name)
      walk(child.children)
    }
  }
  walk(nodes)
  return { tags, attributes }
}

const ALLOWED_TAGS = new Set(['a', 'b', 'i', 's', 'u', 'code', 'pre', 'span', 'blockquote'])
const ALLOWED_ATTRIBUTES = new Set(['href', 'target', 'rel', 'class', 'tabindex'])

const HOSTILE = [
  '<script>alert(1)</script>',
  '&lt;img src=x onerror=alert(1)&gt;',
  '<javascript:alert(1)|click>',
  '<data:text/html,x|click>',
  '<https://example.com" onclick="x|click>',
  '<!channel> <@U0EVIL"><b>|x>',
  '*_~`<b>`~_*',
  '```</pre><script>```',
  '\u0000\ud800 <https://a.example|*bold*>',
  '<'.repeat(2_000) + '*'.repeat(2_000) + '`'.repeat(2_000),
]

test('mrkdwn: bold, italic, struck, code, links, mentions; entities become characters at the end', () => {
  assert.equal(shape(mrkdwn('*P1 · Buckets* in _A_ ~B~ &lt;b&gt; &amp;amp;')), 'b(P1 · Buckets) in i(A) s(B) <b> &amp;')
  assert.equal(
    shape(mrkdwn('<http://127.0.0.1/x?a=1&amp;b=2|Graph> · `a*b*`')),
    'a http://127.0.0.1/x?a=1&b=2(Graph) · code(a*b*)',
  )
  assert.equal(shape(mrkdwn('```\nRegion  *A*\n```')), 'pre(Region  *A*)')
  assert.equal(shape(mrkdwn('<@U0DANA> <#C1|alerts> <!here>')), 'b(@Dana) b(#alerts) b(@here)')
  assert.equal(shape(mrkdwn('rating_api_edge and 3*4*5')), 'rating_api_edge and 3*4*5')
})

test('whatever a hostile author writes in Slack, only what is on the list comes out, and links are http or https', () => {
  for (const text of HOSTILE) {
    const nodes = mrkdwn(text)
    const { tags, attributes } = made(nodes)
    assert.deepEqual(
      [...tags].filter((tag) => !ALLOWED_TAGS.has(tag)),
      [],
      text.slice(0, 60),
    )
    assert.deepEqual(
      [...attributes].filter((name) => !ALLOWED_ATTRIBUTES.has(name)),
      [],
      text.slice(0, 60),
    )
    assert.doesNotMatch(shape(nodes), /a (?!https?:)\S+\(/, text.slice(0, 60))
  }
  assert.equal(shape(mrkdwn('<javascript:alert(1)|click>')), 'span(click)')
})

test('Telegram: text and entities, nested; an unknown kind and a bad link stay text', () => {
  const bold = { type: 'bold', offset: 0, length: 7 }
  assert.equal(shape(telegramText('P1 Edge x', [bold, { type: 'code', offset: 3, length: 4 }])), 'b(P1 code(Edge)) x')
  const evil = { type: 'text_link', offset: 0, length: 5, url: 'javascript:alert(1)' }
  assert.equal(shape(telegramText('Graph', [evil])), 'span(Graph)')
  assert.equal(shape(telegramText('Graph', [{ ...evil, url: 'https://a.example/' }])), 'a https://a.example/(Graph)')
  assert.equal(shape(telegramText('<b>', [{ type: 'script', offset: 0, length: 3 }])), 'span(<b>)')
  assert.equal(shape(telegramText('ab', [{ type: 'bold', offset: 1, length: 99 }])), 'ab(b)')
})

test('addresses that may be followed', () => {
  for (const good of ['http://127.0.0.1:8080/incidents/1', 'https://a.example/?q=%22'])
    assert.equal(safeUrl(good), good)
  for (const bad of [
    'javascript:alert(1)',
    '//a.example',
    'https://a b',
    'https://a.example/"',
    7,
    null,
    'data:,x',
    '',
  ])
    assert.equal(safeUrl(bad), null, String(bad))
  assert.deepEqual(link('https://a.example', 'x').props, {
    href: 'https://a.example',
    target: '_blank',
    rel: 'noopener noreferrer',
  })
})

test('figures as people read them', () => {
  assert.deepEqual([clockOf(124), clockOf(-3), clockOf(59.2)], ['2:04', '0:00', '1:00'])
  assert.deepEqual([percent(0), percent(0.0004), percent(0.082), percent(0.996)], ['0 %', '< 0.1 %', '8.2 %', '100 %'])
})
