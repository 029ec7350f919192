import type { Renderer } from '../../core/delivery.ts'
import type { IncidentView, StoryEvent } from '../../core/view.ts'
import { type ActionsBlock, actionsBlock } from './buttons.ts'
import { LIMITS } from './limits.ts'

export type Block = { type: 'section'; text: MrkdwnText } | { type: 'context'; elements: MrkdwnText[] } | ActionsBlock

/** `verbatim`: Slack makes no links of bare URLs and no mentions of names (docs.slack.dev, composition objects: text). */
type MrkdwnText = { type: 'mrkdwn'; text: string; verbatim: true }

/** What is sent: blocks, the text that notifications show, and the text that stands alone where blocks are refused. */
export type Message = { text: string; blocks: Block[]; plain: string }

/** The top-level message. Templates give parts of text; blocks and limits are ours, so no template can break a message. */
export function topMessage(renderer: Renderer, incident: IncidentView, now: number, mention: string | null): Message {
  const part = parts(renderer, { incident, now })
  const headline = part('headline') || nameOf(incident)
  const lead = [bold(cutMrkdwn(oneLine(headline), 500)), cutMrkdwn(part('state'), 600), mention ?? '']
    .filter(Boolean)
    .join('\n')
  const next = cutMrkdwn(part('next') || escapeBare(incident.nextStep.slice(0, 300)), 700)
  const verdict = cutMrkdwn(part('verdict'), 1_500)
  const summary = part('summary')
  const links = part('links')
  const alerts = part('alerts')
  const buttons = incident.state === 'resolved' ? [] : actionsBlock(incident.actions)
  // What matters most keeps its room: the shares of the rest shrink until all of it fits.
  const blocks = firstThatFits(
    [1, 0.6, 0.3, 0.1].map((share) => () => [
      ...section(lead),
      ...section(verdict),
      ...section(cutMrkdwn(summary, 2_800 * share)),
      ...section(cutMrkdwn(alerts, 2_800 * share)),
      ...context(cutMrkdwn(links, LIMITS.sectionText * share)),
      ...section(next),
      ...buttons,
    ]),
  )
  const text = cutMrkdwn(oneLine(headline), LIMITS.fallbackText)
  return {
    text: mention === null ? text : `${mention} ${text}`,
    blocks,
    plain: cutMrkdwn([lead, next, links].filter(Boolean).join('\n'), LIMITS.sectionText),
  }
}

/** One reply in the thread that tells all `events` (oldest first, not empty). */
export function storyReply(
  renderer: Renderer,
  incident: IncidentView,
  events: StoryEvent[],
  now: number,
  mention: string | null,
): Message {
  const event = events.findLast((e) => e.push) ?? events.at(-1)
  const push = parts(renderer, { incident, now, events, event })('push') || nameOf(incident)
  const text = cutMrkdwn(oneLine(push), LIMITS.fallbackText)
  const story = storyText(renderer, incident, events, now)
  const body = mention === null ? story : `${mention}\n${story}`
  const blocks = splitLines(body, LIMITS.sectionText).flatMap(section)
  const plain = cutMrkdwn(body, LIMITS.sectionText)
  return { text: mention === null ? text : `${mention} ${text}`, blocks, plain }
}

/** The newest lines that fit, pushes before others; what is left out is said. */
function storyText(renderer: Renderer, incident: IncidentView, events: StoryEvent[], now: number): string {
  const choices = [events, events.filter((e) => e.push), events.slice(-10), events.slice(-3)]
  for (const chosen of choices) {
    if (chosen.length === 0) continue
    const text = parts(renderer, { incident, now, events: chosen })('story')
    const left = events.length - chosen.length
    if (!text || JSON.stringify(text).length > LIMITS.allBlocks - 1_000) continue
    return left > 0 ? `(${left} more ${left === 1 ? 'line' : 'lines'} left out here)\n${text}` : text
  }
  return escapeBare(events.at(-1)?.text.slice(0, 400) ?? '')
}

/** The first choice that Slack takes as a whole, else the last one. */
export function firstThatFits(choices: Array<() => Block[]>): Block[] {
  let blocks: Block[] = []
  for (const choice of choices) {
    blocks = choice()
    if (JSON.stringify(blocks).length <= LIMITS.allBlocks) break
  }
  return blocks
}

/** A part that fails to render is left out: a broken template must never cost the message. */
function parts(renderer: Renderer, data: { [key: string]: unknown }): (name: string) => string {
  return (name) => {
    try {
      return renderer
        .render(`slack/${name}`, data)
        .trim()
        .replace(/\n{3,}/g, '\n\n')
    } catch {
      return ''
    }
  }
}

/**
 * Cuts mrkdwn to at most `limit` UTF-16 units: whole lines where possible, never inside an escape, a link or a character.
 */
export function cutMrkdwn(text: string, limit: number): string {
  if (text.length <= limit) return text
  const lines = text.split('\n')
  let kept = ''
  for (const line of lines) {
    if (kept.length + line.length + 1 > limit - 2) break
    kept += `${line}\n`
  }
  if (kept.trim()) return `${kept}…`
  let cut = ''
  for (const [token] of text.matchAll(/&(?:amp|lt|gt);|<[^<>\n]*>|[\s\S]/gu)) {
    if (cut.length + token.length > limit - 1) break
    cut += token
  }
  return `${cut.trimEnd()}…`
}

/** Pieces of at most `limit` units, broken between lines. */
export function splitLines(text: string, limit: number): string[] {
  const pieces: string[] = []
  let piece = ''
  for (const line of text.split('\n').map((l) => cutMrkdwn(l, limit))) {
    if (piece && piece.length + 1 + line.length > limit) {
      pieces.push(piece)
      piece = line
    } else piece = piece ? `${piece}\n${line}` : line
  }
  if (piece) pieces.push(piece)
  return pieces.slice(0, LIMITS.blocks)
}

/** A section, none for an empty text. */
export function section(text: string): Block[] {
  return text.trim() ? [{ type: 'section', text: mrkdwn(text) }] : []
}

/** A line in small print, none for an empty text. */
export function context(text: string): Block[] {
  return text.trim() ? [{ type: 'context', elements: [mrkdwn(text)] }] : []
}

function mrkdwn(text: string): MrkdwnText {
  return { type: 'mrkdwn', text: text.toWellFormed(), verbatim: true }
}

/** Templates keep `*` out of values, so the bold text ends where we end it. */
function bold(text: string): string {
  return text ? `*${text}*` : ''
}

function oneLine(text: string): string {
  return text.replace(/\s+/g, ' ').trim()
}

/** Never empty: Slack refuses empty texts. */
function nameOf(incident: IncidentView): string {
  return escapeBare(incident.headline.slice(0, 200)).trim() || `Incident ${escapeBare(incident.id)}`
}

/** For text that no template escaped. */
function escapeBare(text: string): string {
  return text
    .toWellFormed()
    .replace(/[\s\u2028\u2029]+/g, ' ')
    .replace(/\p{C}/gu, '\ufffd')
    .replaceAll('@', '\uff20')
    .replaceAll('://', ':\u2215\u2215')
    .replace(/[*_~`]/g, ' ')
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
}
