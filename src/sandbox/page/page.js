import { patch } from './dom.js'
import { edgeOf } from './edge.js'
import { chatOf, controlsOf, diaryOf, phoneOf, runningOf, scenariosOf, tourOf } from './panes.js'
import { blocks, channelOf, confirmOf, modalOf } from './slack.js'
import { h } from './text.js'

/** How often the page looks, ms. */
const EVERY = 1000

const $ = (id) => document.getElementById(id)
/** What only this page knows: who one is, what is chosen and open. */
const ui = {
  who: 'dana',
  channel: 'C0CRITICAL',
  chat: null,
  tour: null,
  threads: new Set(),
  seen: {},
  question: null,
  problem: null,
  lost: false,
  modalProblem: null,
}
let state = null
let rang = 0

/** Asks for an act; what goes wrong is said in the page's own words. */
async function post(path, body, method = 'POST') {
  ui.problem = null
  try {
    const answer = await fetch(path, {
      method,
      headers: { 'Content-Type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
    const text = await answer.text()
    const json = text === '' || !/json/.test(answer.headers.get('content-type') ?? '') ? {} : JSON.parse(text)
    if (!answer.ok) {
      ui.problem = json.detail ?? `The sandbox answered ${answer.status}.`
      return null
    }
    return json
  } catch {
    ui.problem = 'The sandbox does not answer. Is it still running?'
    return null
  } finally {
    look()
  }
}

const person = () => state.people.find(({ id }) => id === ui.who)
const act = (path, body) => post(`ui/${path}`, { who: ui.who, ...body })

const strip = {
  start: (name) => post(`scenarios/${name}`),
  speed: (factor) => post('ui/speed', { factor }),
  automation: (wanted) => act('automation', { state: wanted }),
  fault: (mode) => post('edge-faults', { kind: 'failover', mode }),
  noFaults: () => post('edge-faults', undefined, 'DELETE'),
  reset: () => post('reset'),
  tour() {
    ui.tour = !tourOpen()
    draw()
  },
}

const slackAct = {
  get person() {
    return person()
  },
  press({ channel, ts }, element) {
    const go = () => act('slack/click', { channel, ts, action: element.action_id })
    if (element.confirm) ask(element, go)
    else go()
  },
  thread(ts) {
    if (!ui.threads.delete(ts)) ui.threads.add(ts)
    draw()
  },
}

function ask(element, go) {
  const back = document.activeElement
  const close = () => {
    ui.question = null
    draw()
    back?.focus()
  }
  ui.question = {
    element,
    no: close,
    yes() {
      close()
      go()
    },
  }
  draw()
}

const modalAct = {
  get problem() {
    return ui.modalProblem
  },
  pressIn: (modal, element) => act('slack/view-click', { view: modal.id, action: element.action_id }),
  async submit(modal, values) {
    ui.modalProblem = null
    const answer = await act('slack/submit', { view: modal.id, values })
    const said = answer?.answer ? JSON.parse(answer.answer) : null
    if (said?.response_action === 'errors') ui.modalProblem = Object.values(said.errors).join(' ')
    draw()
  },
  async dismiss(modal) {
    ui.modalProblem = null
    await act('slack/dismiss', { view: modal.id })
    $('slack-text').focus()
  },
}

const phoneAct = { phone: (what, key) => act(`phone/${what}`, { key }) }
const chatAct = {
  key: ({ id }, { callback_data: data }) => act('telegram/press', { chat: chatId(), message: id, data }),
}
const chatId = () => ui.chat ?? state.telegram.chats[0].id
const tourOpen = () => ui.tour ?? false

/** Draws into an element that keeps to its end when it stood there. */
function show(id, nodes) {
  const element = $(id)
  const stick =
    element.classList.contains('stick') && element.scrollHeight - element.scrollTop - element.clientHeight < 40
  patch(element, nodes)
  if (stick) element.scrollTop = element.scrollHeight
}

function choices(list, chosen, choose) {
  return list.map(({ id, label, fresh }) =>
    h(
      'button',
      { type: 'button', key: id, 'aria-current': id === chosen ? 'true' : undefined, onclick: () => choose(id) },
      label,
      fresh > 0 && h('span', { class: 'fresh' }, fresh, h('span', { class: 'sr' }, ' new')),
    ),
  )
}

function drawSlack() {
  const { slack } = state
  const me = person()
  const homes = slack.homes.filter(({ user }) => user === me.slack)
  const channel = slack.channels.find(({ id }) => id === ui.channel) ?? slack.channels[0]
  const home = ui.channel === 'home'
  const newest = (one) =>
    one.messages
      .flatMap(({ ts, thread }) => [ts, ...thread.map((reply) => reply.ts)])
      .sort()
      .at(-1) ?? ''
  if (!home) ui.seen[channel.id] = newest(channel)
  const visible = slack.channels.filter(({ id }) => !id.startsWith('D') || id === `D${me.slack.slice(1)}`)
  const rooms = visible.map((one) => ({
    id: one.id,
    label: `${one.id.startsWith('D') ? '' : '# '}${one.name}`,
    fresh: one.messages.filter(({ ts }) => ts > (ui.seen[one.id] ?? '')).length,
  }))
  show('channels', choices([...rooms, { id: 'home', label: 'Claw: Home', fresh: 0 }], home ? 'home' : channel.id, room))
  show('room', [
    home ? 'Claw: Home' : `${channel.id.startsWith('D') ? '' : '#'}${channel.name}`,
    h('small', null, home ? 'what the app shows each person' : channel.topic),
  ])
  if (home) {
    const view = homes[0]
    const press = (element) => act('slack/view-click', { view: view.id, action: element.action_id })
    show('messages', view ? homeOf(view, press) : [h('p', { class: 'empty' }, 'Asking Claw …')])
  } else show('messages', channelOf(slack, channel, ui, slackAct))
  $('slack-form').hidden = home
  $('slack-hints').hidden = home
  const modal = slack.modals.findLast(({ user }) => user === me.slack)
  show('modal', ui.question ? [confirmOf(ui.question, ui.question)] : modal ? [modalOf(modal, modalAct)] : [])
}

function homeOf({ id, hash, view }, press) {
  return [h('div', { class: 'home', key: `${id} ${hash}` }, blocks(view.blocks, { press }))]
}

function room(id) {
  ui.channel = id
  draw()
  $('messages').scrollTop = $('messages').scrollHeight
  if (id === 'home') act('slack/home', {})
}

function hints() {
  return ['/claw status', '/claw incidents', '/claw conflicts', '/claw automation status', '/claw help'].map(
    (command) =>
      h(
        'button',
        {
          type: 'button',
          key: command,
          onclick() {
            $('slack-text').value = command
            $('slack-text').focus()
          },
        },
        command,
      ),
  )
}

/** Says aloud, once, that somebody is being woken. */
function announce() {
  const open = state.phone.incidents.filter(({ status }) => status === 'triggered')
  const newest = Math.max(0, ...open.map(({ number }) => number))
  if (newest > rang) $('live').textContent = `PagerDuty rings ${open[0].to.join(' and ')}: ${open[0].text}`
  rang = Math.max(rang, newest)
  document.title = open.length > 0 ? '(ringing) Claw sandbox' : 'Claw sandbox'
}

function draw() {
  if (state === null) return
  show('scenarios', scenariosOf(state, strip))
  show('running', runningOf(state))
  show('controls', controlsOf(state, strip))
  show('tour', tourOf(state.tour, tourOpen(), strip))
  show(
    'people',
    state.people.map(({ id, name, role }) =>
      h(
        'label',
        { key: id },
        h('input', { type: 'radio', name: 'who', checked: id === ui.who, onchange: () => be(id) }),
        h('span', null, `${name}, ${role}`),
      ),
    ),
  )
  const lost = 'The sandbox does not answer. What you see is the last that was known.'
  show('problem', [ui.lost ? lost : ui.problem].filter(Boolean))
  show('edge', edgeOf(state.edge, state.now))
  show('diary', diaryOf(state.diary))
  drawSlack()
  show('slack-hints', hints())
  const chats = state.telegram.chats.filter(({ id }) => id < 0 || id === person().telegram)
  const chat = chats.find(({ id }) => id === chatId()) ?? chats[0]
  show(
    'chats',
    choices(
      chats.map(({ id, title }) => ({ id, label: title })),
      chat.id,
      (id) => {
        ui.chat = id
        draw()
      },
    ),
  )
  show('chat', chatOf(chat, chatAct))
  show('phone', phoneOf(state.phone, person(), state.now, phoneAct))
  announce()
}

function be(id) {
  ui.who = id
  ui.chat = null
  draw()
}

let looking = null
/** Fetches and draws; a look that is under way is followed by one more, so that what was just done is seen. */
function look() {
  const fetched = async () => {
    try {
      const answer = await fetch('ui/state')
      if (!answer.ok) throw new Error(String(answer.status))
      state = await answer.json()
      ui.lost = false
    } catch {
      ui.lost = true
    }
    draw()
  }
  looking = (looking ?? Promise.resolve()).then(fetched)
  return looking
}

function composer(form, input, send) {
  $(form).addEventListener('submit', async (event) => {
    event.preventDefault()
    const text = $(input).value.trim()
    if (text === '') return
    $(input).value = ''
    if ((await send(text)) === null) $(input).value ||= text
  })
}

// What scrolls can be scrolled by keys.
for (const pane of document.querySelectorAll('.scroll')) pane.tabIndex = 0
composer('slack-form', 'slack-text', (text) => act('slack/say', { channel: ui.channel, text }))
composer('telegram-form', 'telegram-text', (text) => act('telegram/say', { chat: chatId(), text }))

async function run() {
  for (;;) {
    await look()
    await new Promise((resolve) => setTimeout(resolve, EVERY))
  }
}
run()
