import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import { START, startRig } from './rig.ts'

export const HOSTILE = `"'><script>alert(1)</script><img src=x onerror=alert(2)>{{ 7 | times: 7 }} javascript:alert(3)`

/** Text of a page as a reader sees it. */
export function words(html: string): string {
  return html
    .replace(/<(head|style)[\s\S]*?<\/\1>/g, ' ')
    .replace(/<[^>]+>/g, ' ')
    .replaceAll('&quot;', '"')
    .replaceAll('&lt;', '<')
    .replaceAll('&gt;', '>')
    .replaceAll('&amp;', '&')
    .replace(/\s+/g, ' ')
}

export const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"

/** A page's HTML, once its headers and tags are what they must be. */
export async function pageOf(res: Response, status = 200): Promise<string> {
  const html = await res.text()
  assert.equal(res.status, status, html)
  assert.equal(res.headers.get('content-type'), 'text/html; charset=utf-8')
  const policy = res.headers.get('content-security-policy') ?? ''
  assert.equal(policy, POLICY)
  assert.equal(res.headers.get('x-content-type-options'), 'nosniff')
  assert.equal(res.headers.get('cache-control'), 'no-store')
  for (const tag of html.match(/<[^>]+>/g) ?? []) {
    assert.doesNotMatch(
      tag,
      /^<(script(?! src="\/assets\/\w+\.[0-9a-f]{12}\.js" defer>)|img|iframe|object|base|style)\b|\s(on\w+|style)\s*=|=\s*"?\s*javascript:/i,
    )
  }
  return html
}

/** Two incidents, one of them a P1 with a dead and a waiting delivery, seen by Dana. */
export async function night(t: TestContext) {
  const rig = await startRig(t)
  await rig.fire({ name: 'ReplicationJitterHigh', labels: { service: 'billing', severity: 'warning', region: 'C' } })
  await rig.fire(
    {
      labels: { service: 'rating-api', region: 'A' },
      annotations: { bucket_ratio: '0.04', summary: 'Few tokens left.' },
    },
    { labels: { service: 'rating-api', region: 'B' } },
  )
  await rig.deliver(
    { incident: 2, target: 'C0CRITICAL' },
    { state: 'waiting', reason: 'Slack answered 429.', dueAt: START + 17_000 },
  )
  const dead = await rig.deliver(
    { incident: 2, target: '-1001' },
    { state: 'dead', reason: 'chat not found', attempts: 1 },
  )
  await rig.deliver({ incident: 1, target: 'C0ALERTS' }, { state: 'delivered', reference: '1.2' })
  return { rig, dead, cookie: await rig.signIn() }
}
