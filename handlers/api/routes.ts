import type { ApiRoute } from '../../src/core/api.ts'
import type { CommandRequest, Reply } from '../../src/core/command.ts'
import { auditRoutes } from './audit.ts'
import { commandRoutes } from './commands.ts'
import { deliveryRoutes } from './deliveries.ts'
import { incidentRoutes } from './incidents.ts'
import type { ApiDeps } from './route.ts'

/** All that the HTTP API can do (contract.md, section 3), relative to `/api/v1`. */
export function apiRoutes(deps: ApiDeps & { run: (request: CommandRequest) => Promise<Reply> }): ApiRoute[] {
  return [...incidentRoutes(deps), ...deliveryRoutes(deps), ...commandRoutes(deps), ...auditRoutes(deps)]
}
