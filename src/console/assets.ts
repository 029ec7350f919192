import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, extname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'

const require = createRequire(import.meta.url)

/** What pages may load: name to package and file, or to files beside this one, one after the other. */
const FILES = {
  css: [null, 'styles/base.css', 'styles/parts.css', 'styles/more.css'],
  console: [null, 'console.js'],
  charts: [null, 'charts.js'],
  htmx: ['htmx.org', 'dist/htmx.min.js'],
  sse: ['htmx-ext-sse', 'dist/sse.min.js'],
  uplot: ['uplot', 'dist/uPlot.iife.min.js'],
  uplotCss: ['uplot', 'dist/uPlot.min.css'],
} as const satisfies Record<string, readonly [string | null, string, ...string[]]>

const TYPES: Readonly<Record<string, string>> = {
  '.css': 'text/css; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
}

export type Asset = { type: string; body: Buffer; gzipped: Buffer }

export type Assets = {
  /** name to address; the address holds a hash of the content, so that it may be kept for ever */
  urls: Readonly<Record<keyof typeof FILES, string>>
  /** what stands at an address, null for nothing */
  at(path: string): Asset | null
}

/** Scripts and styles from the installed packages and from this folder, read once. @throws when a package is missing */
export function loadAssets(): Assets {
  const found = new Map<string, Asset>()
  const urls: Record<string, string> = {}
  for (const [name, [from, file, ...more]] of Object.entries(FILES)) {
    const folder =
      from === null ? fileURLToPath(new URL('.', import.meta.url)) : dirname(require.resolve(`${from}/package.json`))
    const body = Buffer.concat([file, ...more].map((one) => readFileSync(join(folder, one))))
    const hash = createHash('sha256').update(body).digest('hex').slice(0, 12)
    const kind = extname(file)
    const url = `/assets/${name}.${hash}${kind}`
    urls[name] = url
    found.set(url, { type: TYPES[kind] ?? 'application/octet-stream', body, gzipped: gzipSync(body) })
  }
  return { urls: urls as Assets['urls'], at: (path) => found.get(path) ?? null }
}
