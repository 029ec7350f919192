import type { TestContext } from 'node:test'
import { createTelegramInbound, type TelegramInboundOptions } from '../../../../src/adapters/telegram/inbound.ts'
import type { CommandRequest, Inbox } from '../../../../src/core/command.ts'
import { ClawError } from '../../../../src/core/errors.ts'
import { listen } from '../../../../src/sandbox/listen.ts'
import { createFakeTelegram } from '../../../../src/sandbox/telegram.ts'
import { closeAfter } from '../../../fixtures/step.ts'
import { OPENED_AT } from '../../../fixtures/view.ts'

export const TOKEN = '900001:very-secret'
export const GROUP = -1001
export const DANA = 4711

/** An inbox that keeps what it is given, as the store does: one answer for each id. */
export class TestInbox implements Inbox {
  readonly taken: CommandRequest[] = []
  tries = 0
  down = false
  error: Error | null = null

  async submit(request: CommandRequest): Promise<boolean> {
    this.tries++
    if (this.error) throw this.error
    if (this.down) throw new ClawError('unavailable', 'The database cannot be written.')
    if (this.taken.some(({ id }) => id === request.id)) return false
    this.taken.push(JSON.parse(JSON.stringify(request)) as CommandRequest)
    return true
  }

  async preview(): Promise<null> {
    return null
  }

  get texts(): string[] {
    return this.taken.map(({ text }) => text)
  }
}

export async function rig(t: TestContext, more: Partial<TelegramInboundOptions> = {}) {
  const clock = { now: OPENED_AT }
  const telegram = createFakeTelegram({ clock: () => clock.now, token: TOKEN })
  t.after(() => telegram.reset())
  const server = closeAfter(t, await listen(telegram.router))
  const inbox = new TestInbox()
  const said: string[] = []
  const saved = { next: 0 }
  const incidents = new Map<string, number>()
  const say = (...words: unknown[]) => void said.push(words.map((w) => JSON.stringify(w)).join(' '))
  const make = (options: Partial<TelegramInboundOptions> = {}) => {
    const inbound = createTelegramInbound({
      token: TOKEN,
      apiRoot: server.url,
      mode: 'polling',
      webhookSecret: null,
      publicUrl: null,
      inbox,
      clock: () => clock.now,
      log: { info: say, warn: say, error: say },
      holdPolling: async () => true,
      offset: {
        load: async () => saved.next,
        save: async (next) => {
          saved.next = next
        },
      },
      incidentOf: async (chat, id) => incidents.get(`${chat} ${id}`) ?? null,
      commands: [
        { command: 'claw', description: 'What is going on now' },
        { command: 'ack', description: 'Acknowledge an incident' },
      ],
      ...more,
      ...options,
    })
    t.after(() => inbound.stop())
    return inbound
  }
  return { clock, telegram, state: telegram.state, server, inbox, said, saved, incidents, make, inbound: make() }
}
