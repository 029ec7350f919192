import { Router } from 'express'
import type { Clock } from '../core/clock.ts'
import { Faults } from './faults.ts'
import { asRecord, type Call, createFront } from './front.ts'
import { fail, type Params } from './slack/answers.ts'
import { checkBlocks } from './slack/blocks.ts'
import { RESPONSE_URL } from './slack/inbound.ts'
import { METHODS } from './slack/methods.ts'
import { SlackState } from './slack/state.ts'

export { signSlack } from './slack/inbound.ts'
export {
  SLACK_BOT,
  type SlackMessage,
  type SlackResponse,
  SlackState,
  type SlackView,
} from './slack/state.ts'

export type FakeOptions = {
  clock: Clock
  /** the one secret it accepts; `sandbox` */
  token?: string
  /** answers 429 at the platform's real limits; false */
  rateLimits?: boolean
  /** of the faults' generator; 1 */
  seed?: number
}

export type FakeSlack = { router: Router; state: SlackState; faults: Faults; reset(): void }

/**
 * Requests per second and burst, from docs.slack.dev, "Rate limits": postMessage 1/s per channel with short bursts; tier 3
 * 50/min; tier 4 100/min; tier 2 20/min. Bursts are ours.
 */
const RATES: Readonly<Record<string, { burst: number; perSecond: number; perChannel: boolean }>> = {
  'chat.postMessage': { burst: 3, perSecond: 1, perChannel: true },
  'chat.update': { burst: 50, perSecond: 50 / 60, perChannel: false },
  'chat.delete': { burst: 50, perSecond: 50 / 60, perChannel: false },
  'chat.postEphemeral': { burst: 100, perSecond: 100 / 60, perChannel: false },
  'conversations.history': { burst: 50, perSecond: 50 / 60, perChannel: false },
  'conversations.replies': { burst: 50, perSecond: 50 / 60, perChannel: false },
  'conversations.info': { burst: 50, perSecond: 50 / 60, perChannel: false },
  'reactions.add': { burst: 50, perSecond: 50 / 60, perChannel: false },
  'users.info': { burst: 100, perSecond: 100 / 60, perChannel: false },
}

/**
 * A Slack workspace over HTTP: Web API at `/api/<method>` (forms or JSON, bearer token or `token` field), response URLs at
 * `/response/<id>`. It refuses what Slack refuses, in Slack's words.
 */
export function createFakeSlack(options: FakeOptions): FakeSlack {
  const { clock, token = 'sandbox', rateLimits = false, seed = 1 } = options
  const state = new SlackState(clock, rateLimits)
  const faults = new Faults((status) => ({ ok: false, error: status === 429 ? 'ratelimited' : 'internal_error' }), seed)
  const reset = () => {
    faults.reset()
    state.clear()
  }
  const router = Router()
  router.use(
    createFront({
      state,
      faults,
      reset,
      limit: 4_000_000,
      nameOf: (req) => /^\/api\/([^/]+)$/.exec(req.path)?.[1] ?? req.path.slice(1),
      snapshot: () => ({
        messages: state.messages,
        ephemerals: state.ephemerals,
        views: state.views,
        responses: state.responses,
      }),
    }),
  )
  router.all('/api/:method', (req, res) => {
    const call = res.locals.call as Call
    const params: Params | null = asRecord(call.body)
    if (call.malformed || params === null) return void res.json(fail('invalid_json'))
    const bearer = /^Bearer (.+)$/i.exec(req.headers.authorization ?? '')?.[1] ?? params.token
    if (bearer === undefined || bearer === '') return void res.json(fail('not_authed'))
    if (bearer !== token) return void res.json(fail('invalid_auth'))
    // The one method that needs to know where it was asked.
    if (call.name === 'apps.connections.open') return void res.json(state.sockets.open(req))
    const method = Object.hasOwn(METHODS, call.name) ? METHODS[call.name] : undefined
    if (method === undefined) return void res.json({ ...fail('unknown_method'), req_method: call.name })
    const rate = state.rateLimits ? RATES[call.name] : undefined
    if (rate !== undefined) {
      const key = rate.perChannel ? `${call.name} ${String(params.channel)}` : call.name
      const wait = state.buckets.take(key, rate.burst, rate.perSecond)
      if (wait > 0) return void res.status(429).set('Retry-After', String(wait)).json(fail('ratelimited'))
    }
    res.json(method(state, params))
  })
  router.post('/response/:id', (req, res) => {
    const target = state.responseUrls.get(req.params.id)
    if (target === undefined) return void res.status(404).json(fail('used_url'))
    if (target.uses >= RESPONSE_URL.uses || state.clock() - target.at > RESPONSE_URL.ms) {
      return void res.status(404).json(fail(target.uses >= RESPONSE_URL.uses ? 'used_url' : 'expired_url'))
    }
    target.uses++
    const body = (res.locals.call as Call).body
    const content = asRecord(body)
    const blocks = Array.isArray(content?.blocks) ? content.blocks : null
    if (content === null || (blocks !== null && checkBlocks(blocks).length > 0)) {
      return void res.status(400).json(fail('invalid_blocks'))
    }
    if (blocks === null && typeof content.text !== 'string') return void res.status(400).json(fail('no_text'))
    const { channel, user } = target
    const text = typeof content.text === 'string' ? content.text : ''
    const response = { url: req.path, body, at: clock(), channel, user, ts: state.nextTs(channel), text, blocks }
    state.responses.push(response)
    state.tell('response', response)
    res.send('ok')
  })
  router.use((_req, res) => void res.status(404).json(fail('not_found')))
  return { router, state, faults, reset }
}
