import type { Repeat, Store } from '../core/store.ts'

/** Beyond this many alerts the counters are written before more are noted. */
const MOST = 20_000

/**
 * Counters of alerts that were received again without any change: HA twins, retries, repeat intervals. The alert itself is
 * on disk; only how often and when last it was seen waits for the next `flush`, at most a second. A kill in between loses
 * that much counting, nothing else.
 */
export class Repeats {
  #noted = new Map<string, Repeat>()

  note(fingerprint: string, incidentId: number, now: number): void {
    const key = `${incidentId} ${fingerprint}`
    const known = this.#noted.get(key)
    if (known) {
      known.times += 1
      known.lastSeen = now
    } else {
      this.#noted.set(key, { fingerprint, incidentId, times: 1, lastSeen: now })
    }
  }

  get full(): boolean {
    return this.#noted.size >= MOST
  }

  get empty(): boolean {
    return this.#noted.size === 0
  }

  /** @throws ClawError('unavailable'); the counters are kept then */
  async flush(store: Store): Promise<void> {
    if (this.empty) return
    const rows = this.#noted
    this.#noted = new Map()
    try {
      await store.write((tx) => tx.countRepeats([...rows.values()]))
    } catch (error) {
      for (const [key, row] of rows) {
        const newer = this.#noted.get(key)
        if (newer) newer.times += row.times
        else this.#noted.set(key, row)
      }
      throw error
    }
  }
}
