import { Router } from 'express'
import type { Logger } from 'pino'
import { redeliver } from '../handlers/api/deliveries.ts'
import { apiRoutes } from '../handlers/api/routes.ts'
import { createRenderer } from './adapters/liquid/renderer.ts'
import { type Parts, TEMPLATES } from './app.ts'
import type { ChatOps } from './chatops.ts'
import { createConsole } from './console/console.ts'
import { createApi } from './http/api.ts'
import { createSession } from './http/session.ts'

/** What a sandbox's console shows besides: whom it signs everybody in as, and the scenarios to try. */
export type SandboxPages = { person: string; scenarios: readonly { name: string; text: string }[] }

/** The API and the console, wired to a running app. */
export function createPages(
  parts: Parts,
  run: ChatOps['run'],
  options: { sandbox: SandboxPages | null; log: Logger },
): Router {
  const { store, views, loaded, clock, wake } = parts
  const tokens = () => loaded().config.api.tokens
  const publicUrl = () => loaded().config.public_url ?? null
  const session = createSession({ tokens, clock, publicUrl })
  const deps = { store, viewOf: views.of, clock, wake }
  const router = Router()
  router.use(async (_req, _res, next) => {
    await parts.settle()
    next()
  })
  router.use('/api/v1', createApi({ session, routes: apiRoutes({ ...deps, run }) }))
  router.use(
    createConsole({
      store,
      viewOf: views.of,
      renderer: createRenderer({ root: TEMPLATES, overrides: loaded().config.templates }),
      session,
      redeliver: (id) => redeliver(deps, id),
      sandbox: options.sandbox,
      clock,
      onError: (error) => options.log.error({ err: error }, 'a page could not be shown'),
    }),
  )
  return router
}
