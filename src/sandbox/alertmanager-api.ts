import express, { type Router } from 'express'
import { MINUTE } from '../core/clock.ts'
import { ClawError } from '../core/errors.ts'
import type { SourceAlert } from './evaluator.ts'
import { alertsPage, PAGE_HEADERS } from './pages.ts'

const MATCHER = /^\s*([a-zA-Z_][\w]*)\s*(=~|!~|!=|=)\s*"?((?:[^"\\]|\\.)*)"?\s*$/

/**
 * The part of Alertmanager's API v2 that answers what is active: `GET /api/v2/alerts?filter=name="value"` (repeatable,
 * all must match) and `GET /-/healthy`, and a page for people. Nothing can be silenced here.
 */
export function createAlertmanagerApi(options: {
  active: () => readonly SourceAlert[]
  now: () => number
  receiver: string
}): Router {
  const router = express.Router()
  router.get('/', (_req, res) => void res.set(PAGE_HEADERS).type('html').send(alertsPage(options.active())))
  router.get('/-/healthy', (_req, res) => void res.type('text').send('OK'))
  router.get('/api/v2/status', (_req, res) => {
    res.json({ cluster: { status: 'disabled' }, versionInfo: { version: '0.28.0-sandbox' } })
  })
  router.get('/api/v2/silences', (_req, res) => void res.json([]))
  router.get('/api/v2/alerts', (req, res) => {
    const filters = [req.query.filter ?? []].flat().map(String).map(matcher)
    const wanted = req.query.active === 'false' ? [] : options.active()
    const now = new Date(options.now()).toISOString()
    const endsAt = new Date(options.now() + 4 * MINUTE).toISOString()
    res.json(
      wanted
        .filter((alert) => filters.every((matches) => matches(alert)))
        .map((alert) => ({
          annotations: alert.annotations,
          endsAt,
          fingerprint: alert.fingerprint,
          receivers: [{ name: options.receiver }],
          startsAt: new Date(alert.startsAt).toISOString(),
          status: { inhibitedBy: [], mutedBy: [], silencedBy: [], state: 'active' },
          updatedAt: now,
          generatorURL: alert.generatorURL,
          labels: alert.labels,
        })),
    )
  })
  return router
}

function matcher(text: string): (alert: SourceAlert) => boolean {
  const [, name = '', operator = '', quoted = ''] = MATCHER.exec(text) ?? []
  if (name === '') throw new ClawError('invalid', `The filter ${JSON.stringify(text)} is no matcher; try region="A".`)
  const value = quoted.replace(/\\(.)/g, (_, char: string) => (char === 'n' ? '\n' : char))
  const test = operator.endsWith('~') ? pattern(value) : (given: string) => given === value
  return (alert) => test(alert.labels[name] ?? '') === !operator.startsWith('!')
}

function pattern(source: string): (text: string) => boolean {
  try {
    const regexp = new RegExp(`^(?:${source})$`, 's')
    return (text) => regexp.test(text)
  } catch (cause) {
    throw new ClawError('invalid', `The filter ${JSON.stringify(source)} is no regular expression.`, { cause })
  }
}
