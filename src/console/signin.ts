import type { RequestHandler, Router } from 'express'
import { backTo, field, HEADERS, type Shell, seeOther } from './page.ts'

const SIGN_IN_FAILED = {
  wrong: { status: 401, text: 'That is not one of the tokens under api.tokens.' },
  wait: { status: 429, text: 'Too many wrong tokens came from here. Try again in a minute.' },
} as const

const LINK_FAILED =
  'This link does not sign in any more: it works once, for 5 minutes. Ask for another with /claw console.'

/** Sign-in by token or by a link that works once, and sign-out. Mounted before anything that needs a person. */
export function signInPages(router: Router, shell: Shell, checks: RequestHandler[]): void {
  const { session, links } = shell
  router.post(['/signin', '/login', '/signout'], ...checks)

  router.post('/signin', async (req, res) => {
    const back = backTo(field(req, 'back'))
    const answer = session.signIn(req, field(req, 'token').trim())
    if ('refused' in answer) {
      const { status, text } = SIGN_IN_FAILED[answer.refused]
      await shell.show(req, res, 'signin', { problem: text, back }, status)
      return
    }
    session.start(res, answer.person)
    seeOther(res, back)
  })

  // Looking at the link must not use it up: chats make previews of links, and some open them.
  router.get('/login/:token', async (req, res) => {
    const token = String(req.params.token)
    const owner = await links.owner(token)
    if (owner === null) await shell.show(req, res, 'message', { text: LINK_FAILED }, 410)
    else await shell.show(req, res, 'login', { owner, link: token })
  })

  router.post('/login', async (req, res) => {
    const person = await links.use(field(req, 'link'))
    if (person === null || !session.start(res, person)) {
      await shell.show(req, res, 'message', { text: LINK_FAILED }, 410)
      return
    }
    seeOther(res, '/')
  })

  router.post('/signout', (_req, res) => {
    session.end(res)
    seeOther(res, '/')
  })
}

/** Headers that every answer has, whatever it is. */
export const headers: RequestHandler = (_req, res, next) => {
  for (const [name, value] of Object.entries(HEADERS)) res.setHeader(name, value)
  next()
}
