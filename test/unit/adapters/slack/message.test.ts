import assert from 'node:assert/strict'
import { test } from 'node:test'
import { cutMrkdwn, storyReply, topMessage } from '../../../../src/adapters/slack/message.ts'
import { checkBlocks, SLACK_LIMITS } from '../../../../src/sandbox/slack/blocks.ts'
import { sampleEvent, sampleView } from '../../../fixtures/view.ts'

test("operators' templates may write without end: what fits is sent, the next step always", () => {
  for (const filler of ['\\" '.repeat(9_000), 'word\n'.repeat(9_000), 'x'.repeat(50_000), ' ', '\n\n']) {
    const renderer = { render: (name: string) => (name === 'slack/next' ? '*Next:* act' : filler) }
    const top = topMessage(renderer, sampleView(), 0, '<!here>')
    const reply = storyReply(renderer, sampleView(), [sampleEvent(1)], 0, '<!here>')
    for (const { blocks, text, plain } of [top, reply]) {
      assert.deepEqual(checkBlocks(blocks), [])
      assert.ok(JSON.stringify(blocks).length <= SLACK_LIMITS.all)
      assert.deepEqual(
        [text.length > 10, text.length < 5_000, plain.length <= 3_000],
        [true, true, true],
        `${filler.slice(0, 5)} ${text.length} ${plain.length}`,
      )
    }
    assert.match(JSON.stringify(top.blocks.at(-1)), /Next:\* act/)
  }
})

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
