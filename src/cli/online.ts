import type { Config } from '../config/index.ts'
import { SECOND } from '../core/clock.ts'
import { messageOf } from '../core/errors.ts'

export type Answer = { what: string; ok: boolean; text: string }

/**
 * `claw check --online`: tries each credential by a call that changes nothing and that nobody sees. A PagerDuty routing
 * key cannot be tried without paging, which is said.
 */
export async function checkOnline(config: Config): Promise<Answer[]> {
  const { slack, telegram, pagerduty, prometheus, alertmanager, edge } = config
  const asked: Promise<Answer>[] = []
  if (slack.bot_token !== undefined) {
    const headers = { Authorization: `Bearer ${slack.bot_token}` }
    asked.push(ask('slack.bot_token', join(slack.api_url, 'auth.test'), { method: 'POST', headers }, slackAnswer))
  }
  if (telegram.bot_token !== undefined) {
    asked.push(ask('telegram.bot_token', join(telegram.api_root, `bot${telegram.bot_token}/getMe`), {}, okAnswer))
  }
  if (pagerduty.api_token !== undefined) {
    const headers = {
      Authorization: `Token token=${pagerduty.api_token}`,
      Accept: 'application/vnd.pagerduty+json;version=2',
    }
    asked.push(ask('pagerduty.api_token', join(pagerduty.api_url, 'users?limit=1'), { headers }, anyAnswer))
  }
  if (pagerduty.routing_key !== undefined) {
    const text = 'not tried: that would page somebody. Use selftest to prove it.'
    asked.push(Promise.resolve({ what: 'pagerduty.routing_key', ok: true, text }))
  }
  if (prometheus !== undefined) {
    asked.push(ask('prometheus.url', join(prometheus.url, 'api/v1/query?query=1'), {}, anyAnswer))
  }
  if (alertmanager.url !== undefined) {
    asked.push(
      ask('alertmanager.url', join(alertmanager.url, 'api/v2/status'), { headers: apiAuth(config) }, anyAnswer),
    )
  }
  if (edge.url !== undefined) {
    const headers = { Authorization: `Bearer ${edge.token ?? ''}` }
    asked.push(ask('edge.token', join(edge.url, 'admin/v1/regions'), { headers }, anyAnswer))
  }
  if (config.grafana !== undefined) {
    const headers = { Authorization: `Bearer ${config.grafana.token}` }
    asked.push(ask('grafana.token', join(config.grafana.url, 'api/annotations?limit=1'), { headers }, anyAnswer))
  }
  return Promise.all(asked)
}

function apiAuth({ alertmanager }: Config): Record<string, string> {
  const auth = alertmanager.api_auth
  if (auth?.token !== undefined) return { Authorization: `Bearer ${auth.token}` }
  if (auth?.username === undefined) return {}
  return { Authorization: `Basic ${Buffer.from(`${auth.username}:${auth.password ?? ''}`).toString('base64')}` }
}

function join(base: string, path: string): string {
  return `${base.replace(/\/+$/, '')}/${path}`
}

type Read = (status: number, body: unknown) => string | null

const anyAnswer: Read = (status) => (status >= 200 && status < 300 ? null : `answered ${status}`)
const okAnswer: Read = (status, body) =>
  status === 200 && (body as { ok?: unknown } | null)?.ok === true ? null : `refused (${status}): is the token right?`
const slackAnswer: Read = (status, body) => {
  const { ok, error } = (body ?? {}) as { ok?: unknown; error?: unknown }
  return status === 200 && ok === true ? null : `refused: ${typeof error === 'string' ? error.slice(0, 60) : status}`
}

async function ask(what: string, url: string, init: RequestInit, read: Read): Promise<Answer> {
  try {
    const answer = await fetch(url, { ...init, redirect: 'manual', signal: AbortSignal.timeout(5 * SECOND) })
    const body: unknown = await answer.json().catch(() => null)
    const wrong = read(answer.status, body)
    return { what, ok: wrong === null, text: wrong ?? 'ok' }
  } catch (error) {
    // fetch names the URL, which may hold a token, in some of its messages.
    const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error
    const code = (cause as { code?: unknown }).code
    return {
      what,
      ok: false,
      text: `no answer (${typeof code === 'string' ? code : messageOf(cause).replaceAll(url, 'the address')})`,
    }
  }
}
