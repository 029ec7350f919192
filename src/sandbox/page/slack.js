import { h, link, mrkdwn, timeOf, unescapeSlack } from './text.js'

const textOf = (object) => (object?.type === 'mrkdwn' ? mrkdwn(object.text) : [plainText(object?.text)])
const plainText = (text) => String(text ?? '')
const at = (ts) => timeOf(Number(ts) * 1000, false)

/**
 * Blocks as Slack draws them. `act` has `press(element)` for buttons; `fields` false leaves inputs out.
 */
export function blocks(list, act) {
  return (Array.isArray(list) ? list : []).map((block) => blockOf(block, act))
}

function blockOf(block, act) {
  switch (block?.type) {
    case 'section':
      return h(
        'div',
        { class: 'block section' },
        block.text && h('div', { class: 'text' }, textOf(block.text)),
        block.fields &&
          h(
            'div',
            { class: 'fields' },
            block.fields.map((field) => h('div', null, textOf(field))),
          ),
        block.accessory && element(block.accessory, act),
      )
    case 'header':
      return h('div', { class: 'block head' }, textOf(block.text))
    case 'divider':
      return h('hr')
    case 'context':
      return h(
        'div',
        { class: 'block context' },
        block.elements.map((one) =>
          one.type === 'image' ? h('span', null, `[${one.alt_text}]`) : h('span', null, textOf(one)),
        ),
      )
    case 'actions':
      return h(
        'div',
        { class: 'block actions' },
        block.elements.map((one) => element(one, act)),
      )
    case 'image':
      // Nothing is loaded from anywhere: the text that stands for the picture.
      return h('div', { class: 'block context' }, `[picture: ${block.alt_text}]`)
    case 'input':
      return inputOf(block)
    default:
      return h('div', { class: 'block context' }, `[${String(block?.type)}]`)
  }
}

function element(one, act) {
  if (one?.type !== 'button') return h('span', { class: 'quiet' }, `[${String(one?.type)}]`)
  const label = plainText(one.text?.text)
  if (one.url) return link(one.url, label)
  const style = one.style === 'primary' || one.style === 'danger' ? one.style : 'plain'
  return h(
    'button',
    {
      type: 'button',
      class: `b-${style}`,
      'aria-label': one.accessibility_label,
      onclick: () => act.press(one),
      key: one.action_id,
    },
    label,
  )
}

function inputOf({ block_id: id, label, hint, optional, element: field }) {
  const name = JSON.stringify([id, field?.action_id])
  const known = field?.type === 'plain_text_input'
  const props = {
    name,
    maxlength: field?.max_length,
    value: field?.initial_value ?? '',
    required: !optional,
    autocomplete: 'off',
  }
  return h(
    'label',
    { class: 'block field', key: id },
    h('span', null, plainText(label?.text), optional && h('span', { class: 'quiet' }, ' (optional)')),
    known
      ? h(field.multiline ? 'textarea' : 'input', props)
      : h('span', { class: 'quiet' }, `[${String(field?.type)}]`),
    hint && h('span', { class: 'quiet' }, plainText(hint.text)),
  )
}

/** The values of a modal's form as Slack sends them: by block_id and action_id. */
export function valuesOf(form) {
  const values = {}
  for (const [name, value] of new FormData(form)) {
    const [block, action] = JSON.parse(name)
    values[block] = { ...values[block], [action]: value }
  }
  return values
}

function body({ text, blocks: list }, act) {
  return list?.length ? blocks(list, act) : h('div', { class: 'text' }, mrkdwn(text))
}

function messageOf(message, act, extra) {
  const { ts, name, own, edited } = message
  return h(
    'article',
    { class: `message ${own ? 'own' : 'person'}`, key: ts, 'aria-label': `${name} at ${at(ts)} UTC` },
    h('span', { class: 'avatar', 'aria-hidden': 'true' }, name.slice(0, 1)),
    h(
      'div',
      { class: 'content' },
      h(
        'div',
        { class: 'by' },
        h('b', null, name),
        own && h('span', { class: 'app' }, 'APP'),
        h('time', null, at(ts)),
        edited && h('span', { class: 'quiet' }, '(edited)'),
      ),
      body(message, act),
      extra,
    ),
  )
}

/** Replies that show without being asked for: the message above them, with its buttons, matters more. */
const SHORT = 1

function threadOf(message, ui, act) {
  const { ts, thread, replies } = message
  if (replies === 0) return null
  const open = ui.threads.has(ts)
  const shown = open ? thread : thread.slice(-SHORT)
  const count = `${replies} ${replies === 1 ? 'reply' : 'replies'}`
  return h(
    'div',
    { class: 'thread', key: 'thread' },
    replies <= SHORT
      ? h('span', { class: 'quiet' }, count)
      : h(
          'button',
          { type: 'button', class: 'linkish', 'aria-expanded': String(open), onclick: () => act.thread(ts) },
          open ? `Show the last of ${count}` : `Show all ${count}`,
        ),
    shown.map((reply) => messageOf(reply, act.on({ channel: act.channel, ts: reply.ts }))),
  )
}

/** What one person alone sees: what they typed, and the answer. */
function noteOf(note, act) {
  const { ts, typed, aloud } = note
  return h(
    'article',
    { class: `message ${typed ? 'person' : 'own'} note`, key: `note ${ts}` },
    h('span', { class: 'avatar', 'aria-hidden': 'true' }, (typed ? act.person.name : 'Claw').slice(0, 1)),
    h(
      'div',
      { class: 'content' },
      !aloud && h('div', { class: 'quiet only' }, typed ? 'You typed' : 'Only visible to you'),
      h(
        'div',
        { class: 'by' },
        h('b', null, typed ? act.person.name : 'Claw'),
        !typed && h('span', { class: 'app' }, 'APP'),
        h('time', null, at(ts)),
      ),
      typed ? h('div', { class: 'text' }, h('code', null, note.text)) : body(note, act),
    ),
  )
}

/** The messages of a channel, and what the person alone sees there, by time. */
export function channelOf(slack, channel, ui, act) {
  const on = (place) => ({ ...act, ...place, press: (one) => act.press(place, one) })
  const messages = channel.messages.map((message) => {
    const place = on({ channel: channel.id, ts: message.ts })
    const threads = { ...place, channel: channel.id, on, thread: act.thread }
    return { ts: message.ts, node: messageOf(message, place, threadOf(message, ui, threads)) }
  })
  const notes = slack.notes
    .filter((note) => note.channel === channel.id && (note.aloud || note.user === act.person.slack))
    .map((note) => ({ ts: note.ts, node: noteOf(note, on({ channel: channel.id, ts: note.ts })) }))
  const all = [...messages, ...notes].sort((a, b) => (a.ts < b.ts ? -1 : 1)).map(({ node }) => node)
  return all.length > 0 ? all : [h('p', { class: 'empty' }, `Nothing here yet. #${channel.name}: ${channel.topic}.`)]
}

/** A modal, as a form within the pane; `act` has press, submit(form), dismiss. */
export function modalOf(modal, act) {
  const { view, id, hash } = modal
  return h(
    'form',
    {
      class: 'modal',
      role: 'dialog',
      'aria-labelledby': 'modal-title',
      key: `${id} ${hash}`,
      onsubmit: (event) => {
        event.preventDefault()
        act.submit(modal, valuesOf(event.target))
      },
      onkeydown: (event) => event.key === 'Escape' && act.dismiss(modal),
      mounted: (form) =>
        (
          form.querySelector('input, textarea') ??
          form.querySelector('button[type=submit]') ??
          form.querySelector('button')
        )?.focus(),
    },
    h('h3', { id: 'modal-title' }, unescapeSlack(view.title?.text ?? 'Claw')),
    h('div', { class: 'modal-body' }, blocks(view.blocks, { press: (one) => act.pressIn(modal, one) })),
    act.problem && h('p', { class: 'problem', role: 'alert' }, act.problem),
    h(
      'div',
      { class: 'modal-foot' },
      h('button', { type: 'button', class: 'b-plain', onclick: () => act.dismiss(modal) }, view.close?.text ?? 'Close'),
      view.submit && h('button', { type: 'submit', class: 'b-primary' }, view.submit.text),
    ),
  )
}

/** A button's own question (`confirm`), asked before the press is sent. */
export function confirmOf(question, act) {
  const { element: one } = question
  const words = (object) => textOf(object)
  return h(
    'form',
    {
      class: 'modal',
      role: 'alertdialog',
      'aria-labelledby': 'confirm-title',
      key: 'confirm',
      onsubmit: (event) => {
        event.preventDefault()
        act.yes()
      },
      onkeydown: (event) => event.key === 'Escape' && act.no(),
      mounted: (form) => form.querySelector('button[type=submit]').focus(),
    },
    h('h3', { id: 'confirm-title' }, words(one.confirm.title)),
    h('div', { class: 'modal-body' }, words(one.confirm.text)),
    h(
      'div',
      { class: 'modal-foot' },
      h('button', { type: 'button', class: 'b-plain', onclick: act.no }, words(one.confirm.deny)),
      h(
        'button',
        { type: 'submit', class: one.confirm.style === 'danger' ? 'b-danger' : 'b-primary' },
        words(one.confirm.confirm),
      ),
    ),
  )
}
