import { mkdirSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { Browser, Page } from 'playwright-core'
import { start } from '../src/sandbox/real/process.ts'
import { shows, startBrowser } from '../test/browser/browser.ts'
import { partsOf } from '../test/browser/stage.ts'

// The pictures of README.md, from a sandbox in which a region dies and then the merge bug strikes: `npm run screenshots`, some four
// minutes. Needs chromium and a font with emoji (Debian: apt-get install chromium fonts-noto-color-emoji).

const FOLDER = fileURLToPath(new URL('../docs/images/', import.meta.url))
const MAIN = fileURLToPath(new URL('../src/main.ts', import.meta.url))
/** A README is loaded by many; bytes. */
const MAX_BYTES = 150_000
const QUALITY = 75
/** Longer than any scenario takes, ms. */
const LONG = 180_000

const LAPTOP = { width: 1280, height: 860 }
const POSTER = { width: 1440, height: 900 }
const PHONE = { width: 390, height: 844 }

async function open(browser: Browser, url: string, path: string, viewport = LAPTOP, dark = false): Promise<Page> {
  const page = await browser.newPage({ baseURL: url, viewport, colorScheme: dark ? 'dark' : 'light' })
  await page.goto(path)
  return page
}

/** Chromium writes WebP itself: a third of a PNG, and letters stay sharp. */
async function take(page: Page, name: string, height?: number): Promise<void> {
  const size = page.viewportSize() ?? LAPTOP
  if (height !== undefined) await page.setViewportSize({ width: size.width, height })
  const chromium = await page.context().newCDPSession(page)
  const { data } = await chromium.send('Page.captureScreenshot', { format: 'webp', quality: QUALITY })
  const picture = Buffer.from(data, 'base64')
  if (picture.length > MAX_BYTES) throw new Error(`${name} has ${picture.length} bytes; ${MAX_BYTES} are allowed.`)
  writeFileSync(`${FOLDER}${name}.webp`, picture)
  console.log(`docs/images/${name}.webp: ${Math.round(picture.length / 1000)} kB`)
}

async function main(): Promise<number> {
  const browser = await startBrowser()
  if (browser === null) return 1
  const claw = start('claw', process.execPath, [MAIN, 'sandbox', '--port', '0'])
  try {
    mkdirSync(FOLDER, { recursive: true })
    const [url] = await claw.says(/http:\/\/127\.0\.0\.1:\d+/, 20_000)
    const sandbox = await open(browser, url, '/sandbox/', POSTER)
    const { scenario, phone, slackMessages, edge, ready } = partsOf(sandbox)
    await ready()

    // Something for the charts and for "recently resolved": empty buckets, a region that does not answer, and back.
    await scenario('region-outage').click()
    await shows(phone.getByRole('listitem'), /P1/, LONG)
    await shows(phone.locator('.push.resolved'), undefined, LONG)
    await shows(sandbox.locator('#running'), /Nothing is wrong/, LONG)
    await sandbox.getByRole('button', { name: 'Reset the world' }).click()

    await scenario('merge-bug').click()
    const message = slackMessages.filter({ hasText: /P1.*Verdict/s })
    await shows(message, undefined, LONG)
    await shows(phone, /is ringing/)
    // The messages themselves, as one would look at them, not the ends of their threads.
    for (const pane of ['#messages', '#chat']) await sandbox.evaluate(`document.querySelector('${pane}').scrollTop = 0`)
    await take(sandbox, 'sandbox')

    const home = await open(browser, url, '/')
    await shows(home.getByRole('region', { name: 'Under way' }))
    await shows(home.getByRole('article'), /Told [23] of 3/, LONG)
    await take(home, 'home')
    const pocket = await open(browser, url, '/', PHONE, true)
    await take(pocket, 'phone')

    await shows(edge.locator('.operations li', { hasText: 'revert' }), undefined, LONG)
    const incident = await open(browser, url, '/', LAPTOP, true)
    await incident.getByRole('article').getByRole('link').first().click()
    await shows(incident.getByRole('region', { name: 'Operations' }), /Revert.*Under way/s)
    await take(incident, 'incident', 1200)

    await shows(edge.locator('.operations li', { hasText: /capacity.*succeeded/s }), undefined, LONG)
    const charts = await open(browser, url, '/charts?span=15m')
    await shows(charts.locator('#chart-lag canvas'))
    await take(charts, 'charts', 1340)
    return 0
  } finally {
    await browser.close()
    await claw.stop()
  }
}

process.exitCode = await main()
