import type { Loaded } from './config/index.ts'
import { SECOND } from './core/clock.ts'
import { basicHeader } from './core/credentials.ts'
import { ClawError } from './core/errors.ts'

// What Claw asks of webhooks, and how it calls itself and its watchdog outside.

/** `Authorization` values that a webhook may carry. None configured: none is accepted. */
export function acceptedHeaders({ config }: Loaded): string[] {
  const { token, username, password } = config.alertmanager
  const headers = [token ?? []].flat().map((one) => `Bearer ${one}`)
  if (username !== undefined && password !== undefined) headers.push(basicHeader(username, password))
  return headers
}

export function unauthorizedText(loaded: Loaded): string {
  return acceptedHeaders(loaded).length === 0
    ? 'Claw takes no webhooks before alertmanager.token (or username and password) is configured.'
    : 'The credentials are missing or wrong. Set http_config.authorization of the Alertmanager receiver.'
}

export async function postToSelf(url: string, authorization: string | undefined, body: string): Promise<void> {
  if (authorization === undefined) throw new ClawError('invalid', 'The self-test needs alertmanager.token.')
  const answer = await fetch(`${url}/webhooks/alertmanager`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', Authorization: authorization },
    body,
    signal: AbortSignal.timeout(10 * SECOND),
  })
  if (!answer.ok) throw new ClawError('unavailable', `The receiver answered ${answer.status} to the self-test.`)
}

/** The address may hold a secret in its path: what fetch says of it is not passed on. */
export async function pingOutside(url: string): Promise<void> {
  const answer = await fetch(url, { signal: AbortSignal.timeout(5 * SECOND) }).catch(() => null)
  await answer?.body?.cancel()
  if (!answer?.ok) {
    throw new ClawError('unavailable', `heartbeat.ping_url ${answer ? `answered ${answer.status}` : 'did not answer'}.`)
  }
}
