// biome-ignore-all lint/suspicious/noTemplateCurlyInString: it is the syntax under test
import assert from 'node:assert/strict'
import { mkdtemp, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, test } from 'node:test'
import type { Loaded } from '../../../src/config/index.ts'
import { loadConfig, watchConfig } from '../../../src/config/index.ts'
import type { ClawError } from '../../../src/core/errors.ts'

let folder = ''
let file = ''
let close: (() => Promise<void>) | null = null

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'claw-config-'))
  file = join(folder, 'claw.yaml')
  await writeFile(file, 'listen: a:1\n')
})
afterEach(async () => {
  await close?.()
  close = null
  await rm(folder, { recursive: true })
})

/** What the watch reported, in order, and a way to wait for one. */
async function watched() {
  const seen: string[] = []
  let fresh = Promise.withResolvers<void>()
  const note = (text: string) => {
    seen.push(text)
    fresh.resolve()
    fresh = Promise.withResolvers<void>()
  }
  // the watch itself does not keep the process alive
  const alive = setInterval(() => {}, 60_000)
  const watch = watchConfig(file, {
    env: {},
    current: await readFile(file, 'utf8'),
    debounce: 5,
    onReload: (loaded: Loaded) => note(loaded.config.listen),
    onError: (error: ClawError) => note(error.message),
  })
  close = async () => {
    clearInterval(alive)
    await watch.close()
  }
  const until = async (text: string) => {
    while (seen.at(-1) !== text) await fresh.promise
  }
  return { seen, watch, until }
}

test('reload reads the file; a bad one leaves it at an error that says where', async () => {
  const { seen, watch } = await watched()
  await watch.reload()
  await writeFile(file, 'listen: a:2\nlisten: a:3\n')
  await watch.reload()
  await writeFile(file, 'listen: a:4\n')
  await watch.reload()
  await rm(file)
  await watch.reload()
  assert.equal(seen[0], 'a:1')
  assert.equal(
    seen.find((text) => text.includes('given twice')),
    `${file}:2:1: this key is given twice in the same map`,
  )
  assert.ok(seen.includes('a:4'))
  assert.match(seen.at(-1) ?? '', /cannot be read: there is no such file/)
  await writeFile(file, '')
})

test('a change of the file is noticed, in place and by replacement', async () => {
  const { until } = await watched()
  await writeFile(file, 'listen: b:1\n')
  await until('b:1')
  await writeFile(join(folder, 'new'), 'listen: b:2\n')
  await rename(join(folder, 'new'), file)
  await until('b:2')
})

test('an emptied file is an error, not a fall to the defaults', async () => {
  const { watch, seen } = await watched()
  await writeFile(file, ' \n')
  await watch.reload()
  assert.equal(seen.at(-1), `${file} is empty; the running configuration stays`)
})

test('the swap of a symbolic link is noticed, as Kubernetes does it', async () => {
  await rm(file)
  for (const version of ['1', '2']) {
    await writeFile(join(folder, `..v${version}`), `listen: k:${version}\n`)
  }
  await symlink('..v1', join(folder, '..data'))
  await symlink('..data', file)
  const { until } = await watched()
  await symlink('..v2', join(folder, '..data_tmp'))
  await rename(join(folder, '..data_tmp'), join(folder, '..data'))
  await until('k:2')
})

test('a missing file is an error that names it, and ${file:} is relative to the configuration', async () => {
  await assert.rejects(loadConfig(join(folder, 'none.yaml'), {}), /none\.yaml cannot be read: there is no such file/)
  await writeFile(join(folder, 'secret'), 'abc\n')
  await writeFile(file, 'alertmanager: { token: "${file:secret}" }')
  assert.deepEqual((await loadConfig(file, {})).config.alertmanager.token, ['abc'])
})
