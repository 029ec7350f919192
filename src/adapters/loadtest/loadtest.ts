import type { WorkflowServices } from '../../core/workflow.ts'
import { getJson, problemDetail, quote, refusal, resolveUrl } from '../http.ts'

export type LoadTest = NonNullable<WorkflowServices['load']>

export type LoadTestOptions = {
  /** `failover.synthetic_load.url` */
  url: string
  /** the test itself takes its time; default 30 000 */
  timeoutMs?: number
}

/** Answers that say nothing about the region: come back later. */
const LATER = [408, 429]

/**
 * A synthetic load test on a region: `GET url?region=R`, which must have no side effects, since it may be sent again. 2xx
 * means that it passed; 4xx and 5xx that it failed, with `detail`, `message` or `title` of a JSON answer. Not reached, no
 * answer in time, 408, 429 and redirects are thrown, as EdgeAdmin does (core/edge.ts).
 * @throws ClawError('invalid') when `url` is no http(s) URL
 */
export function createLoadTest({ url, timeoutMs = 30_000 }: LoadTestOptions): LoadTest {
  const address = 'failover.synthetic_load.url'
  resolveUrl(address, url, '')
  return async (region, signal) => {
    const target = resolveUrl(address, url, '', [['region', region]])
    const answer = await getJson(target, { timeoutMs, signal, maxBytes: 1024 * 1024 })
    const { status } = answer
    const passed = status !== null && status >= 200 && status <= 299
    if (!answer.ok && !passed && (status === null || status <= 399 || LATER.includes(status))) {
      throw refusal(answer, {
        where: `Load test of ${region}`,
        credentials: address,
        address,
        said: saidIn(answer.body),
      })
    }
    const said = quote(saidIn(answer.body))
    return { passed, detail: `answered ${status}${said === '' ? '' : `: ${said}`}` }
  }
}

function saidIn(body: unknown): unknown {
  const detail = problemDetail(body)
  if (detail !== undefined) return detail
  return typeof body === 'object' && body !== null && 'message' in body ? body.message : undefined
}
