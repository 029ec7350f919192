import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { ClawError } from '../../../src/core/errors.ts'
import {
  matchAll,
  matcher,
  matchersText,
  parseMatcher,
  parseMatchers,
  readMatchers,
} from '../../../src/core/matchers.ts'

const texts = (input: string) => parseMatchers(input).map((m) => m.text)

test('reads what Alertmanager reads (its own examples)', () => {
  const cases: [string, string[]][] = [
    ['', []],
    ['{}', []],
    ['{foo=bar}', ['foo="bar"']],
    ['{foo=bar,}', ['foo="bar"']],
    ['{foo!=bar}', ['foo!="bar"']],
    ['{foo=~[a-z]+}', ['foo=~"[a-z]+"']],
    ['{foo!~[a-z]+}', ['foo!~"[a-z]+"']],
    ['{foo=🙂bar}', ['foo="🙂bar"']],
    ['foo=bar,', ['foo="bar"']],
    ['{"foo"="bar",}', ['foo="bar"']],
    [String.raw`{"foo"="\xf0\x9f\x99\x82"}`, ['foo="🙂"']],
    [String.raw`{"foo"="\U0001f642"}`, ['foo="🙂"']],
    [String.raw`{"foo"="bar\n"}`, [String.raw`foo="bar\n"`]],
    [String.raw`{"foo"="\"bar\""}`, [String.raw`foo="\"bar\""`]],
    [String.raw`{"foo"="bar\\"}`, [String.raw`foo="bar\\"`]],
    ['foo="bar",bar!="baz"', ['foo="bar"', 'bar!="baz"']],
    ['{ foo = "bar" , dings != "bums", }', ['foo="bar"', 'dings!="bums"']],
    [String.raw`{quote="She said: \"Hi, ladies!\""}`, [String.raw`quote="She said: \"Hi, ladies!\""`]],
    ['statuscode=~"5.."', ['statuscode=~"5.."']],
    ['"my label"=x', ['"my label"="x"']],
    ['größe=x', ['"größe"="x"']],
  ]
  for (const [input, expected] of cases) assert.deepEqual(texts(input), expected, input)
})

test('falls back to the classic reading where only that one takes the text', () => {
  assert.deepEqual(texts(String.raw`foo=~"a\.b|\d+"`), [String.raw`foo=~"a\\.b|\\d+"`])
  assert.deepEqual(texts('foo='), ['foo=""'])
  assert.deepEqual(texts('foo=bar}'), ['foo="bar"'])
  assert.deepEqual(texts('foo=two words'), ['foo="two words"'])
  assert.deepEqual(texts('url=http://a?b=c'), ['url="http://a?b=c"'])
})

test('takes the classic reading where both take the text and disagree', () => {
  // \t is a tab to the UTF-8 parser and two characters to the classic one; \b in a regex is a word boundary there
  assert.equal(parseMatcher(String.raw`foo="bar\t"`).value, String.raw`bar\t`)
  assert.equal(parseMatcher(String.raw`foo=~"\bx\b.*"`).test({ foo: 'x y' }), true)
  assert.equal(parseMatcher(String.raw`"foo"="bar\t"`).value, 'bar\t')
})

test('says at which column it expected what', () => {
  const cases: [string, number, RegExp][] = [
    [',', 1, /expected a label name, found ","/],
    ['{,}', 2, /expected a label name/],
    ['foo bar', 5, /expected an operator/],
    ['{"a b"="x" c=d}', 12, /expected a comma or a closing brace, found "c"/],
    ['"a b"="x', 7, /never closed/],
    ['"a"', 4, /expected an operator .*, found the end/],
    ['{"a b"=c', 9, /expected a closing brace, found the end/],
    [String.raw`{"foo"="bar\w"}`, 12, /unknown escape \\w/],
    [String.raw`{"foo"="\xf0\x9f"}`, 8, /UTF-8/],
    ['""=x', 1, /label name/],
    ['a=~"x("', 4, /never closed/],
    ['a=~"(?=x)"', 4, /lookahead is not supported/],
  ]
  for (const [input, column, message] of cases) {
    const { problem } = readMatchers(input)
    assert.equal(problem?.column, column, input)
    assert.match(problem?.message ?? '', message)
    assert.throws(
      () => parseMatchers(input),
      (error: unknown) =>
        error instanceof ClawError && error.code === 'invalid' && error.message.includes(`column ${column}`),
    )
  }
})

test('parseMatcher wants exactly one', () => {
  assert.throws(() => parseMatcher('{}'), /found none/)
  assert.throws(() => parseMatcher('a=b,c=d'), /expected 1 matcher, found 2/)
})

test('a missing label counts as empty, and hostile names are no trap', () => {
  assert.equal(parseMatcher('a=""').test({}), true)
  assert.equal(parseMatcher('a!=""').test({}), false)
  assert.equal(parseMatcher('a=~".*"').test({}), true)
  assert.equal(parseMatcher('a!~".+"').test({}), true)
  assert.equal(parseMatcher('constructor=""').test({}), true)
  assert.equal(parseMatcher('__proto__="x"').test(JSON.parse('{"__proto__":"x"}')), true)
  assert.equal(matchAll([], {}), true)
  assert.equal(matchAll(parseMatchers('a=b,c=d'), { a: 'b', c: 'x' }), false)
})

test('what is printed reads back as the same matcher', () => {
  const name = fc.oneof(fc.string({ minLength: 1, unit: 'grapheme' }), fc.constantFrom('foo', 'a:b', '_x', 'a b'))
  const value = fc.oneof(
    fc.string({ unit: 'grapheme' }),
    fc.string({ unit: fc.constantFrom('\\', '"', '\n', 'n', 't', '}', ',', '=', ' ') }),
  )
  fc.assert(
    fc.property(
      fc.array(fc.tuple(name, fc.constantFrom('=', '!=') as fc.Arbitrary<'=' | '!='>, value), { maxLength: 3 }),
      (parts) => {
        const made = parts.map(([n, op, v]) => matcher(n, op, v))
        for (const text of [matchersText(made), `{${matchersText(made)}}`]) {
          const read = parseMatchers(text)
          assert.deepEqual(
            read.map((m) => [m.name, m.op, m.value]),
            parts,
          )
        }
      },
    ),
    { numRuns: 300 },
  )
})
