import type { ApiRoute } from '../../src/core/api.ts'
import { deliveryRoutes } from './deliveries.ts'
import { incidentRoutes } from './incidents.ts'
import type { ApiDeps } from './route.ts'

/** All that the HTTP API can do (contract.md, section 3), relative to `/api/v1`. */
export function apiRoutes(deps: ApiDeps): ApiRoute[] {
  return [...incidentRoutes(deps), ...deliveryRoutes(deps)]
}
