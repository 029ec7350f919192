import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { parse } from 'yaml'
import { z } from 'zod'

const root = fileURLToPath(new URL('../../../../', import.meta.url))

/** Bot scopes per method and event: docs.slack.dev, the page of each. Views need none; connections.open an app-level one. */
const METHOD_SCOPES: Readonly<Record<string, readonly string[]>> = {
  'chat.postMessage': ['chat:write'],
  'chat.postEphemeral': ['chat:write'],
  'chat.update': ['chat:write'],
  'conversations.history': ['channels:history', 'groups:history'],
  'conversations.replies': ['channels:history', 'groups:history'],
  'views.open': [],
  'views.publish': [],
}
const EVENT_SCOPES: Readonly<Record<string, readonly string[]>> = {
  app_home_opened: [],
  app_mention: ['app_mentions:read'],
}

const Manifest = z.strictObject({
  _metadata: z.object({ major_version: z.literal(1) }),
  display_information: z.strictObject({
    name: z.string().min(1).max(35),
    description: z.string().max(140),
    background_color: z.string().regex(/^#[0-9a-f]{6}$/),
  }),
  features: z.strictObject({
    app_home: z.strictObject({
      home_tab_enabled: z.literal(true),
      messages_tab_enabled: z.literal(true),
      messages_tab_read_only_enabled: z.boolean(),
    }),
    bot_user: z.strictObject({ display_name: z.string().max(80), always_online: z.boolean() }),
    slash_commands: z
      .array(
        z.strictObject({
          command: z.string().regex(/^\/[a-z-]{1,31}$/),
          url: z.url(),
          description: z.string().max(2_000),
          usage_hint: z.string().max(1_000),
          should_escape: z.boolean(),
        }),
      )
      .length(1),
  }),
  oauth_config: z.strictObject({ scopes: z.strictObject({ bot: z.array(z.string()) }) }),
  settings: z.strictObject({
    event_subscriptions: z.strictObject({ request_url: z.url(), bot_events: z.array(z.string()).min(1) }),
    interactivity: z.strictObject({ is_enabled: z.literal(true), request_url: z.url() }),
    org_deploy_enabled: z.boolean(),
    socket_mode_enabled: z.literal(false),
    token_rotation_enabled: z.literal(false),
  }),
})

const manifest = Manifest.parse(parse(readFileSync(`${root}deploy/slack/manifest.yaml`, 'utf8')))
const source = readdirSync(`${root}src/adapters/slack`)
  .map((name) => readFileSync(`${root}src/adapters/slack/${name}`, 'utf8'))
  .join('\n')

test('the manifest asks for the scopes that the code needs, and no others', () => {
  const methods = [...source.matchAll(/\.apiCall\('([a-zA-Z.]+)'/g)].map(([, name]) => name ?? '')
  const paged = [...source.matchAll(/pages\('([a-zA-Z.]+)'/g)].map(([, name]) => name ?? '')
  const used = new Set([...methods, ...paged])
  assert.deepEqual([...used].sort(), Object.keys(METHOD_SCOPES).sort(), 'a method without known scopes')
  const needed = new Set(['commands'])
  for (const method of used) for (const scope of METHOD_SCOPES[method] ?? []) needed.add(scope)
  for (const event of manifest.settings.event_subscriptions.bot_events)
    for (const scope of EVENT_SCOPES[event] ?? [`unknown event ${event}`]) needed.add(scope)
  assert.deepEqual([...manifest.oauth_config.scopes.bot].sort(), [...needed].sort())
})

test('the manifest subscribes to exactly the events that the code listens to', () => {
  const heard = [...source.matchAll(/app\.event\('([a-z_]+)'/g)].map(([, name]) => name ?? '')
  assert.deepEqual([...manifest.settings.event_subscriptions.bot_events].sort(), heard.sort())
})

test('everything that Slack sends arrives at one address', () => {
  const [command] = manifest.features.slash_commands
  const { event_subscriptions, interactivity } = manifest.settings
  const urls = [command?.url, event_subscriptions.request_url, interactivity.request_url]
  assert.deepEqual(new Set(urls), new Set(['https://claw.example.com/slack/events']))
  assert.equal(command?.command, '/claw')
})
