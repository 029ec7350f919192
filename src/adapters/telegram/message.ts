import type { Renderer } from '../../core/delivery.ts'
import type { IncidentView, StoryEvent } from '../../core/view.ts'
import { cutHtml, escapeBare, htmlLength } from './html.ts'
import { LIMITS } from './limits.ts'

/**
 * The incident's one message: headline first (it is what a lock screen shows), what to do next last; both always fit, the
 * body between them is cut. HTML, at most 4096 visible characters.
 */
export function mainMessage(renderer: Renderer, incident: IncidentView, now: number): string {
  const data = { incident, now, events: incident.story.slice(-LIMITS.storyLines) }
  const head = part(renderer, 'headline', data, 500) || `<b>${nameOf(incident)}</b>`
  const next = part(renderer, 'next', data, 700) || escapeBare(incident.nextStep.slice(0, 300))
  const room = LIMITS.text - htmlLength(head) - htmlLength(next) - 4
  const body = cutHtml(whole(renderer, 'body', data), room, LIMITS.html)
  return [head, body, next].filter(Boolean).join('\n\n')
}

/** A reply: `events` are those it must tell, oldest first, not empty; with a push among them it notifies. HTML. */
export function pushReply(renderer: Renderer, incident: IncidentView, events: StoryEvent[], now: number): string {
  const event = events.findLast((one) => one.push) ?? events.at(-1)
  if (event?.push === false) {
    const newest = events.slice(-LIMITS.progressLines)
    const progress = part(renderer, 'progress', { incident, now, events: newest }, LIMITS.text)
    if (progress) return progress
  }
  const text = part(renderer, 'push', { incident, now, events: events.slice(-LIMITS.storyLines), event }, LIMITS.text)
  return text || `<b>${escapeBare((event?.text ?? '').slice(0, 300))}</b>\n${nameOf(incident)}`
}

/** Never empty: Telegram refuses empty texts. */
function nameOf(incident: IncidentView): string {
  return escapeBare(incident.headline.slice(0, 200)).trim() || `Incident ${escapeBare(incident.id)}`
}

function part(renderer: Renderer, name: string, data: { [key: string]: unknown }, limit: number): string {
  return cutHtml(whole(renderer, name, data), limit, LIMITS.html)
}

/** A part that fails to render is left out: a broken template must never cost the message. */
function whole(renderer: Renderer, name: string, data: { [key: string]: unknown }): string {
  try {
    const html = renderer
      .render(`telegram/${name}`, data)
      .trim()
      .replace(/\n{3,}/g, '\n\n')
      .toWellFormed()
    // Markup around nothing is nothing: Telegram refuses a text that is empty.
    return htmlLength(html.replace(/\s/g, '')) === 0 ? '' : html
  } catch {
    return ''
  }
}
