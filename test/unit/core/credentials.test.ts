import assert from 'node:assert/strict'
import { test } from 'node:test'
import { basicHeader, headerCheck, sameSecret } from '../../../src/core/credentials.ts'

test('secrets are the same or not, whatever their lengths', () => {
  assert.equal(sameSecret('abc', 'abc'), true)
  assert.equal(sameSecret('abc', 'abcd'), false)
  assert.equal(sameSecret('', 'a'), false)
  assert.equal(sameSecret('\u00e9', 'e\u0301'), false, 'compared as bytes')
})

test('each accepted value is accepted, and nothing else', () => {
  const check = headerCheck(['Bearer one', 'Bearer two', basicHeader('u', 'p:w')])
  for (const header of ['Bearer one', 'bearer one', 'BEARER two', 'Bearer  two ', `basic ${btoa('u:p:w')}`])
    assert.equal(check(header), true, header)
  const wrong = [
    undefined,
    '',
    'Bearer',
    'Bearer ',
    'Bearer three',
    'one',
    'Bearer One',
    'Basic one',
    'Bearer oneBearer two',
  ]
  for (const header of wrong) assert.equal(check(header), false, String(header))
})

test('nothing configured accepts nothing', () => {
  const check = headerCheck([])
  for (const header of [undefined, '', 'Bearer ', 'Bearer undefined', 'Basic Og==']) assert.equal(check(header), false)
})

test('what was right once does not make anything else right', () => {
  const check = headerCheck(['Bearer right', 'Bearer other'])
  for (const header of ['Bearer right', 'Bearer right', 'bearer right', 'Bearer other', 'Bearer right'])
    assert.equal(check(header), true, header)
  for (const header of ['Bearer wrong', 'Bearer righ', 'Bearer rightt', '', undefined])
    assert.equal(check(header), false)
})
