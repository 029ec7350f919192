import { z } from 'zod'
import { SECOND } from '../../core/clock.ts'
import type { Stage } from './stage.ts'

/** How long Claw may take to say, and how long a failed question rests, ms. */
const PATIENCE = 5 * SECOND

const Status = z.object({ data: z.object({ state: z.enum(['on', 'off']) }) })

export type Automation = {
  /** what Claw last said of its automation, to anybody; null while nobody knows */
  state(): 'on' | 'off' | null
  /** Asks Claw once, where it can be asked, so that the page is right after a restart with kept data. Never throws. */
  ask(): void
}

/** Knows whether Claw acts by itself: from its own answers in the chats, and by asking once (`automation status`). */
export function createAutomation({ clock, clawUrl, apiToken, slack, telegram }: Stage): Automation {
  let known: 'on' | 'off' | null = null
  let askedAt: number | null = null

  function hear({ text }: { text: string }): void {
    const said = /^\W*Automation is (on|off)\b/.exec(text)?.[1]
    if (said === 'on' || said === 'off') known = said
  }
  for (const event of ['response', 'ephemeral', 'message']) slack.state.events.on(event, hear)
  telegram.state.events.on('message', hear)

  async function question(): Promise<void> {
    const answer = await fetch(`${clawUrl()}/api/v1/commands`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json', Authorization: `Bearer ${apiToken}` },
      body: JSON.stringify({ text: 'automation status' }),
      signal: AbortSignal.timeout(PATIENCE),
    })
    known ??= Status.safeParse(await answer.json()).data?.data.state ?? null
  }

  return {
    state: () => known,
    ask() {
      const now = clock()
      if (apiToken === null || known !== null || (askedAt !== null && now - askedAt < PATIENCE)) return
      askedAt = now
      // Claw may not answer yet; the next look asks again.
      question().catch(() => {})
    },
  }
}
