import assert from 'node:assert/strict'
import { test } from 'node:test'
import { findWeight, withWeight } from '../../../../src/adapters/kubernetes/weight.ts'
import { ClawError } from '../../../../src/core/errors.ts'

const WHERE = 'ConfigMap edge/token-bucket-policy'

const CASES: [name: string, path: string, data: Record<string, string>, key: string, was: number, after: string][] = [
  ['a plain number', 'canary_weight', { canary_weight: '25' }, 'canary_weight', 25, '0'],
  ['blanks and line end stay', 'canary_weight', { canary_weight: ' 12.5 \n' }, 'canary_weight', 12.5, ' 0 \n'],
  ['a percent sign stays', 'canary_weight', { canary_weight: '25%' }, 'canary_weight', 25, '0%'],
  [
    'YAML with comments, quotes and odd spacing',
    'policy.yaml.canary.weight',
    { 'policy.yaml': '# 25\ncanary:   # by hand\n    weight:  "25"   # percent\n\n\nlimit: 25\n' },
    'policy.yaml',
    25,
    '# 25\ncanary:   # by hand\n    weight:  "0"   # percent\n\n\nlimit: 25\n',
  ],
  [
    'CRLF and a document marker',
    'policy.yaml.weight',
    { 'policy.yaml': '---\r\nweight: 7\r\nrate: 1e3\r\n' },
    'policy.yaml',
    7,
    '---\r\nweight: 0\r\nrate: 1e3\r\n',
  ],
  [
    'JSON with tabs',
    'policy.json.canary.weight',
    { 'policy.json': '{\n\t"canary": {"weight":25,\t"x": 1.0}}' },
    'policy.json',
    25,
    '{\n\t"canary": {"weight":0,\t"x": 1.0}}',
  ],
  [
    'a list',
    'p.steps.1.weight',
    { p: 'steps: [{weight: 1}, {weight: 2}]' },
    'p',
    2,
    'steps: [{weight: 1}, {weight: 0}]',
  ],
  ['the longest key counts', 'a.b.w', { a: 'b: {w: 1}', 'a.b': 'w: 2' }, 'a.b', 2, 'w: 0'],
]

for (const [name, path, data, key, was, after] of CASES) {
  test(`the weight and nothing else: ${name}`, () => {
    const place = findWeight(data, path, WHERE)
    assert.equal(place.key, key)
    assert.equal(place.weight, was)
    assert.equal(withWeight(data[key] ?? '', place, 0), after)
  })
}

const REFUSED: [name: string, path: string, data: Record<string, string>, code: string, text: RegExp][] = [
  ['no such key', 'canary_weight', { other: '1' }, 'not_found', /has no key canary_weight \(its keys: other\)/],
  ['an empty ConfigMap', 'canary_weight', {}, 'not_found', /its keys: none/],
  ['no such path', 'p.canary.weight', { p: 'canary: {}' }, 'not_found', /has no p\.canary\.weight/],
  ['a path through a number', 'p.canary.weight', { p: 'canary: 1' }, 'not_found', /has no p\.canary\.weight/],
  ['a word', 'canary_weight', { canary_weight: 'many' }, 'invalid', /canary_weight is not a number/],
  ['a map', 'p.canary', { p: 'canary: {weight: 1}' }, 'invalid', /not a number/],
  ['a negative number', 'canary_weight', { canary_weight: '-5' }, 'invalid', /not a number/],
  ['broken YAML', 'p.w', { p: 'w: [1' }, 'invalid', /not one YAML or JSON document/],
  ['two documents', 'p.w', { p: 'w: 1\n---\nw: 2\n' }, 'invalid', /not one YAML or JSON document/],
  ['an alias', 'p.w', { p: 'x: &a 5\nw: *a\n' }, 'invalid', /shared by a YAML anchor/],
  ['an anchor', 'p.x', { p: 'x: &a 5\nw: *a\n' }, 'invalid', /shared by a YAML anchor/],
]

for (const [name, path, data, code, text] of REFUSED) {
  test(`refused: ${name}`, () => {
    assert.throws(
      () => findWeight(data, path, WHERE),
      (error: unknown) => error instanceof ClawError && error.code === code && text.test(error.message),
    )
  })
}
