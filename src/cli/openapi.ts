import { openApiDocument } from '../../handlers/api/openapi.ts'

/** `claw openapi`: OpenAPI 3.1 of the HTTP API. */
export async function openapi(): Promise<number> {
  process.stdout.write(`${JSON.stringify(openApiDocument(), null, 2)}\n`)
  return 0
}
