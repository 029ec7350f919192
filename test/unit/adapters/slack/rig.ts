import type { TestContext } from 'node:test'
import { Router } from 'express'
import { createSlackInbound, type SlackInboundOptions } from '../../../../src/adapters/slack/inbound.ts'
import type { CommandRequest, Inbox, Reply } from '../../../../src/core/command.ts'
import { ClawError } from '../../../../src/core/errors.ts'
import type { IncidentView } from '../../../../src/core/view.ts'
import { listen } from '../../../../src/sandbox/listen.ts'
import type { Inbound } from '../../../../src/sandbox/slack/inbound.ts'
import { createFakeSlack } from '../../../../src/sandbox/slack.ts'
import { closeAfter } from '../../../fixtures/step.ts'
import { OPENED_AT } from '../../../fixtures/view.ts'

export const TOKEN = 'xoxb-very-secret'
export const DANA = 'U0DANA'
export const CHANNEL = 'C0CRITICAL'

/** An inbox as the engine's: each id is taken once. `gate` holds stores back, `down` makes them fail. */
export class TestInbox implements Inbox {
  readonly requests: CommandRequest[] = []
  readonly previews: string[] = []
  submits = 0
  down = false
  gate: Promise<void> | null = null
  onSubmit: () => void = () => {}
  answer: (request: CommandRequest) => Promise<Reply | null> = async () => null

  async submit(request: CommandRequest): Promise<boolean> {
    this.submits++
    this.onSubmit()
    await this.gate
    if (this.down) throw new ClawError('unavailable', 'The database cannot be written.')
    if (this.requests.some((one) => one.id === request.id)) return false
    // As the store does: only JSON survives.
    this.requests.push(JSON.parse(JSON.stringify(request)) as CommandRequest)
    return true
  }

  preview(request: CommandRequest): Promise<Reply | null> {
    this.previews.push(request.text)
    return this.answer(request)
  }
}

/** Claw's Slack inbound beside a Slack that is strict. */
export async function world(t: TestContext, overrides: Partial<SlackInboundOptions> = {}) {
  // Ahead of the servers' own ends: hooks run in this order.
  t.after(() => inbound.stop())
  const clock = { now: OPENED_AT }
  const slack = createFakeSlack({ clock: () => clock.now, token: TOKEN })
  const server = closeAfter(t, await listen(slack.router))
  const inbox = new TestInbox()
  const incidents: IncidentView[] = []
  const logged: string[] = []
  const write = (fields: object, message: string) => void logged.push(`${message} ${JSON.stringify(fields)}`)
  const inbound = createSlackInbound({
    signingSecret: 'sandbox',
    appToken: null,
    botToken: TOKEN,
    apiUrl: `${server.url}/api/`,
    inbox,
    openIncidents: async () => incidents,
    clock: () => clock.now,
    log: { info: write, warn: write, error: write },
    ...overrides,
  })
  const claw = closeAfter(t, await listen(Router().use('/slack/events', inbound.router)))
  const url = `${claw.url}/slack/events`
  const to: Inbound = { url: overrides.appToken ? null : url, base: server.url }
  return { clock, slack, state: slack.state, server, inbox, incidents, logged, inbound, url, to }
}

/** Resolves when `resolve` is called: for stores that wait. */
export function gate(): { promise: Promise<void>; open: () => void } {
  let open = () => {}
  const promise = new Promise<void>((resolve) => {
    open = resolve
  })
  return { promise, open }
}
