import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'

const ROOT = fileURLToPath(new URL('../../..', import.meta.url))

test('the schema file that the editor hint of the example names is what claw schema prints', () => {
  const [hint = ''] = readFileSync(resolve(ROOT, 'claw.example.yaml'), 'utf8').split('\n')
  const path = /^# yaml-language-server: \$schema=(\.\/\S+)$/.exec(hint)?.[1]
  assert.ok(path, `the first line is ${JSON.stringify(hint)}`)
  const printed = execFileSync(process.execPath, [resolve(ROOT, 'src/main.ts'), 'schema'], { encoding: 'utf8' })
  const same = readFileSync(resolve(ROOT, path), 'utf8') === printed
  assert.ok(same, `the configuration changed: run npx claw schema > ${path}`)
})
