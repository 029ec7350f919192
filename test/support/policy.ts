import { type Loaded, parseConfig } from '../../src/config/index.ts'
import type { Policy } from '../../src/core/policy.ts'

/** A configuration as `claw serve` would read it, without environment and files. @throws ConfigError */
export function loadedOf(yaml: string): Loaded {
  const readFile = (path: string): string => {
    throw new Error(`tests read no files: ${path}`)
  }
  return { ...parseConfig(yaml, { env: {}, readFile }), path: null, text: yaml }
}

/** The policy of a configuration. @throws ConfigError */
export function policyOf(yaml = ''): Policy {
  return loadedOf(yaml).policy
}
