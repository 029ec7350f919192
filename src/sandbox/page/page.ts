import { readFileSync } from 'node:fs'
import { type RequestHandler, Router } from 'express'
import { createActs } from './acts.ts'
import { createAutomation } from './automation.ts'
import { createDiary } from './diary.ts'
import { createHistory } from './history.ts'
import type { Stage } from './stage.ts'
import { type Note, pageState } from './view.ts'

/** Everything comes from here; nothing inline, no form leaves, nobody frames it. Text becomes markup nowhere. */
export const HEADERS = {
  'Content-Security-Policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; form-action 'none'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
  'X-Content-Type-Options': 'nosniff',
  'Referrer-Policy': 'same-origin',
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cache-Control': 'no-store',
} as const

const TYPES: Readonly<Record<string, string>> = { js: 'text/javascript', css: 'text/css', html: 'text/html' }
/** What the browser gets from this folder. */
export const FILES = [
  'page.css',
  'chats.css',
  'panes.css',
  'page.js',
  'dom.js',
  'text.js',
  'slack.js',
  'edge.js',
  'panes.js',
] as const

export type Page = {
  /** `/`, its files, `/ui/state` and the acts under `/ui/` */
  router: Router
  /** one look at what tells nobody by itself; to be called with every tick of the world */
  look(): void
  /** forgets what happened */
  clear(): void
}

/** The sandbox's page: the platforms' look-alikes to look at and to press, the edge, and what just happened. */
export function createPage(stage: Stage): Page {
  const automation = createAutomation(stage)
  const diary = createDiary(stage, automation.state)
  const history = createHistory(stage.edge)
  const typed: Note[] = []
  const router = Router()

  const serve = (name: string): RequestHandler => {
    const content = readFileSync(new URL(name, import.meta.url), 'utf8')
    const type = TYPES[name.replace(/^.*\./, '')] ?? 'text/plain'
    return (_req, res) => void res.set(HEADERS).type(`${type}; charset=utf-8`).send(content)
  }
  const index = serve('index.html')
  router.get('/', (req, res, next) => {
    // Its files are named relative to it.
    if (req.originalUrl.split('?')[0]?.endsWith('/')) index(req, res, next)
    else res.redirect(302, `${req.baseUrl}/`)
  })
  for (const name of FILES) router.get(`/${name}`, serve(name))

  router.get('/ui/state', (_req, res) => {
    stage.catchUp()
    diary.look()
    history.look()
    automation.ask()
    res.set('Cache-Control', 'no-store').json(pageState(stage, { diary, automation, history, typed }))
  })
  router.use('/ui', createActs(stage, diary, typed))

  return {
    router,
    look() {
      diary.look()
      history.look()
    },
    clear() {
      diary.clear()
      typed.length = 0
    },
  }
}
