import assert from 'node:assert/strict'
import { accessSync, constants, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { delimiter, join } from 'node:path'
import type { TestContext } from 'node:test'
import {
  type Browser,
  type BrowserContext,
  type BrowserContextOptions,
  chromium,
  type Locator,
  type Page,
} from 'playwright-core'

/** How long something may take to show, ms; a limit for the broken case, never a wait. */
export const PATIENCE = 15_000

/** The browser to use: `CHROMIUM`, or Debian's; null where there is none. */
export function findChromium(): string | null {
  const named = process.env.CHROMIUM
  const folders = ['/usr/bin', ...(process.env.PATH ?? '').split(delimiter)]
  for (const path of named ? [named] : folders.map((folder) => join(folder, 'chromium'))) {
    try {
      accessSync(path, constants.X_OK)
      return path
    } catch {
      // the next one
    }
  }
  return null
}

/** Starts the browser; null, and says so loudly, where there is none. */
export async function startBrowser(): Promise<Browser | null> {
  const executablePath = findChromium()
  if (executablePath === null) {
    const why = 'SKIPPED: no chromium found; apt-get install chromium, or set CHROMIUM to its path'
    console.error(`\n${'!'.repeat(why.length)}\n${why}\n${'!'.repeat(why.length)}\n`)
    return null
  }
  // In a container everybody is root, and /dev/shm is small.
  const args = ['--no-sandbox', '--disable-dev-shm-usage', '--disable-gpu']
  return chromium.launch({ executablePath, headless: true, args })
}

/** What a page did that it must not do. */
export type Faults = string[]

/**
 * A window of its own: `faults` collects script errors, refused contents (Content-Security-Policy), dialogs, anything that is asked
 * of another address, and answers of 400 and more. It closes after the test, and the test fails if there were any.
 * @param expected faults that the test brings about itself
 */
export async function openWindow(
  t: Pick<TestContext, 'after'>,
  browser: Browser,
  options: BrowserContextOptions & { baseURL: string },
  expected: readonly RegExp[] = [],
): Promise<{ context: BrowserContext; page: Page; faults: Faults }> {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options })
  context.setDefaultTimeout(PATIENCE)
  const faults: Faults = []
  const add = (fault: string) => {
    if (!expected.some((pattern) => pattern.test(fault))) faults.push(fault)
  }
  context.on('page', (page) => {
    page.on('pageerror', (error) => add(`script error on ${page.url()}: ${error.message}`))
    page.on('console', (message) => {
      if (message.type() === 'error' || message.type() === 'warning')
        add(`${message.type()} on ${page.url()}: ${message.text()}`)
    })
    page.on('dialog', (dialog) => {
      add(`dialog on ${page.url()}: ${dialog.message()}`)
      void dialog.dismiss()
    })
  })
  context.on('request', (request) => {
    const { protocol, origin } = new URL(request.url())
    if (protocol !== 'data:' && origin !== options.baseURL) add(`request to ${request.url()}`)
  })
  context.on('response', (response) => {
    if (response.status() >= 400) add(`${response.status()} of ${response.request().method()} ${response.url()}`)
  })
  // Chromium names refusals on the console too; this also hears of those that a page only reports.
  await context.addInitScript(
    `addEventListener('securitypolicyviolation', (event) => console.error('refused by the Content-Security-Policy: ' + event.violatedDirective + ' ' + event.blockedURI))`,
  )
  const page = await context.newPage()
  t.after(async () => {
    await context.close()
    assert.deepEqual(faults, [], 'nothing ran, failed or was refused on any page')
  })
  return { context, page, faults }
}

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')

type Violation = { id: string; impact: string; help: string; nodes: { target: string[]; failureSummary: string }[] }

/** Fails when axe finds something serious or critical in what the page shows now. */
export async function accessible(page: Page, what: string): Promise<void> {
  await page.evaluate(axe)
  const found = (await page.evaluate(
    `axe.run(document, { resultTypes: ['violations'] }).then(({ violations }) => violations.map(({ id, impact, help, nodes }) => ({ id, impact, help, nodes: nodes.map(({ target, failureSummary }) => ({ target, failureSummary })) })))`,
  )) as Violation[]
  const bad = found
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .map(({ id, impact, help, nodes }) => ({
      rule: `${impact}: ${id}, ${help}`,
      at: nodes.slice(0, 4).map(({ target, failureSummary }) => `${target.join(' ')}: ${failureSummary}`),
    }))
  assert.deepEqual(bad, [], what)
}

/** Waits until the first of a locator's elements shows, with these words if given. */
export async function shows(locator: Locator, words?: string | RegExp, timeout = PATIENCE): Promise<Locator> {
  const found = (words === undefined ? locator : locator.filter({ hasText: words })).first()
  await found.waitFor({ state: 'visible', timeout })
  return found
}

/** Nothing is wider than the window. */
export async function fits(page: Page, what: string): Promise<void> {
  const [wide, window, culprits] = (await page.evaluate(`[
    document.documentElement.scrollWidth,
    document.documentElement.clientWidth,
    [...document.querySelectorAll('body *')].filter((one) => one.getBoundingClientRect().right > document.documentElement.clientWidth + 1).slice(0, 5).map((one) => one.outerHTML.slice(0, 120)),
  ]`)) as [number, number, string[]]
  assert.ok(wide <= window, `${what}: ${wide} px in a window of ${window} px; ${culprits.join('\n')}`)
}
