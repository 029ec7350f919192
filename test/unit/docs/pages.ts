import { existsSync, globSync, readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'

// Reads the documents for the tests that keep them true.

export const ROOT = fileURLToPath(new URL('../../..', import.meta.url))

export type Page = { file: string; text: string }

/** A fenced block; `info` is what stands behind the back quotes, `line` where it begins (1 is the first). */
export type Block = { file: string; line: number; info: string; text: string }

/** Every document that operators read, ARCHITECTURE.md included. */
export function pages(): Page[] {
  return ['*.md', 'docs/**/*.md', 'deploy/**/*.md']
    .flatMap((pattern) => globSync(pattern, { cwd: ROOT }))
    .sort()
    .map((file) => ({ file, text: readFileSync(join(ROOT, file), 'utf8') }))
}

/** Fenced blocks, those in list items without their indent. @throws Error for one that is not closed */
export function blocksOf({ file, text }: Page): Block[] {
  const found: Block[] = []
  let open: { indent: string; info: string; line: number; lines: string[] } | null = null
  for (const [index, line] of text.split('\n').entries()) {
    const fence = /^( *)```(.*)$/.exec(line)
    if (open === null) {
      if (fence) open = { indent: fence[1] ?? '', info: (fence[2] ?? '').trim(), line: index + 1, lines: [] }
    } else if (fence && fence[2] === '') {
      found.push({ file, line: open.line, info: open.info, text: `${open.lines.join('\n')}\n` })
      open = null
    } else {
      open.lines.push(line.startsWith(open.indent) ? line.slice(open.indent.length) : line)
    }
  }
  if (open !== null) throw new Error(`${file}:${open.line}: a block is not closed`)
  return found
}

/** The page without its fenced blocks. */
export function proseOf({ text }: Page): string {
  return text.replace(/^ *```[^\n]*\n[\s\S]*?\n *```$/gm, '')
}

/** Links of a page, `[text](target)`, pictures included; addresses elsewhere are left out. */
export function linksOf(page: Page): string[] {
  return [...proseOf(page).matchAll(/\]\(([^)\s]+)\)/g)]
    .map((match) => match[1] ?? '')
    .filter((target) => !/^[a-z]+:/.test(target))
}

/** Anchors that a page offers, as GitHub makes them of headings. */
export function anchorsOf(page: Page): Set<string> {
  return new Set(
    [...proseOf(page).matchAll(/^#{1,6} (.+)$/gm)].map((match) =>
      (match[1] ?? '')
        .toLowerCase()
        .replace(/[^\p{L}\p{N}\s_-]/gu, '')
        .replaceAll(' ', '-'),
    ),
  )
}

/** Why a link leads nowhere; null when it leads somewhere. */
export function deadLink(from: string, target: string): string | null {
  const [path = '', anchor] = target.split('#')
  const file = path === '' ? from : relative(ROOT, join(ROOT, dirname(from), path))
  if (!existsSync(join(ROOT, file))) return `${from}: ${target}: there is no ${file}`
  if (anchor === undefined) return null
  const text = readFileSync(join(ROOT, file), 'utf8')
  return anchorsOf({ file, text }).has(anchor) ? null : `${from}: ${target}: ${file} has no such heading`
}
