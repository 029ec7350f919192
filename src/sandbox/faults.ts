import type { NextFunction, Request, Response } from 'express'
import { z } from 'zod'
import type { RequestRecord } from './recorder.ts'

export const FaultRule = z.strictObject({
  /** a part of the request's name or path, e.g. `chat.update`, `/v2/enqueue`; missing: every request */
  match: z.string().optional(),
  /**
   * `status`: answers `status` (503) without processing · `rate_limit`: 429 with `retryAfter` in the platform's own form ·
   * `slow`: processes after `delayMs` (1000) · `hang`: never answers, nor processes · `reset`: resets the connection
   * before processing · `reset_after`: processes, then resets instead of answering (the lost answer) · `html`: answers
   * an HTML page with `status` (200) without processing. With `delayMs` any of them comes that much later.
   */
  kind: z.enum(['status', 'rate_limit', 'slow', 'hang', 'reset', 'reset_after', 'html']),
  status: z.int().min(200).max(599).optional(),
  /** seconds */
  retryAfter: z.number().min(0).optional(),
  delayMs: z.number().min(0).max(600_000).optional(),
  /** how many requests it hits before it is spent; missing: all */
  times: z.int().min(1).optional(),
  /** 0..1, from the seeded generator; missing: 1 */
  probability: z.number().min(0).max(1).optional(),
  /** replaces the platform's own body of `status` and `rate_limit` */
  body: z.json().optional(),
})

/** In process, `match` may also be a pattern or a function of the recorded request. */
export type FaultRule = Omit<z.infer<typeof FaultRule>, 'match'> & {
  match?: string | RegExp | ((request: RequestRecord) => boolean) | undefined
}

/** How a platform words a refusal. `retryAfter` in seconds, null when the rule has none. */
export type FaultShape = (status: number, retryAfter: number | null, request: RequestRecord) => unknown

type Held = { timer: NodeJS.Timeout | null; go: () => void; res: Response }

/** Small seeded generator (mulberry32): numbers in [0, 1), the same for the same seed. */
export function seeded(seed: number): () => number {
  let a = seed >>> 0
  return () => {
    a = (a + 0x6d2b79f5) >>> 0
    let t = Math.imul(a ^ (a >>> 15), a | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296
  }
}

/** Resets the connection under a response, as a crashed server or a cut line does. */
export function breakSocket(res: Response): void {
  const socket = res.socket ?? res.req.socket
  if (!socket.destroyed) socket.resetAndDestroy()
}

const PAGE =
  '<!DOCTYPE html><html><head><title>Upstream error</title></head><body><h1>Upstream error</h1></body></html>'

/** Injectable faults in front of one look-alike. The newest rule that matches acts; one rule per request. */
export class Faults {
  readonly #shape: FaultShape
  readonly #seed: number
  #random: () => number
  #rules: Array<{ rule: FaultRule; left: number }> = []
  readonly #held = new Set<Held>()
  /** how many requests were hit since the last reset */
  hits = 0

  constructor(shape: FaultShape, seed = 1) {
    this.#shape = shape
    this.#seed = seed
    this.#random = seeded(seed)
  }

  /** Adds a rule, ahead of those set before. */
  set(rule: FaultRule): void {
    this.#rules.unshift({ rule, left: rule.times ?? Number.POSITIVE_INFINITY })
  }

  /** The rules that are not spent yet, in the order in which they are tried. */
  get rules(): FaultRule[] {
    return this.#rules.map((r) => r.rule)
  }

  /** How many requests are held by `slow` or `hang` right now. */
  get held(): number {
    return this.#held.size
  }

  /** Ends all faults: slow requests go on at once, hanging ones lose their connection. */
  clear(): void {
    this.#rules = []
    for (const held of [...this.#held]) held.go()
  }

  /** Ends all faults, cuts every held request, and starts the generator afresh. */
  reset(): void {
    this.#rules = []
    for (const held of [...this.#held]) {
      this.#release(held)
      breakSocket(held.res)
    }
    this.#random = seeded(this.#seed)
    this.hits = 0
  }

  /** Express middleware behind the recorder; `next` processes the request. */
  handle(record: RequestRecord, _req: Request, res: Response, next: NextFunction): void {
    const rule = this.#take(record)
    if (rule === null) {
      next()
      return
    }
    record.fault = rule.kind
    this.hits++
    const delay = rule.delayMs ?? (rule.kind === 'slow' ? 1_000 : 0)
    if (rule.kind === 'hang') this.#hold(res, null, () => breakSocket(res))
    else if (delay > 0) this.#hold(res, delay, () => this.#act(rule, record, res, next))
    else this.#act(rule, record, res, next)
  }

  #take(record: RequestRecord): FaultRule | null {
    for (const entry of this.#rules) {
      if (!matches(entry.rule, record)) continue
      if (entry.rule.probability !== undefined && this.#random() >= entry.rule.probability) continue
      if (--entry.left <= 0) this.#rules = this.#rules.filter((r) => r !== entry)
      return entry.rule
    }
    return null
  }

  #act(rule: FaultRule, record: RequestRecord, res: Response, next: NextFunction): void {
    switch (rule.kind) {
      case 'slow':
        next()
        break
      case 'hang':
      case 'reset':
        breakSocket(res)
        break
      case 'reset_after':
        loseAnswer(res)
        next()
        break
      case 'html':
        res
          .status(rule.status ?? 200)
          .type('html')
          .send(PAGE)
        break
      case 'rate_limit':
        this.#answer(rule, record, res, rule.status ?? 429, rule.retryAfter ?? 1)
        break
      case 'status':
        this.#answer(rule, record, res, rule.status ?? 503, rule.retryAfter ?? null)
    }
  }

  #answer(rule: FaultRule, record: RequestRecord, res: Response, status: number, retryAfter: number | null): void {
    if (retryAfter !== null) res.setHeader('Retry-After', String(Math.ceil(retryAfter)))
    res.status(status).json(rule.body === undefined ? this.#shape(status, retryAfter, record) : rule.body)
  }

  #hold(res: Response, delay: number | null, act: () => void): void {
    const held: Held = {
      res,
      timer: null,
      go: () => {
        this.#release(held)
        act()
      },
    }
    if (delay !== null) held.timer = setTimeout(held.go, delay)
    this.#held.add(held)
    // Ahead of the recorder's listener, so that whoever waits for its event finds the request gone.
    res.prependOnceListener('close', () => this.#release(held))
  }

  #release(held: Held): void {
    if (held.timer) clearTimeout(held.timer)
    this.#held.delete(held)
  }
}

function matches(rule: FaultRule, record: RequestRecord): boolean {
  const { match } = rule
  if (match === undefined) return true
  if (typeof match === 'function') return match(record)
  if (match instanceof RegExp) return match.test(record.name) || match.test(record.path)
  return record.name.includes(match) || record.path.includes(match)
}

/** From here on the handler may answer as it likes: nothing leaves, and its end resets the connection. */
function loseAnswer(res: Response): void {
  res.write = () => true
  res.end = () => {
    breakSocket(res)
    return res
  }
}
