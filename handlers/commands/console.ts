import { createHash, randomBytes } from 'node:crypto'
import { z } from 'zod'
import { MINUTE } from '../../src/core/clock.ts'
import { refusal, reply } from '../../src/core/command.ts'
import type { Reads, Tx } from '../../src/core/store.ts'
import { defineCommand } from './define.ts'
import { timeOf } from './text.ts'

/** How long a link signs in. */
const LASTS = 5 * MINUTE
/** Links that are open at once, of everybody and of one person; the oldest make room. */
const MAX_LINKS = 500
const MAX_MINE = 5
/** Where they are kept in the store's meta. */
const KEY = 'console_links'

const Links = z.record(z.string(), z.object({ person: z.string(), until: z.number() }))
type Links = z.output<typeof Links>

export const consoleCommand = defineCommand<Record<string, never>, string | null>({
  name: 'console',
  aliases: ['web', 'login'],
  usage: 'console',
  summary: 'a link that signs you in to the console',
  help: 'The link works once, for 5 minutes, and signs in whoever opens it as you: keep it to yourself. Nobody has to type a token on a phone. In a Telegram group Claw asks you to write in private.',
  parameters: [],
  args: z.strictObject({}),
  danger: 'none',
  prepare: async (_args, services) => services.publicUrl(),
  async run(tx, _args, publicUrl, { person, now, via, replyTo }) {
    if (publicUrl === null) {
      return refusal('unavailable', 'Claw does not know its own address, so it cannot make a link.', [
        'Set public_url in claw.yaml, or sign in with an API token.',
      ])
    }
    // A group's answer is read by all of it. Ids of private chats are positive (Telegram Bot API, Chat).
    if (via === 'telegram' && !/^\d+$/.test(replyTo?.target ?? '')) {
      return refusal('forbidden', 'A link that signs you in is not for a group to see.', [
        'Write to me in private: /console.',
      ])
    }
    const token = await addLink(tx, person.name, now)
    const url = `${publicUrl.replace(/\/+$/, '')}/login/${token}`
    const inChat = via === 'slack' || via === 'telegram'
    return reply(`Your way into the console, once, until ${timeOf(now + LASTS, now)}:`, {
      lines: [
        ...(inChat ? [] : [url]),
        'It signs in whoever opens it as you: do not pass it on. Next: open it and press Sign in.',
      ],
      ...(inChat ? { link: { label: 'Open the console', url } } : {}),
      data: { expires_at: new Date(now + LASTS).toISOString() },
    })
  },
})

/** Whom a link would sign in; null when it is used up, too old or made up. Changes nothing. */
export async function linkOwner(reads: Pick<Reads, 'meta'>, token: string, now: number): Promise<string | null> {
  const links = parse(await reads.meta(KEY))
  const hash = hashOf(token)
  const found = Object.hasOwn(links, hash) ? links[hash] : undefined
  return found !== undefined && now < found.until ? found.person : null
}

/** Uses a link up. @returns the person, once; null afterwards */
export async function useLink(tx: Tx, token: string, now: number): Promise<string | null> {
  const person = await linkOwner(tx, token, now)
  if (person === null) return null
  const { [hashOf(token)]: _used, ...left } = parse(await tx.meta(KEY))
  await tx.setMeta(KEY, JSON.stringify(open(left, now)))
  return person
}

/**
 * Only the hash is kept here. The answer that holds the link is kept with its request like every answer, and is worth nothing
 * once the link was used or five minutes are over.
 */
async function addLink(tx: Tx, person: string, now: number): Promise<string> {
  const token = randomBytes(32).toString('base64url')
  const before = Object.entries(open(parse(await tx.meta(KEY)), now))
  const mine = before.filter(([, link]) => link.person === person).slice(1 - MAX_MINE)
  const others = before.filter(([, link]) => link.person !== person)
  const kept = [...others, ...mine].slice(1 - MAX_LINKS)
  const links: Links = { ...Object.fromEntries(kept), [hashOf(token)]: { person, until: now + LASTS } }
  await tx.setMeta(KEY, JSON.stringify(links))
  return token
}

function open(links: Links, now: number): Links {
  return Object.fromEntries(Object.entries(links).filter(([, { until }]) => now < until))
}

function hashOf(token: string): string {
  return createHash('sha256').update(token).digest('hex')
}

function parse(text: string | null): Links {
  if (text === null) return {}
  const links = Links.safeParse(JSON.parse(text))
  return links.success ? links.data : {}
}
