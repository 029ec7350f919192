/** Prints what people read, to be read: `node test/unit/templates/samples.ts [variant]`. */
import { storyReply, topMessage } from '../../../src/adapters/slack/message.ts'
import { mainMessage, pushReply } from '../../../src/adapters/telegram/message.ts'
import { renderer } from '../../fixtures/step.ts'
import { OPENED_AT } from '../../fixtures/view.ts'
import { VARIANTS } from './variants.ts'

const now = OPENED_AT + 5 * 60_000
for (const [name, incident] of Object.entries(VARIANTS)) {
  if (process.argv[2] !== undefined && process.argv[2] !== name) continue
  const show = (title: string, text: string) => console.log(`\n—— ${name} · ${title} ——\n${text}`)
  const slack = topMessage(renderer, incident, now, null)
  const texts = slack.blocks.map((b) => ('text' in b ? b.text.text : b.elements.map((e) => e.text).join('')))
  show('Slack, notification', slack.text)
  show('Slack, message', texts.join('\n\n'))
  show('Telegram', mainMessage(renderer, incident, now))
  const events = incident.story.slice(1)
  if (events.length > 0) {
    show('Slack, reply on the phone', storyReply(renderer, incident, events, now, null).text)
    show('Telegram, reply', pushReply(renderer, incident, events, now))
  }
  show('PagerDuty, summary', renderer.render('pagerduty/summary', { incident, now, page: incident.pages[0] }))
  show('PagerDuty, description', renderer.render('pagerduty/description', { incident, now, page: incident.pages[0] }))
}
