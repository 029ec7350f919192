import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join, sep } from 'node:path'
import { Liquid, type LiquidError } from 'liquidjs'
import type { Renderer } from '../../core/delivery.ts'
import { ClawError, messageOf } from '../../core/errors.ts'
import { escapeValue, type Format } from './escape.ts'
import { filters } from './filters.ts'

/** The first folder of a template's name decides how its values are escaped. `shared` is used from the others only. */
const FORMATS: Readonly<Record<string, Format>> = {
  slack: 'mrkdwn',
  telegram: 'telegram',
  pagerduty: 'plain',
  webhook: 'plain',
  console: 'html',
}

/**
 * Bounds of one rendering, ours: a message needs a few hundred values. Time is wall clock in ms, wide, since a busy
 * machine must not turn a good template into a failure; memory counts what Liquid calls objects.
 */
const BOUNDS = { parseLimit: 200_000, renderLimit: 2_000, memoryLimit: 5_000_000, templateLimit: 50_000 }

const EXTENSION = '.liquid'

export type TemplateOptions = {
  /** folder of the templates that come with Claw */
  root: string
  /** folder of the operator's own, looked up first by the same relative path */
  overrides?: string | undefined
}

/**
 * Renders `templates/<folder>/<name>.liquid`, e.g. `slack/headline`. Every value is cleaned and escaped for the folder's
 * destination; there is no filter that undoes it, and Liquid code inside values is text. `data.now` (ms, default the
 * machine's clock) is what the time filters count from. Templates are read once and kept.
 */
export function createRenderer(options: TemplateOptions): Renderer {
  const engines = new Map<string, Liquid>()
  const engineFor = (folder: string): Liquid => {
    const format = FORMATS[folder]
    if (format === undefined) throw new ClawError('internal', `There is no template folder \`${folder}\`.`)
    const engine = engines.get(folder) ?? createEngine(options, format)
    engines.set(folder, engine)
    return engine
  }
  return {
    render(name, data) {
      const engine = engineFor(name.slice(0, Math.max(0, name.indexOf('/'))))
      try {
        const { templateLimit, renderLimit, memoryLimit } = BOUNDS
        const globals = { now: typeof data.now === 'number' ? data.now : Date.now() }
        const parsed = engine.parseFileSync(name)
        return String(engine.renderSync(parsed, data, { globals, templateLimit, renderLimit, memoryLimit }))
      } catch (error) {
        throw new ClawError('internal', `Template ${name}${EXTENSION} cannot be rendered: ${firstLine(error)}`, {
          cause: error,
        })
      }
    },
  }
}

export type TemplateMistake = {
  file: string
  /** 1 is the first; null when the mistake has no place in the file */
  line: number | null
  column: number | null
  message: string
}

/** Parses every template, overrides included, and lists those that are broken. Values are not needed for it. */
export function checkTemplates(root: string, overrides?: string): TemplateMistake[] {
  const mistakes: TemplateMistake[] = []
  for (const folder of overrides === undefined ? [root] : [root, overrides]) {
    if (!existsSync(folder)) {
      mistakes.push({ file: folder, line: null, column: null, message: 'There is no such folder.' })
      continue
    }
    for (const path of templatesIn(folder)) mistakes.push(...checkFile({ root, overrides }, folder, path, overrides))
  }
  return mistakes
}

function checkFile(options: TemplateOptions, folder: string, path: string, overrides?: string): TemplateMistake[] {
  const file = join(folder, path)
  const top = path.split(sep)[0] ?? ''
  if (folder === overrides && !(top in FORMATS) && top !== 'shared')
    return [{ file, line: null, column: null, message: `No destination uses the folder \`${top}\`.` }]
  const engine = createEngine(options, FORMATS[top] ?? 'plain')
  const source = readFileSync(file, 'utf8')
  try {
    // Liquid looks partials up when it renders; the analysis follows them now, so that a wrong name shows up here.
    engine.analyzeSync(engine.parse(source, file))
    return []
  } catch (error) {
    // A missing partial comes without a place: find its name.
    const missing = /Failed to lookup "([^"]+)"/.exec(messageOf(error))?.[1]
    if (missing !== undefined) {
      const at = source.split('\n').findIndex((text) => text.includes(missing))
      return [{ file, line: at < 0 ? null : at + 1, column: null, message: `There is no template \`${missing}\`.` }]
    }
    const token = (error as Partial<LiquidError>).token
    const [line = null, column = null] = token?.getPosition() ?? []
    return [{ file: token?.file ?? file, line, column, message: firstLine(error) }]
  }
}

function createEngine({ root, overrides }: TemplateOptions, format: Format): Liquid {
  const folders = overrides === undefined ? [root] : [overrides, root]
  const engine = new Liquid({
    root: folders,
    partials: folders,
    layouts: folders,
    extname: EXTENSION,
    relativeReference: false,
    cache: true,
    strictFilters: true,
    ownPropertyOnly: true,
    timezoneOffset: 0,
    locale: 'en',
    outputEscape: (value: unknown) => escapeValue(format, value),
    parseLimit: BOUNDS.parseLimit,
    renderLimit: BOUNDS.renderLimit,
    memoryLimit: BOUNDS.memoryLimit,
  })
  // `raw` is Liquid's way round escaping: without it a template that tries is broken, not dangerous.
  delete engine.filters.raw
  for (const [name, filter] of Object.entries(filters(format))) engine.registerFilter(name, filter)
  return engine
}

function templatesIn(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith(EXTENSION))
    .sort()
}

/** Liquid appends the template's text to its messages; the first line says what is wrong. */
function firstLine(error: unknown): string {
  return messageOf(error).split('\n', 1)[0]?.slice(0, 300) ?? ''
}
