import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { z } from 'zod'

// The production packages as CycloneDX 1.6, from package-lock.json alone: `npx node scripts/sbom.ts > sbom.json`. No network and
// no clock: the same lock file gives the same bytes.

const names = z.record(z.string(), z.string()).default({})
const packageSchema = z.object({
  name: z.string().optional(),
  version: z.string().optional(),
  integrity: z.string().optional(),
  license: z.string().optional(),
  dev: z.boolean().default(false),
  devOptional: z.boolean().default(false),
  optional: z.boolean().default(false),
  link: z.boolean().default(false),
  dependencies: names,
  optionalDependencies: names,
  peerDependencies: names,
})
const lockSchema = z.object({ lockfileVersion: z.literal(3), packages: z.record(z.string(), packageSchema) })
type Package = z.output<typeof packageSchema>
type Packages = Readonly<Record<string, Package>>

type License = { license: { id: string } | { name: string } } | { expression: string }
type Component = {
  type: 'application' | 'library'
  'bom-ref': string
  name: string
  version: string
  scope?: 'required' | 'optional'
  hashes?: { alg: string; content: string }[]
  licenses?: License[]
  purl: string
}
export type Bom = {
  bomFormat: 'CycloneDX'
  specVersion: '1.6'
  serialNumber: string
  version: 1
  metadata: { component: Component }
  components: Component[]
  dependencies: { ref: string; dependsOn: string[] }[]
}

/**
 * The list of what a version of Claw is made of.
 * @param lockfile text of package-lock.json (version 3)
 * @throws Error when it is none, ZodError when it has another shape
 */
export function sbomOf(lockfile: string): Bom {
  const { packages } = lockSchema.parse(JSON.parse(lockfile))
  const root = packages['']
  if (root?.name === undefined) throw new Error('package-lock.json does not say what it belongs to.')
  const application = componentOf(root.name, root, 'application')
  const components = new Map<string, Component>()
  const edges = new Map<string, Set<string>>([[application['bom-ref'], below('', packages)]])
  for (const [path, found] of Object.entries(packages)) {
    if (path === '' || !shipped(found)) continue
    const component = componentOf(nameAt(path), found, 'library')
    const ref = component['bom-ref']
    const known = components.get(ref)
    // one package may stand at several places: needed at one of them, it is needed
    components.set(ref, known?.scope === 'required' ? known : component)
    edges.set(ref, new Set([...(edges.get(ref) ?? []), ...below(path, packages)]))
  }
  return {
    bomFormat: 'CycloneDX',
    specVersion: '1.6',
    serialNumber: `urn:uuid:${uuidOf(lockfile)}`,
    version: 1,
    metadata: { component: application },
    components: [...components.values()].sort((a, b) => compare(a['bom-ref'], b['bom-ref'])),
    dependencies: [...edges]
      .map(([ref, dependsOn]) => ({ ref, dependsOn: [...dependsOn].sort(compare) }))
      .sort((a, b) => compare(a.ref, b.ref)),
  }
}

const shipped = (one: Package): boolean => !one.dev && !one.devOptional && !one.link

/** `node_modules/a/node_modules/@b/c` is `@b/c`. */
const nameAt = (path: string): string => path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length)

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)

function componentOf(name: string, one: Package, type: Component['type']): Component {
  const version = one.version ?? '0.0.0'
  const purl = `pkg:npm/${name.replace('@', '%40')}@${version}`
  const hashes = hashesOf(one.integrity)
  return {
    type,
    'bom-ref': purl,
    name,
    version,
    ...(type === 'library' ? { scope: one.optional ? ('optional' as const) : ('required' as const) } : {}),
    ...(hashes.length === 0 ? {} : { hashes }),
    ...(one.license === undefined ? {} : { licenses: [licenseOf(one.license)] }),
    purl,
  }
}

const ALGORITHMS: Readonly<Record<string, string>> = {
  sha1: 'SHA-1',
  sha256: 'SHA-256',
  sha384: 'SHA-384',
  sha512: 'SHA-512',
}

/** Subresource integrity (`sha512-<base64>`) as CycloneDX writes hashes. */
function hashesOf(integrity: string | undefined): { alg: string; content: string }[] {
  return (integrity ?? '').split(/\s+/).flatMap((text) => {
    const [name = '', base64 = ''] = text.split(/-(.*)/s)
    const alg = ALGORITHMS[name]
    return alg === undefined ? [] : [{ alg, content: Buffer.from(base64, 'base64').toString('hex') }]
  })
}

function licenseOf(text: string): License {
  if (/\s(?:AND|OR|WITH)\s/.test(text)) return { expression: text.replace(/^\((.*)\)$/, '$1') }
  return { license: /^[A-Za-z0-9.+-]+$/.test(text) && text !== 'UNLICENSED' ? { id: text } : { name: text } }
}

/** What a package depends on, found as Node does: in the nearest node_modules above it. Absent optional ones are left out. */
function below(path: string, packages: Packages): Set<string> {
  const own = packages[path]
  const found = new Set<string>()
  for (const name of Object.keys({ ...own?.dependencies, ...own?.optionalDependencies, ...own?.peerDependencies })) {
    for (let at = path; ; at = at.slice(0, Math.max(0, at.lastIndexOf('/node_modules/')))) {
      const one = packages[at === '' ? `node_modules/${name}` : `${at}/node_modules/${name}`]
      if (one !== undefined) {
        if (shipped(one)) found.add(componentOf(name, one, 'library')['bom-ref'])
        break
      }
      if (at === '') break
    }
  }
  return found
}

/** A UUID (version 8, RFC 9562) that follows from the text. */
function uuidOf(text: string): string {
  const hex = createHash('sha256').update(text).digest('hex')
  const variant = ((Number.parseInt(hex.slice(16, 17), 16) & 3) | 8).toString(16)
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-8${hex.slice(13, 16)}-${variant}${hex.slice(17, 20)}-${hex.slice(20, 32)}`
}

if (import.meta.main) {
  const lockfile = readFileSync(new URL('../package-lock.json', import.meta.url), 'utf8')
  process.stdout.write(`${JSON.stringify(sbomOf(lockfile), null, 2)}\n`)
}
