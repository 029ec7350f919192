import { isUtf8 } from 'node:buffer'
import type { IncomingMessage } from 'node:http'
import { z } from 'zod'
import { sameSecret } from '../../src/core/credentials.ts'
import { ClawError } from '../../src/core/errors.ts'

/** Largest body in bytes: an update is a few kB; ours. */
export const TELEGRAM_BODY_LIMIT = 1024 * 1024

const SECRET_HEADER = 'x-telegram-bot-api-secret-token'

/** What every update has (core.telegram.org/bots/api#update); the rest is read where it is used. */
const update = z.looseObject({ update_id: z.int().nonnegative() })

export type TelegramUpdate = { update_id: number; [key: string]: unknown }

/**
 * The check of the secret token that Telegram sends with each update, compared in constant time. Without a configured
 * secret nothing passes.
 */
export function telegramAuthenticator(secret: string | null): (req: Pick<IncomingMessage, 'headers'>) => void {
  return (req) => {
    const given = req.headers[SECRET_HEADER]
    const right = sameSecret(typeof given === 'string' ? given : '', secret ?? '')
    if (secret === null || secret === '' || typeof given !== 'string' || !right)
      throw new ClawError('unauthorized', 'X-Telegram-Bot-Api-Secret-Token is missing or wrong.')
  }
}

/**
 * Reads the body of a Telegram webhook: one update.
 * @throws ClawError('invalid') naming what is wrong
 */
export function parseTelegramUpdate(body: Buffer): TelegramUpdate {
  if (body.length === 0) throw new ClawError('invalid', 'The body is empty. Send a Telegram update.')
  if (!isUtf8(body)) throw new ClawError('invalid', 'The body is not UTF-8.')
  let json: unknown
  try {
    json = JSON.parse(body.toString('utf8'))
  } catch {
    throw new ClawError('invalid', 'The body is not JSON.')
  }
  const parsed = update.safeParse(json)
  if (!parsed.success) throw new ClawError('invalid', 'The body is not a Telegram update: update_id must be a number.')
  return parsed.data
}
