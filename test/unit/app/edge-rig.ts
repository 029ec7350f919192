import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import { Router } from 'express'
import { pino } from 'pino'
import { type App, start } from '../../../src/app.ts'
import type { AuditRow } from '../../../src/core/audit.ts'
import { type Clock, SECOND } from '../../../src/core/clock.ts'
import type { Reply } from '../../../src/core/command.ts'
import type { Incident } from '../../../src/core/incident.ts'
import type { StoryEvent } from '../../../src/core/view.ts'
import type { WorkflowRun } from '../../../src/core/workflow.ts'
import { createPages } from '../../../src/pages.ts'
import { sandboxConfig } from '../../../src/sandbox/config.ts'
import { listen } from '../../../src/sandbox/listen.ts'
import type { Inbound } from '../../../src/sandbox/slack/inbound.ts'
import type { SlackMessage, SlackResponse } from '../../../src/sandbox/slack.ts'
import { createWorld, type World } from '../../../src/sandbox/world.ts'
import { temporaryFolder } from '../../support/app.ts'
import { START } from '../../support/engine.ts'
import { loadedOf } from '../../support/policy.ts'

const DANA = 'U0DANA'
export const ROBIN = 'U0ROBIN'

export type EdgeRig = {
  app: App
  world: World
  now: Clock
  /** seconds since the rig began */
  seconds(): number
  /** lets one second pass, in the world and in Claw */
  second(): Promise<void>
  /** lets time pass until `seen` gives something; fails after `limit` seconds */
  until<T>(what: string, limit: number, seen: () => Promise<T | null | undefined | false>): Promise<T>
  /** `POST /api/v1/commands` as Dana */
  say(text: string, more?: Record<string, unknown>): Promise<Reply & { status: number }>
  incidents(): Promise<Incident[]>
  story(id: number): Promise<StoryEvent[]>
  runs(): Promise<WorkflowRun[]>
  audit(): Promise<AuditRow[]>
  /** an incident's own message in Slack, as it is shown now */
  message(channel: string): SlackMessage
  /** types `/claw text` in Slack; the answer that only the person sees */
  type(user: string, text: string): Promise<SlackResponse>
  /** presses a button in Slack as Dana; the answer that only the person sees */
  click(shown: SlackMessage | SlackResponse, action: string): Promise<SlackResponse>
  /** presses a button in Slack as Dana that asks back, and confirms; what the confirmation said */
  confirmed(shown: SlackMessage, action: string): Promise<string>
}

/**
 * The whole program with the sandbox's own configuration in the sandbox's world, over real HTTP; one clock, moved by hand.
 * @param edit changes the configuration
 */
export async function startEdgeRig(t: TestContext, edit = (yaml: string) => yaml): Promise<EdgeRig> {
  let now = START
  let claw = ''
  const clock = () => now
  const log = pino({ level: 'silent' })
  const world = createWorld({ clock, clawUrl: () => claw, rateLimits: false })
  const server = await listen(Router().use('/sandbox', world.router))
  const text = edit(sandboxConfig({ url: server.url, port: 0, data: temporaryFolder(t) }))
  const app = await start(loadedOf(text), {
    log,
    clock,
    random: () => 1,
    pages: (parts, run) => createPages(parts, run, { sandbox: null, log }),
  })
  claw = app.url
  t.after(async () => {
    await app.stop()
    world.reset()
    await world.stop()
    await server.close()
  })
  const { slack, telegram, pagerduty } = {
    slack: world.slack.state,
    telegram: world.telegram.state,
    pagerduty: world.pagerduty.state,
  }
  pagerduty.webhooks.target = { url: `${claw}/webhooks/pagerduty`, secret: 'sandbox' }
  await telegram.waitFor((state) => state.updates.webhook !== null && state.count('setWebhook') === 1)
  if (telegram.updates.webhook) telegram.updates.webhook.url = `${claw}/webhooks/telegram`
  const to: Inbound = { url: `${claw}/slack/events`, base: `${server.url}/sandbox/slack` }
  const { store } = app.parts

  async function settle(): Promise<void> {
    await pagerduty.webhooks.settled()
    await app.tick()
    for (;;) {
      let started = 0
      for (const lane of app.lanes()) started += await lane.tick()
      if (started === 0) return
    }
  }
  async function second(): Promise<void> {
    now += SECOND
    await world.tick()
    await settle()
  }
  async function answered(act: () => Promise<{ status: number; body: string }>): Promise<SlackResponse> {
    // What a person needs before the next act; lanes have room for another answer by then.
    for (let n = 0; n < 3; n++) await second()
    const before = slack.responses.length
    const { status, body } = await act()
    assert.equal(status, 200, body)
    return await slack.waitFor((state) => state.responses[before])
  }

  const rig: EdgeRig = {
    app,
    world,
    now: clock,
    seconds: () => (now - START) / SECOND,
    second,
    async until(what, limit, seen) {
      for (let n = 0; n <= limit; n++) {
        const found = await seen()
        if (found) return found
        await second()
      }
      const stories = await Promise.all(
        (await store.listIncidents({ states: [], limit: 5, before: null })).map(({ id }) => store.story(id, 60)),
      )
      const said = stories.flat().map(({ at, kind, text: line }) => `${(at - START) / SECOND} s ${kind}: ${line}`)
      assert.fail(`${what}: not within ${limit} s.\n${said.join('\n')}`)
    },
    async say(words, more = {}) {
      const answer = await fetch(`${claw}/api/v1/commands`, {
        method: 'POST',
        headers: { 'Content-Type': 'application/json', Authorization: 'Bearer sandbox' },
        body: JSON.stringify({ text: words, ...more }),
      })
      const body = (await answer.json()) as Reply
      await settle()
      return { ...body, status: answer.status }
    },
    incidents: () => store.listIncidents({ states: ['open', 'acknowledged', 'resolved'], limit: 50, before: null }),
    story: (id) => store.story(id, 500),
    runs: async () => (await store.workflows({ limit: 50 })).reverse(),
    audit: () => store.auditRows(0, 500),
    message(channel) {
      const found = slack.inChannel(channel).find((one) => one.own && one.threadTs === null)
      assert.ok(found, `no incident message in ${channel}`)
      return found
    },
    async type(user, words) {
      const answer = await answered(() => slack.command(user, 'C0CRITICAL', words, to))
      await settle()
      return answer
    },
    async click(shown, action) {
      const answer = await answered(() => slack.click(DANA, shown, action, to))
      await settle()
      return answer
    },
    async confirmed(shown, action) {
      for (let n = 0; n < 3; n++) await second()
      const [views, responses] = [slack.views.length, slack.responses.length]
      assert.equal((await slack.click(DANA, shown, action, to)).status, 200)
      const asked = await slack.waitFor(
        (state) => state.views.slice(views).find((one) => one.kind === 'modal') ?? state.responses[responses],
      )
      // On a slow machine Claw asks by a message instead.
      if ('ts' in asked) return (await rig.click(asked, 'claw:approve')).text
      const view = asked
      const { status, body } = await slack.submit(DANA, view, {}, to)
      assert.equal(status, 200, body)
      for (let n = 0; n < 3; n++) await second()
      return JSON.stringify(view.view)
    },
  }
  return rig
}
