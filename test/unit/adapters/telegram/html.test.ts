import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { cutHtml, htmlLength } from '../../../../src/adapters/telegram/html.ts'
import { parseHtml } from '../../../../src/sandbox/telegram/html.ts'

test('length is what Telegram counts: without tags, an entity as one', () => {
  assert.equal(htmlLength('<b>a&amp;b</b><a href="https://x.example/?a&amp;b">c</a>'), 4)
})

test('what fits stays as it is', () => {
  assert.equal(cutHtml('<b>abc</b>', 3, 100), '<b>abc</b>')
})

test('a cut closes what is open and keeps entities whole', () => {
  assert.equal(cutHtml('<b>ab<i>cd&amp;ef</i></b>', 5, 100), '<b>ab<i>cd…</i></b>')
  assert.equal(cutHtml('a&amp;b', 2, 100), 'a…')
  assert.equal(cutHtml('ab😀', 3, 100), 'ab…')
})

test('any cut is valid HTML within both limits', () => {
  const piece = fc.oneof(
    fc.constantFrom(
      '<b>x</b>',
      '<a href="https://a.example/?b&amp;c">link</a>',
      '&lt;',
      '&amp;',
      '\n',
      '😀',
      '<b>a<i>b</i></b>',
    ),
    fc.stringMatching(/^[a-z ]{0,9}$/),
  )
  fc.assert(
    fc.property(
      fc.array(piece, { maxLength: 40 }),
      fc.nat(120),
      fc.integer({ min: 20, max: 200 }),
      (pieces, limit, maxHtml) => {
        const cut = cutHtml(pieces.join(''), limit, maxHtml)
        assert.notEqual(typeof parseHtml(cut), 'string')
        assert.ok(htmlLength(cut) <= limit)
        assert.ok(cut.length <= maxHtml)
      },
    ),
  )
})
