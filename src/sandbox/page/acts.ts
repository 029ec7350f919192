import express, { type Request, Router } from 'express'
import { z } from 'zod'
import { ClawError } from '../../core/errors.ts'
import { asRecord } from '../front.ts'
import { ownPagesOnly } from '../problem.ts'
import type { Inbound } from '../slack/inbound.ts'
import type { SlackAnswer, SlackView } from '../slack/state.ts'
import { PEOPLE, type Person } from './cast.ts'
import type { Diary } from './diary.ts'
import { cut } from './plain.ts'
import type { Stage } from './stage.ts'
import type { Note } from './view.ts'

const who = z.enum(PEOPLE.map((person) => person.id))
const id = z.string().min(1).max(255)
const text = z.string().trim().min(1).max(3_000)
const number = z.number().int()

/** What the page may ask for, by path under `ui/`. Everything is POST with JSON. */
export const BODIES = {
  'slack/say': z.strictObject({ who, channel: id, text }),
  'slack/click': z.strictObject({ who, channel: id, ts: id, action: id }),
  'slack/view-click': z.strictObject({ who, view: id, action: id }),
  'slack/submit': z.strictObject({ who, view: id, values: z.record(id, z.record(id, z.string().max(3_000))) }),
  'slack/dismiss': z.strictObject({ who, view: id }),
  'slack/home': z.strictObject({ who }),
  'telegram/say': z.strictObject({ who, chat: number, text, reply_to: number.optional() }),
  'telegram/press': z.strictObject({ who, chat: number, message: number, data: z.string().min(1).max(64) }),
  'phone/acknowledge': z.strictObject({ who, key: id }),
  'phone/resolve': z.strictObject({ who, key: id }),
  automation: z.strictObject({ who, state: z.enum(['on', 'off']) }),
  speed: z.strictObject({ factor: z.literal([1, 5, 10, 20]) }),
}
type Bodies = { [Path in keyof typeof BODIES]: z.infer<(typeof BODIES)[Path]> }
type Act<Path extends keyof Bodies> = (
  body: Bodies[Path],
  to: Inbound,
) => Promise<object | undefined> | object | undefined

const TYPED_KEPT = 40
const COMMAND_CHANNEL = 'C0CRITICAL'

/**
 * What people do on the page, each done by the look-alike's own inbound code: it signs the request as the platform does and sends it
 * to Claw over HTTP. Answers 200 with `{}` or what Slack was answered; 502 when Claw refused.
 * @param typed gets what was typed to Slack as a command, which in Slack nobody else sees
 */
export function createActs(stage: Stage, diary: Diary, typed: Note[]): Router {
  const { slack, telegram, pagerduty } = stage

  async function command(person: Person, channel: string, words: string, to: Inbound): Promise<object> {
    diary.note({ who: person.name, to: 'Slack', text: `types ${words}`, kind: 'act' })
    diary.facts.add('asked')
    remember({ channel, user: person.slack, ts: slack.state.nextTs(channel), text: words, blocks: null, typed: true })
    const rest = words.replace(/^\/claw\b/, '').trim()
    return answered(await slack.state.command(person.slack, channel, rest, to))
  }

  function remember(note: Note): void {
    typed.push(note)
    if (typed.length > TYPED_KEPT) typed.shift()
  }

  function view(viewId: string, person: Person): SlackView {
    const found = slack.state.views.find((one) => one.id === viewId && one.user === person.slack)
    if (found) return found
    throw new ClawError('not_found', `${person.name} has no view ${viewId} in Slack.`)
  }

  function shown(channel: string, ts: string, person: Person) {
    const here = (one: { channel: string; ts: string; user: string }) =>
      one.channel === channel && one.ts === ts && one.user === person.slack
    // What Claw answered aloud anybody may press.
    const aloud = slack.state.responses.find(
      (one) =>
        one.channel === channel && one.ts === ts && JSON.stringify(one.body).includes('"response_type":"in_channel"'),
    )
    const found =
      slack.state.find(channel, ts) ?? aloud ?? slack.state.responses.find(here) ?? slack.state.ephemerals.find(here)
    if (found) return found
    throw new ClawError('not_found', `There is no message ${ts} in ${channel} for ${person.name} to press a button of.`)
  }

  const phone = async (act: 'acknowledge' | 'resolve', key: string, person: Person) => {
    const status = await pagerduty.state[act](key, person.pagerduty)
    if (status === null || (status >= 200 && status < 300)) return {}
    throw new ClawError('unavailable', `PagerDuty took it; Claw answered its webhook ${status || 'nothing'}.`)
  }

  const acts: { [Path in keyof Bodies]: Act<Path> } = {
    async 'slack/say'(body, to) {
      const person = personOf(body.who)
      if (/^\/claw\b/.test(body.text)) return await command(person, body.channel, body.text, to)
      if (body.text.startsWith('/'))
        throw new ClawError('invalid', 'This Slack knows one command: /claw. Try /claw help.')
      const mention = /^@claw\b\s*(.*)$/is.exec(body.text)
      if (!mention) {
        slack.state.userSays(body.channel, person.slack, escapeTyped(body.text))
        return
      }
      return answered(await slack.state.mention(person.slack, body.channel, escapeTyped(mention[1] ?? ''), null, to))
    },
    async 'slack/click'(body, to) {
      const person = personOf(body.who)
      const message = shown(body.channel, body.ts, person)
      const label = labelOf(message.blocks, body.action)
      diary.note({ who: person.name, to: 'Slack', text: `presses “${label}”`, kind: 'act' })
      return answered(await slack.state.click(person.slack, message, body.action, to))
    },
    async 'slack/view-click'(body, to) {
      const person = personOf(body.who)
      return answered(await slack.state.click(person.slack, view(body.view, person), body.action, to))
    },
    async 'slack/submit'(body, to) {
      const person = personOf(body.who)
      const answer = await slack.state.submit(person.slack, view(body.view, person), body.values, to)
      diary.note({ who: person.name, to: 'Slack', text: 'confirms', kind: 'act' })
      return answered(answer)
    },
    'slack/dismiss'(body) {
      const found = view(body.view, personOf(body.who))
      if (found.kind === 'modal') slack.state.dismiss(found)
      return {}
    },
    async 'slack/home'(body, to) {
      return answered(await slack.state.home(personOf(body.who).slack, to))
    },
    'telegram/say'(body) {
      const { telegram: user } = personOf(body.who)
      telegram.state.userSays(body.chat, user, body.text, body.reply_to === undefined ? {} : { replyTo: body.reply_to })
      return {}
    },
    'telegram/press'(body) {
      const person = personOf(body.who)
      telegram.state.press(body.chat, body.message, body.data, person.telegram)
      diary.note({ who: person.name, to: 'Telegram', text: `presses a button: ${body.data}`, kind: 'act' })
      return {}
    },
    'phone/acknowledge': (body) => phone('acknowledge', body.key, personOf(body.who)),
    'phone/resolve': (body) => phone('resolve', body.key, personOf(body.who)),
    automation: (body, to) => command(personOf(body.who), COMMAND_CHANNEL, `/claw automation ${body.state}`, to),
    speed(body) {
      stage.setSpeed(body.factor)
      diary.note({ who: 'Scenario', to: null, text: `alerts get ready ${body.factor} times faster now`, kind: 'world' })
      return {}
    },
  }

  const router = Router()
  // `type` is strict on purpose, as in front.ts: no page elsewhere can send this without a pre-flight.
  const json = express.json({ type: 'application/json', limit: '64kb' })
  for (const path of Object.keys(BODIES) as (keyof Bodies)[]) {
    router.post(`/${path}`, ownPagesOnly, json, async (req, res) => {
      const body = BODIES[path].safeParse(req.body)
      if (!body.success) throw new ClawError('invalid', `The request is wrong: ${z.prettifyError(body.error)}`)
      const act = acts[path] as Act<typeof path>
      res.json((await act(body.data as never, inboundOf(req, stage))) ?? {})
    })
  }
  return router
}

function personOf(name: string): Person {
  const found = PEOPLE.find((person) => person.id === name)
  if (found) return found
  throw new ClawError('not_found', `There is nobody called ${name} here.`)
}

/** What stands on a button; its id when that is not to be found. */
function labelOf(blocks: unknown[] | null, action: string): string {
  for (const block of blocks ?? []) {
    const elements = asRecord(block)?.elements
    for (const element of Array.isArray(elements) ? elements.map(asRecord) : []) {
      if (element?.action_id === action) return cut(String(asRecord(element.text)?.text ?? action), 60)
    }
  }
  return action
}

/** Response URLs lead back to the address at which this very request arrived. */
function inboundOf(req: Request, stage: Stage): Inbound {
  const { localAddress = '127.0.0.1', localPort } = req.socket
  const host = localAddress.includes(':') ? `[${localAddress}]` : localAddress
  const base = `http://${host}:${localPort}${req.baseUrl.replace(/\/ui$/, '')}/slack`
  return { url: `${stage.clawUrl()}/slack/events`, base }
}

function answered({ status, body }: SlackAnswer): object {
  if (status === 200) return body === '' ? {} : { answer: body }
  throw new ClawError('unavailable', `Claw answered Slack with ${status}, where 200 was due.`)
}

/** As Slack's own client sends what people type. */
function escapeTyped(words: string): string {
  return words.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
}
