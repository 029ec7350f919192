import assert from 'node:assert/strict'
import { test } from 'node:test'
import { cutMrkdwn } from '../../../../src/adapters/slack/message.ts'

test('a cut keeps whole lines where it can', () => {
  assert.equal(cutMrkdwn('one\ntwo\nthree', 10), 'one\ntwo\n…'.slice(0, 9))
})

test('a cut never splits an escape, a link or a character', () => {
  assert.equal(cutMrkdwn('ab&amp;cd', 5), 'ab…')
  assert.equal(cutMrkdwn('ab <https://a.example|Graph> cd', 20), 'ab…')
  assert.equal(cutMrkdwn('ab😀cd', 4), 'ab…')
})

test('what fits stays as it is', () => {
  assert.equal(cutMrkdwn('a\nb', 3), 'a\nb')
})
