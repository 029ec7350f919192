import { createHash, randomUUID } from 'node:crypto'
import type { Router } from 'express'
import { ClawError } from '../core/errors.ts'
import { backTo, field, fieldsOf, findAnswer, isNumber, requestId, type Shell, seeOther } from './page.ts'

/** Longest command that a form sends; the grammar has limits of its own. */
const MAX_TEXT = 4000

/** Buttons that run at the first press: they only look, promise to look, or answer a question that stands beside them. */
const AT_ONCE = new Set(['ack', 'approve', 'deny', 'status', 'take'])

/**
 * `POST /commands`: a chat command as the person who pressed its button; `/answers/{number}`: what it answered. A dangerous
 * command answers with its own question; others that change something are asked about here first.
 */
export function commandPages(router: Router, shell: Shell): void {
  router.post('/commands', async (req, res) => {
    const person = String(res.locals.person)
    const text = [field(req, 'command'), ...fieldsOf(req)('arg')]
      .map((part) => part.trim())
      .filter((part) => part !== '')
      .join(' ')
    if (text === '' || text.length > MAX_TEXT) {
      throw new ClawError('invalid', text === '' ? 'Type a command, such as status.' : 'This command is too long.')
    }
    const back = backTo(field(req, 'back'))
    const incident = incidentOf(field(req, 'incident'))
    const given = field(req, 'request')
    const form = isNumber(given) ? given : randomUUID()
    if (field(req, 'ask') === '1' && asksHere(shell, text)) {
      await shell.show(req, res, 'confirm', { command: text, incident, number: form, back, what: meaning(shell, text) })
      return
    }
    // All buttons of a page carry its number: pressed twice, one gets its first answer again, another its own.
    const number = `${form}-${createHash('sha256').update(text).digest('hex').slice(0, 8)}`
    const answer = await shell.run({
      id: requestId(person, number),
      via: 'console',
      person: null,
      user: person,
      ...overridden(text),
      incident,
      confirmed: false,
      replyTo: null,
    })
    // A short yes is shown where the button was; a question, a table or a no gets a page of its own.
    const short = answer.ok && answer.buttons.length === 0 && answer.table === null
    const to = back.includes('?') ? `${back}&answer=${number}` : `${back}?answer=${number}`
    seeOther(res, short ? to : `/answers/${number}?back=${encodeURIComponent(back)}`)
  })

  router.get('/answers/:number', async (req, res) => {
    const box = await findAnswer(shell, String(res.locals.person), String(req.params.number))
    if (box === null)
      throw new ClawError('not_found', 'There is no such answer of yours. It may have been too long ago.')
    const given = new URLSearchParams(req.originalUrl.split('?')[1] ?? '').get('back')
    const back = given === null ? (box.incident === null ? '/' : `/incidents/${box.incident}`) : backTo(given)
    await shell.show(req, res, 'answer', { box, back, answer: null })
  })
}

function specOf(shell: Shell, text: string) {
  const name = /^\S+/.exec(text)?.[0].toLowerCase() ?? ''
  return shell.commands.find((spec) => spec.name === name || spec.aliases.includes(name))
}

/** Commands that ask back by themselves show exactly what they will do; asking twice would only teach to press twice. */
function asksHere(shell: Shell, text: string): boolean {
  const spec = specOf(shell, text)
  return spec !== undefined && spec.danger === 'none' && !AT_ONCE.has(spec.name)
}

/**
 * `failover A B --override REASON`: the reason stands beside the command. Telephones turn `--` into a dash. Not within quotes, where
 * a label may say anything.
 */
function overridden(text: string): { text: string; override: string | null } {
  for (const { 0: word, index } of text.matchAll(/"(?:[^"\\]|\\.)*"|\S+/g)) {
    const flag = /^(?:--|—|–)override(?==|$)/.exec(word)?.[0]
    if (flag === undefined || index === 0) continue
    const reason = text.slice(index + flag.length).replace(/^[\s=]+/, '')
    if (reason !== '') return { text: text.slice(0, index).trimEnd(), override: reason.slice(0, 500) }
  }
  return { text, override: null }
}

const meaning = (shell: Shell, text: string): string => specOf(shell, text)?.summary ?? ''

function incidentOf(text: string): number | null {
  return /^[1-9]\d{0,8}$/.test(text) ? Number(text) : null
}
