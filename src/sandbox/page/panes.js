import { clockOf, h, link, telegramText, timeOf } from './text.js'

const SPEEDS = [1, 5, 10, 20]

/** The scenarios, each a button that says what one will see; the one that runs with its time left. */
export function scenariosOf({ scenarios, running, now }, act) {
  return scenarios.map(({ name, title, story, lasts }) => {
    const on = running?.name === name
    const left = on ? (Date.parse(running.ends_at) - now) / 1000 : lasts
    return h(
      'button',
      {
        type: 'button',
        class: 'scenario',
        'aria-pressed': String(on),
        key: name,
        onclick: () => act.start(name),
        title: story,
      },
      h('b', null, name),
      h('span', null, title),
      h('small', null, on ? `${clockOf(left)} left` : clockOf(lasts)),
    )
  })
}

export function runningOf({ running, now }) {
  if (running === null) return [h('span', null, 'Nothing is wrong at the edge. Start a scenario.')]
  const length = Date.parse(running.ends_at) - Date.parse(running.started_at)
  const left = Date.parse(running.ends_at) - now
  return [
    h(
      'span',
      { class: 'tank', 'aria-hidden': 'true' },
      h('span', { css: { '--level': (1 - left / length).toFixed(3) } }),
    ),
    h('b', null, `${running.name}, ${clockOf(left / 1000)} left.`),
    h('span', null, ` ${running.story}`),
  ]
}

/** Speed, automation, faults, reset. */
export function controlsOf({ speed, automation, edge }, act) {
  const off = automation === 'off'
  return [
    h(
      'fieldset',
      {
        class: 'speed',
        key: 'speed',
        title: 'How much faster than in production alerts get ready. Below ×10 scenarios are stretched as well.',
      },
      h('legend', null, 'Speed of alerts'),
      SPEEDS.map((factor) =>
        h(
          'label',
          { key: factor },
          h('input', { type: 'radio', name: 'speed', checked: factor === speed, onchange: () => act.speed(factor) }),
          h('span', null, `×${factor}`),
        ),
      ),
    ),
    h(
      'button',
      {
        type: 'button',
        key: 'automation',
        class: 'toggle',
        'aria-pressed': String(off),
        title: 'Sends /claw automation off (or on) as any person would',
        onclick: () => act.automation(off ? 'on' : 'off'),
      },
      off ? 'The edge is yours: let Claw act again' : 'Leave the edge to me',
    ),
    h(
      'span',
      { class: 'faults', key: 'faults' },
      h('button', { type: 'button', key: 'fail', onclick: () => act.fault('fail') }, 'Make the next failover fail'),
      h(
        'button',
        { type: 'button', key: 'sick', onclick: () => act.fault('unhealthy-after-failover') },
        'Make its target sick',
      ),
      edge.faults.length > 0 &&
        h(
          'span',
          { class: 'armed', key: 'armed' },
          `Set: ${edge.faults.map(({ kind, mode }) => `${kind} ${mode === 'fail' ? 'fails' : mode.replaceAll('-', ' ')}`).join(', ')}. `,
          h('button', { type: 'button', class: 'linkish', onclick: act.noFaults }, 'Take back'),
        ),
    ),
    h(
      'button',
      {
        type: 'button',
        key: 'reset',
        class: 'reset',
        onclick: act.reset,
        title: 'The edge is healthy again and the chats are empty. An incident that is still open then resolves.',
      },
      'Reset the world',
    ),
  ]
}

/** The step that comes next, and all of them. */
export function tourOf(tour, open, act) {
  const next = tour.findIndex(({ done }) => !done)
  const done = tour.filter((step) => step.done).length
  return [
    h(
      'p',
      { class: 'next', key: 'next' },
      h('b', null, next < 0 ? 'You have seen it all. ' : `Tour, step ${next + 1} of ${tour.length}: `),
      h('span', null, next < 0 ? 'Try the other scenarios.' : tour[next].text),
      h(
        'button',
        {
          type: 'button',
          class: 'linkish',
          'aria-expanded': String(open),
          'aria-controls': 'steps',
          onclick: act.tour,
        },
        open ? 'Hide the steps' : `All steps (${done} done)`,
      ),
    ),
    open &&
      h(
        'ol',
        { id: 'steps', key: 'steps' },
        tour.map(({ text, done: ticked }, i) =>
          h(
            'li',
            {
              class: ticked ? 'done' : i === next ? 'now' : '',
              key: i,
              'aria-current': i === next ? 'step' : undefined,
            },
            h('span', { class: 'tick', 'aria-hidden': 'true' }, ticked ? '✓' : i + 1),
            h('span', null, text),
            ticked && h('span', { class: 'sr' }, ' (done)'),
          ),
        ),
      ),
  ].filter(Boolean)
}

/** The lock screen of the person's phone: first 120 characters, as PagerDuty pushes them. */
export function phoneOf({ incidents, on_call: onCall }, person, now, act) {
  const mine = incidents.filter(({ to }) => to.includes(person.name))
  const ringing = mine.some(({ status, urgency }) => status === 'triggered' && urgency === 'high')
  const elsewhere = incidents.filter(({ status, to }) => status === 'triggered' && !to.includes(person.name))
  const level = onCall.indexOf(person.name)
  return [
    h('div', { class: 'clock', key: 'clock' }, timeOf(now, false), h('span', null, 'UTC')),
    h(
      'p',
      { class: ringing ? 'ring' : 'calm', key: 'ring' },
      ringing && bell(),
      ringing ? `${person.name}’s phone is ringing` : `${person.name}’s phone is quiet`,
    ),
    elsewhere.length > 0 &&
      h(
        'p',
        { class: 'calm', key: 'else' },
        `It rings at ${[...new Set(elsewhere.flatMap(({ to }) => to))].join(' and ')}.`,
      ),
    h(
      'ul',
      { class: 'pushes', key: 'pushes' },
      mine.map((incident) => pushOf(incident, act)),
    ),
    h(
      'p',
      { class: 'calm foot', key: 'foot' },
      level < 0
        ? 'Not on call.'
        : `On call, level ${level + 1}. Then: ${onCall.slice(level + 1).join(', ') || 'nobody'}.`,
    ),
  ].filter(Boolean)
}

function bell() {
  const d = 'M8 1a1 1 0 0 1 1 1 5 5 0 0 1 4 5v3l1.5 2.5H1.5L3 10V7a5 5 0 0 1 4-5 1 1 0 0 1 1-1Zm-2 13h4a2 2 0 0 1-4 0Z'
  return h('svg', { class: 'bell', viewBox: '0 0 16 16', 'aria-hidden': 'true' }, h('path', { d }))
}

function pushOf({ key, number, text, cut, status, urgency, since, by, notes }, act) {
  const open = status !== 'resolved'
  return h(
    'li',
    { class: `push ${status}`, key: number },
    h('div', { class: 'by' }, h('b', null, 'PagerDuty'), h('time', null, `${timeOf(since, false)} UTC`)),
    h('p', null, text, cut ? '…' : ''),
    h(
      'p',
      { class: 'fate' },
      fateOf(status, urgency, by),
      notes > 0 ? ` · ${notes} ${notes === 1 ? 'note' : 'notes'}` : '',
    ),
    open &&
      h(
        'div',
        { class: 'acts' },
        status === 'triggered' &&
          h('button', { type: 'button', key: 'ack', onclick: () => act.phone('acknowledge', key) }, 'Acknowledge'),
        h('button', { type: 'button', key: 'resolve', onclick: () => act.phone('resolve', key) }, 'Resolve'),
      ),
  )
}

function fateOf(status, urgency, by) {
  if (status === 'triggered')
    return urgency === 'high' ? 'Rings until someone acknowledges' : 'Low urgency: shows, does not ring'
  return `${status === 'resolved' ? 'Resolved' : 'Acknowledged'} by ${by.join(' and ') || 'Claw'}`
}

/** One Telegram chat; `act.key(message, button)` presses an inline button, `act.reply(message)` answers to it. */
export function chatOf({ messages, title }, act) {
  if (messages.length === 0) return [h('p', { class: 'empty' }, `Nothing in ${title} yet. Try /claw status or /help.`)]
  return messages.map((message) => {
    const { id, name, own, text, entities, rows, quoted, silent, at, edited } = message
    return h(
      'article',
      { class: `bubble ${own ? 'own' : 'person'}`, key: id, 'aria-label': `${name} at ${timeOf(at, false)} UTC` },
      h('b', { class: 'by' }, name),
      quoted && h('div', { class: 'quoted' }, h('b', null, quoted.name), ` ${quoted.text}`),
      h('div', { class: 'text' }, telegramText(text, entities)),
      h(
        'div',
        { class: 'meta' },
        silent && h('span', { title: 'sent without a sound' }, 'silent · '),
        edited && 'edited · ',
        timeOf(at, false),
      ),
      rows.length > 0 &&
        h(
          'div',
          { class: 'keys' },
          rows.map((keys, i) =>
            h(
              'div',
              { key: i },
              keys.map((key, j) => keyOf(message, key, j, act)),
            ),
          ),
        ),
    )
  })
}

function keyOf(message, key, place, act) {
  if (typeof key.callback_data !== 'string') return h('span', { key: place }, link(key.url, String(key.text)))
  return h(
    'button',
    { type: 'button', key: `${place} ${key.callback_data}`, onclick: () => act.key(message, key) },
    String(key.text),
  )
}

/** What just happened, newest first. */
export function diaryOf(diary) {
  if (diary.length === 0) return [h('li', { class: 'empty' }, 'Nothing happened yet.')]
  return diary.map(({ n, at, who, to, text, times, kind }) =>
    h(
      'li',
      { class: `line ${kind}`, key: n },
      h('time', null, timeOf(at)),
      h('b', null, to === null ? who : `${who} → ${to}`),
      h('span', null, ` ${text}`),
      times > 1 && h('span', { class: 'quiet' }, ` (${times} times)`),
    ),
  )
}
