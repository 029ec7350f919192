import type { ApiRoute } from '../../src/core/api.ts'
import type { AuditRow } from '../../src/core/audit.ts'
import { cursorOf, json, readCursor, readLimit } from './route.ts'

type Reader = { auditRows(after: number, limit: number): Promise<AuditRow[]> }

/** `GET /api/v1/audit`: the trail in order, oldest first, with its hashes, so that anyone can check the chain. */
export function auditRoutes(deps: { store: Reader }): ApiRoute[] {
  return [
    {
      method: 'GET',
      path: '/audit',
      async handle({ query }) {
        const limit = readLimit(query)
        const rows = await deps.store.auditRows(readCursor(query, 'audit') ?? 0, limit)
        const last = rows.at(-1)
        return json({
          audit: rows,
          next_cursor: rows.length === limit && last ? cursorOf('audit', Number(last.id)) : null,
        })
      },
    },
  ]
}
