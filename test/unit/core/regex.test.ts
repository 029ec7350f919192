import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { compileRegex } from '../../../src/core/regex.ts'

test('matches the whole text, as RE2 does', () => {
  const cases: [string, string, boolean][] = [
    ['', '', true],
    ['', 'x', false],
    ['info|none', 'none', true],
    ['info|none', 'nonel', false],
    ['a|b.*', 'bcd', true],
    ['(?i)crit.*', 'CRITical', true],
    ['a(?i)b|C', 'c', true],
    ['a(?i)b|C', 'A', false],
    ['(?i:a)b', 'AB', false],
    ['(?P<x>a)(?<y>b)', 'ab', true],
    ['\\Aab\\z', 'ab', true],
    ['^ab$', 'ab', true],
    ['.', '\n', false],
    ['.', '\r', true],
    ['(?s).', '\n', true],
    ['(?s:.)(?-s:.)', '\n\n', false],
    ['a\n(?m)^b$', 'a\nb', true],
    ['.', '🙂', true],
    ['[🙂-🙃]', '🙃', true],
    ['\\d+\\.\\d*', '12.', true],
    ['\\s', '\u00a0', false],
    ['[^\\S]', ' ', true],
    ['[[:alpha:]_-]+', 'a_-b', true],
    ['[[:^digit:]]', '1', false],
    ['[]a]+', ']a', true],
    ['[^]a]', 'b', true],
    ['[a-]', '-', true],
    ['\\pL\\p{Greek}\\PN', 'éαx', true],
    ['\\p{^L}', 'x', false],
    ['x{2,3}', 'xxxx', false],
    ['x{2,}?', 'xxxx', true],
    ['a{,2}', 'a{,2}', true],
    ['{}', '{}', true],
    ['\\Qa.b*\\E+', 'a.b**', true],
    ['\\x41\\x{1F642}\\101', 'A🙂A', true],
    ['\\-\\/\\_', '-/_', true],
    ['\\bfoo\\b.*', 'foo bar', true],
    ['foo\\Bx', 'foox', true],
    ['(|a)+', 'aaa', true],
    ['(a*)*b', 'aab', true],
    ['(a?){3}', 'aa', true],
  ]
  for (const [source, text, expected] of cases)
    assert.equal(compileRegex(source)(text), expected, `${source} against ${JSON.stringify(text)}`)
})

test('refuses what RE2 refuses', () => {
  const cases: [string, RegExp][] = [
    ['(?=a)', /lookahead/],
    ['(?!a)', /lookahead/],
    ['(?<=a)b', /lookbehind/],
    ['(a)\\1', /backreferences/],
    ['(a', /never closed/],
    ['a)', /unexpected \)/],
    ['[a', /never closed/],
    ['*a', /nothing to repeat/],
    ['a|*', /nothing to repeat/],
    ['a**', /two repetitions/],
    ['a*+', /two repetitions/],
    ['a{3}{2}', /two repetitions/],
    ['a{2,1}', /out of range/],
    ['a{1001}', /out of range/],
    ['(a{1000}){1000}', /too large/],
    ['[b-a]', /bad range/],
    ['\\Z', /not supported/],
    ['a\\', /backslash/],
    ['\\p{Klingon}', /no known class/],
    ['(?x)a', /not supported/],
    ['(?P<n>a)(?P<n>b)', /used twice/],
    ['('.repeat(2_000), /too deeply/],
  ]
  for (const [source, message] of cases) assert.throws(() => compileRegex(source), message, source)
})

test('an expression that would make a backtracking engine explode stays linear', () => {
  // 2^5000 steps for a backtracking engine: this test would never end
  assert.equal(compileRegex('(a+)+b')('a'.repeat(5_000)), false)
  assert.equal(compileRegex('(a|aa)+$')(`${'a'.repeat(5_000)}!`), false)
})

test('agrees with JavaScript where both mean the same', () => {
  const leaf = fc.constantFrom('a', 'b', 'ab', '[ab]', '[^a]', '.', '\\d', '(?:a|b)', '(b|)', 'a?')
  const source = fc
    .array(fc.tuple(leaf, fc.constantFrom('', '|')), { minLength: 1, maxLength: 6 })
    .map((parts) => parts.map(([atom, after], at) => atom + (at < parts.length - 1 ? after : '')).join(''))
  const repeated = fc.tuple(source, fc.constantFrom('', '*', '+', '?', '{2}')).map(([s, q]) => `(${s})${q}c?`)
  fc.assert(
    fc.property(
      repeated,
      fc.string({ unit: fc.constantFrom('a', 'b', 'c', '1'), maxLength: 8 }),
      (expression, text) => {
        assert.equal(compileRegex(expression)(text), new RegExp(`^(?:${expression})$`, 'u').test(text))
      },
    ),
    { numRuns: 500 },
  )
})
