import { Router } from 'express'
import { Faults } from './faults.ts'
import { type Call, createFront } from './front.ts'
import { enqueue, throttled } from './pagerduty/events.ts'
import { restError, restRouter } from './pagerduty/rest.ts'
import { PagerDutyState } from './pagerduty/state.ts'
import type { FakeOptions } from './slack.ts'

export { PagerDutyState, PD_USERS, type PdIncident, type PdPage } from './pagerduty/state.ts'
export { signPagerDuty } from './pagerduty/webhooks.ts'

export type FakePagerDuty = { router: Router; state: PagerDutyState; faults: Faults; reset(): void }

/**
 * A PagerDuty account over HTTP: events at `POST /v2/enqueue`, REST at `/incidents`, `/oncalls`, `/users` (`token` is the API
 * token), webhooks v3 when `state.webhooks.target` is set. It refuses what PagerDuty refuses.
 */
export function createFakePagerDuty(options: FakeOptions): FakePagerDuty {
  const { clock, token = 'sandbox', rateLimits = false, seed = 1 } = options
  const state = new PagerDutyState(clock, rateLimits)
  const faults = new Faults((status, _retryAfter, request) => {
    if (status !== 429) return restError(2000, 'Internal Server Error')
    return request.path === '/v2/enqueue' ? throttled() : restError(2020, 'Rate Limit Exceeded')
  }, seed)
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
      nameOf: (req) => `${req.method} ${req.path}`,
      snapshot: () => ({
        incidents: state.incidents,
        pages: state.pages,
        dropped: state.dropped,
        webhooks: state.webhooks.deliveries,
      }),
    }),
  )
  router.post('/v2/enqueue', (_req, res) => {
    const answer = enqueue(state, res.locals.call as Call)
    if (answer.retryAfter !== undefined) res.set('Retry-After', String(answer.retryAfter))
    res.status(answer.status).json(answer.body)
  })
  router.use(restRouter(state, token))
  return { router, state, faults, reset }
}
