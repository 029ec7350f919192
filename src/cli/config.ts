import { existsSync } from 'node:fs'
import { type Loaded, loadConfig } from '../config/index.ts'
import { ClawError } from '../core/errors.ts'

/** Where the configuration is looked for when nobody says. */
export const DEFAULT_PATH = 'claw.yaml'

/**
 * The configuration that a command works on.
 * @throws ClawError when it is missing or wrong; the text lists every mistake with its place
 */
export async function configOf(path: string | undefined): Promise<Loaded> {
  if (path === undefined && !existsSync(DEFAULT_PATH)) {
    throw new ClawError(
      'not_found',
      `There is no ${DEFAULT_PATH} here. Copy claw.example.yaml, or name a file with --config. To just look around: npm run sandbox.`,
    )
  }
  return loadConfig(path ?? DEFAULT_PATH, process.env)
}
