/*
 * What people write, as trees of `h` nodes: Slack's mrkdwn and Telegram's entities through a list of what is allowed, all
 * else as text. Nothing here touches a document, so that it is tested outside of a browser.
 */

/** A node of the page: plain data, made into an element by dom.js. Text stands as a string. */
export function h(tag, props, ...children) {
  const { key, ...rest } = props ?? {}
  return {
    tag,
    key: key ?? null,
    props: rest,
    children: children
      .flat(9)
      .filter((one) => one || one === 0)
      .map(leaf),
  }
}

const leaf = (child) => (typeof child === 'object' ? child : String(child))

/** The address when it is a link that may be followed, else null. */
export function safeUrl(url) {
  if (typeof url !== 'string' || !/^https?:\/\/[^\s<>"]+$/i.test(url)) return null
  return URL.canParse(url) ? url : null
}

// What is too wide scrolls, by keys as well: hence the tabindex of `pre`.

/** A link that leads away from the page, or only its text. */
export function link(url, ...children) {
  const href = safeUrl(url)
  return href === null
    ? h('span', null, children)
    : h('a', { href, target: '_blank', rel: 'noopener noreferrer' }, children)
}

const NAMES = { U0CLAW: 'claw', U0DANA: 'Dana', U0ROBIN: 'Robin' }
const EMOJI = { warning: '⚠️', rotating_light: '🚨', white_check_mark: '✅', eyes: '👀' }

/** Slack escapes three characters (docs.slack.dev, "Formatting message text"). */
export function unescapeSlack(text) {
  return text.replaceAll('&lt;', '<').replaceAll('&gt;', '>').replaceAll('&amp;', '&')
}

/** Slack's mrkdwn as nodes. */
export function mrkdwn(source) {
  return lines(
    String(source ?? ''),
    /```([\s\S]+?)```/,
    (code) => h('pre', { tabindex: 0 }, unescapeSlack(code.replace(/^\n|\n$/g, ''))),
    (rest) =>
      lines(
        rest,
        /`([^`\n]+)`/,
        (code) => h('code', null, unescapeSlack(code)),
        (plain) => lines(plain, /<([^<>\n]+)>/, reference, marks),
      ),
  )
}

/** Splits by a pattern: `found` gets its group, `between` what stands between. */
function lines(text, pattern, found, between) {
  const out = []
  let rest = text
  for (let match = pattern.exec(rest); match; match = pattern.exec(rest)) {
    out.push(...between(rest.slice(0, match.index)), found(match[1]))
    rest = rest.slice(match.index + match[0].length)
  }
  return [...out, ...between(rest)]
}

/** `<url|text>`, `<@U1>`, `<#C1|name>`, `<!here>`. */
function reference(inner) {
  const [target = '', label] = inner.split('|')
  const name = label === undefined ? null : unescapeSlack(label)
  if (target.startsWith('@'))
    return h('b', { class: 'mention' }, `@${name ?? NAMES[target.slice(1)] ?? target.slice(1)}`)
  if (target.startsWith('#')) return h('b', { class: 'mention' }, `#${name ?? target.slice(1)}`)
  if (target.startsWith('!')) return h('b', { class: 'mention' }, `@${target.slice(1).split('^')[0]}`)
  const url = unescapeSlack(target)
  return link(url, name ?? url)
}

const MARKS = [
  [/(?<![\p{L}\p{N}*])\*(?=\S)([^*\n]+?)(?<=\S)\*(?![\p{L}\p{N}*])/u, 'b'],
  [/(?<![\p{L}\p{N}_])_(?=\S)([^_\n]+?)(?<=\S)_(?![\p{L}\p{N}_])/u, 'i'],
  [/(?<![\p{L}\p{N}~])~(?=\S)([^~\n]+?)(?<=\S)~(?![\p{L}\p{N}~])/u, 's'],
]

/** `*bold*`, `_italic_`, `~struck~`, known emoji; entities become their characters at the very end. */
function marks(text, from = 0) {
  const mark = MARKS[from]
  if (mark)
    return lines(
      text,
      mark[0],
      (inner) => h(mark[1], null, marks(inner, from + 1)),
      (rest) => marks(rest, from + 1),
    )
  if (text === '') return []
  return [unescapeSlack(text.replace(/:([a-z_]+):/g, (all, name) => (Object.hasOwn(EMOJI, name) ? EMOJI[name] : all)))]
}

const TAGS = {
  bold: 'b',
  italic: 'i',
  underline: 'u',
  strikethrough: 's',
  code: 'code',
  pre: 'pre',
  blockquote: 'blockquote',
  expandable_blockquote: 'blockquote',
  spoiler: 'span',
  bot_command: 'b',
}

/** A Telegram message as nodes: text and its entities (offsets in UTF-16 units, outer ones first, properly nested). */
export function telegramText(text, entities) {
  return part(text, [...entities], 0, text.length)
}

function part(text, entities, from, to) {
  const out = []
  let at = from
  while (entities.length > 0 && entities[0].offset < to) {
    const entity = entities.shift()
    const end = Math.min(to, entity.offset + entity.length)
    if (entity.offset < at || end <= entity.offset) continue
    if (entity.offset > at) out.push(text.slice(at, entity.offset))
    const inner = part(text, entities, entity.offset, end)
    const tag = Object.hasOwn(TAGS, entity.type) ? TAGS[entity.type] : 'span'
    out.push(
      entity.type === 'text_link' ? link(entity.url, inner) : h(tag, tag === 'pre' ? { tabindex: 0 } : null, inner),
    )
    at = end
  }
  if (at < to) out.push(text.slice(at, to))
  return out
}

/** `2:04` of a number of seconds. */
export function clockOf(seconds) {
  const whole = Math.max(0, Math.ceil(seconds))
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, '0')}`
}

/** `15:17:42` in UTC of milliseconds since the epoch. */
export function timeOf(ms, seconds = true) {
  return new Date(ms).toISOString().slice(11, seconds ? 19 : 16)
}

/** `8.2 %` of a ratio: two digits, like the alerts. */
export function percent(ratio) {
  const value = ratio * 100
  return `${value > 0 && value < 0.1 ? '< 0.1' : value >= 10 ? Math.round(value) : Number(value.toPrecision(2))} %`
}
