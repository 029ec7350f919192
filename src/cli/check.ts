import { readFileSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { checkTemplates } from '../adapters/liquid/renderer.ts'
import { TEMPLATES } from '../app.ts'
import { checkConfig, jsonSchema } from '../config/index.ts'
import { ClawError, messageOf } from '../core/errors.ts'
import type { Flags } from '../main.ts'
import { DEFAULT_PATH } from './config.ts'
import { checkOnline } from './online.ts'

/** `claw check`: every mistake with line and column; exit 1 when there is one. */
export async function check(flags: Flags): Promise<number> {
  const path = flags.config ?? DEFAULT_PATH
  const folder = dirname(resolve(path))
  const result = checkConfig(readFile(path), {
    env: process.env,
    path,
    readFile: (name) => readFileSync(resolve(folder, name), 'utf8'),
  })
  let ok = result.ok
  ;(result.ok ? process.stdout : process.stderr).write(`${result.text}\n`)
  for (const mistake of checkTemplates(TEMPLATES, result.parsed?.config.templates)) {
    ok = false
    process.stderr.write(`${mistake.file}:${mistake.line ?? 1}:${mistake.column ?? 1}: ${mistake.message}\n`)
  }
  if (ok && result.parsed && flags.online === true) {
    for (const answer of await checkOnline(result.parsed.config)) {
      ok &&= answer.ok
      ;(answer.ok ? process.stdout : process.stderr).write(`${answer.what}: ${answer.text}\n`)
    }
  }
  return ok ? 0 : 1
}

function readFile(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    throw new ClawError('not_found', `${path} cannot be read: ${messageOf(error)}`, { cause: error })
  }
}

/** `claw schema`: JSON Schema of the configuration. */
export async function schema(): Promise<number> {
  process.stdout.write(`${JSON.stringify(jsonSchema(), null, 2)}\n`)
  return 0
}
