import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { pino } from 'pino'
import type { Page } from 'playwright-core'
import { createPages } from '../../src/pages.ts'
import { startApp } from '../support/app.ts'
import { accessible, fits, openWindow, shows, startBrowser } from './browser.ts'
import { partsOf, postAlerts, startSandbox } from './stage.ts'

const browser = await startBrowser()
const skip = browser === null
const cleanup: (() => unknown)[] = []
const url = skip ? '' : (await startSandbox({ after: (end) => void cleanup.push(end as () => unknown) })).url
after(async () => {
  await browser?.close()
  for (const end of cleanup) await end()
})

const LABELS = { alertname: 'TokenBucketDepleted', severity: 'critical', service: 'rating-api', region: 'A' }
const PHONE = { width: 390, height: 844 }
const PAGES = [
  '/',
  '/incidents/1',
  '/charts',
  '/deliveries',
  '/deliveries?state=delivered',
  '/silences',
  '/audit',
  '/config',
]

/** Opens a page: it answers, axe finds nothing serious, and nothing is wider than the window. */
async function looksRight(page: Page, path: string, what: string): Promise<void> {
  const answer = await page.goto(path)
  assert.equal(answer?.status(), 200, path)
  await shows(page.getByRole('main'))
  // Claw has looked at the edge, and the charts, which look every 10 s, have two points to draw.
  if (path === '/') await shows(page.getByRole('article', { name: 'A', exact: true }))
  if (path === '/charts') await shows(page.locator('#chart-lag canvas'), undefined, 30_000)
  await accessible(page, `${path} ${what}`)
  await fits(page, `${path} ${what}`)
}

if (!skip) {
  // Something to show on every page.
  await postAlerts(url, 'sandbox', [{ labels: LABELS, annotations: { summary: 'Bucket of A has 4 % left' } }])
}

for (const colorScheme of ['light', 'dark'] as const) {
  for (const viewport of [{ width: 1280, height: 900 }, PHONE]) {
    const what = `${colorScheme}, ${viewport.width} wide`
    test(`every page, ${what}: axe finds nothing serious, nothing scrolls sideways`, { skip }, async (t) => {
      assert.ok(browser)
      const { page } = await openWindow(t, browser, { baseURL: url, colorScheme, viewport })
      for (const path of PAGES) await looksRight(page, path, what)
      const ground = await page.evaluate('getComputedStyle(document.body).backgroundColor')
      const [red = 0] = /\d+/.exec(String(ground)) ?? []
      assert.equal(Number(red) < 100, colorScheme === 'dark', `the ground of a ${colorScheme} page is ${ground}`)
      await page.goto('/incidents/1')
      await page
        .getByRole('button', { name: /^Resolve/ })
        .first()
        .click()
      await shows(page.getByRole('main'), /1 alert|Confirm|Run this/)
      await accessible(page, `a question, ${what}`)
      await fits(page, `a question, ${what}`)
      await page
        .getByRole('button', { name: /^(Cancel|No)/ })
        .first()
        .click()
      await shows(page.getByRole('heading', { level: 1 }))
      // The sandbox's own page, with something in each of its panes.
      await page.goto('/sandbox/')
      await partsOf(page).ready()
      await shows(page.locator('#messages article'))
      await accessible(page, `/sandbox/ ${what}`)
      await fits(page, `/sandbox/ ${what}`)
    })
  }
}

test('JavaScript off: everything can be read, and forms work', { skip }, async (t) => {
  assert.ok(browser)
  const { page } = await openWindow(t, browser, { baseURL: url, javaScriptEnabled: false })
  for (const path of PAGES) {
    const answer = await page.goto(path)
    assert.equal(answer?.status(), 200, path)
    await shows(page.getByRole('main').getByRole('heading', { level: 1 }))
  }
  await page.goto('/charts')
  await shows(page.locator('noscript p'))
  await page.locator('summary').first().click()
  await shows(page.getByRole('table').first())
  await page.goto('/config')
  await page.getByLabel(/^Labels of the alert/).fill('severity="critical", service="rating-api", region="A"')
  await page.getByRole('button', { name: 'Tell me' }).click()
  await shows(page.getByRole('status'), /P1.*critical.*PagerDuty/is)
  await page.goto('/incidents/1')
  await page.getByLabel('A note for the timeline').fill('written without a script')
  await page.getByRole('button', { name: 'Write it down' }).click()
  // What changes something may be asked about first.
  const sure = page.getByRole('button', { name: 'Yes, run it' })
  if ((await sure.count()) > 0) await sure.click()
  await page.goto('/incidents/1')
  await shows(page.getByRole('region', { name: 'Timeline' }).getByRole('listitem'), /written without a script/)
  await page.goto('/sandbox/')
  assert.match(await page.locator('noscript').innerText(), /needs JavaScript/)
})

test('hostile labels: their text is shown, nothing of them runs', { skip }, async (t) => {
  assert.ok(browser)
  const bad = '"><script>alert(1)</script><img src=x onerror=alert(2)>'
  const marker = 'javascript:alert(3)//<svg/onload=alert(4)>'
  const alert = {
    labels: {
      ...LABELS,
      alertname: `Evil ${bad}`,
      service: `pay<b>ments</b>`,
      instance: `{{ incident.id }}{% raw %}${marker}`,
      region: '</textarea><script>alert(5)</script>',
    },
    annotations: {
      summary: `${bad} *bold* <@U0DANA> <!channel>`,
      runbook_url: 'javascript:alert(6)',
      dashboard: 'data:text/html,<script>alert(7)</script>',
    },
  }
  const { page, context } = await openWindow(t, browser, { baseURL: url })
  await page.goto('/')
  await shows(page.locator('#liveness[data-state=live]'))
  assert.equal(await postAlerts(url, 'sandbox', [alert]), 200)
  // It arrives over the live update, and by loading the page.
  const card = await shows(page.getByRole('article').filter({ hasText: 'pay<b>ments</b>' }))
  await card.getByRole('link').first().click()
  await shows(page.getByRole('main'), /<img src=x onerror=alert\(2\)>/)
  await page.locator('summary', { hasText: 'Labels' }).first().click()
  await shows(page.getByText('javascript:alert(3)//<svg/onload=alert(4)>'))
  const addresses = await page.evaluate('[...document.links].map((one) => one.href)')
  for (const address of addresses as string[]) assert.match(address, /^https?:/)
  for (const path of ['/deliveries?state=delivered', '/audit', '/config', '/sandbox/']) await page.goto(path)
  await shows(page.locator('#messages article'), /pay.*ments|Evil/)
  await shows(page.locator('#chat article'), /pay.*ments|Evil/)
  for (const one of context.pages()) {
    assert.equal(await one.locator('img, script:not([src]), iframe, svg[onload], [onerror]').count(), 0, one.url())
  }
})

test('by keys alone: skip link, every action in order, and one sees where one is', { skip }, async (t) => {
  assert.ok(browser)
  const { page } = await openWindow(t, browser, { baseURL: url, reducedMotion: 'reduce' })
  await page.goto('/')
  const seen: string[] = []
  for (let n = 0; n < 60; n++) {
    await page.keyboard.press('Tab')
    const at = (await page.evaluate(`(() => {
      const one = document.activeElement
      if (!one || one === document.body) return null
      const style = getComputedStyle(one)
      const box = one.getBoundingClientRect()
      return { text: one.textContent.trim(), outline: style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2, inside: box.width > 0 && box.bottom > 0 && box.top < innerHeight }
    })()`)) as { text: string; outline: boolean; inside: boolean } | null
    if (at === null) break
    assert.ok(at.outline, `the focus on "${at.text}" can be seen`)
    assert.ok(at.inside, `"${at.text}" is on the screen when it has the focus`)
    seen.push(at.text)
  }
  const order = [
    /^Skip/,
    /^Now$/,
    /^Configuration$/,
    /^Acknowledge/,
    /^Silence \d/,
    /^Resolve/,
    /^Merge bug|^Traffic spike/i,
  ]
  const places = order.map((pattern) => seen.findIndex((text) => pattern.test(text)))
  assert.ok(!places.includes(-1), `${order} in ${seen.join(', ')}`)
  assert.deepEqual(
    places,
    [...places].sort((a, b) => a - b),
    seen.join(', '),
  )

  // And pressed: the answer stands where one was.
  await page.goto('/incidents/1')
  const acknowledge = page.getByRole('button', { name: /^Acknowledge/ })
  await acknowledge.focus()
  await page.keyboard.press('Enter')
  await shows(page.getByRole('status'), /You have incident 1/)
  await shows(page.getByText('Acknowledged by Dana').first())

  await page.goto('/sandbox/')
  await partsOf(page).ready()
  const text = page.getByRole('textbox', { name: 'Message in Slack' })
  await text.focus()
  await page.keyboard.type('/claw help')
  await page.keyboard.press('Enter')
  await shows(page.locator('article.note.own'), /help/)
})

test('sign-in by token: the form, a wrong token, the page that was wanted; signed out again', { skip }, async (t) => {
  assert.ok(browser)
  const yaml = 'api: { tokens: { Dana: dana-token } }\nreceivers: [{ name: default }]\nroute: { receiver: default }\n'
  const log = pino({ level: 'silent' })
  const app = await startApp(t, yaml, { pages: (parts, run) => createPages(parts, run, { sandbox: null, log }) })
  for (const colorScheme of ['light', 'dark'] as const) {
    const expected = [/401 of/, /error.*401/]
    const { page } = await openWindow(t, browser, { baseURL: app.url, colorScheme, viewport: PHONE }, expected)
    await page.goto('/silences')
    await shows(page.getByRole('heading', { level: 1 }), 'Sign in')
    await accessible(page, `sign-in, ${colorScheme}`)
    await fits(page, 'sign-in')
    const box = page.getByLabel(/API token/)
    await box.fill('a-guess')
    await box.press('Enter')
    await shows(page.getByRole('alert'), /not one of the tokens/)
    await accessible(page, `refused, ${colorScheme}`)
    await page.getByLabel(/API token/).fill('dana-token')
    await page.getByRole('button', { name: 'Sign in' }).click()
    await shows(page.getByRole('heading', { level: 1 }), /Silences/)
    assert.equal(new URL(page.url()).pathname, '/silences')
    const [cookie] = await page.context().cookies()
    assert.deepEqual([cookie?.httpOnly, cookie?.sameSite], [true, 'Lax'])
    assert.equal(await page.evaluate('document.cookie'), '')
    for (const path of ['/', '/charts', '/deliveries', '/audit', '/config']) {
      await page.goto(path)
      await shows(page.getByRole('heading', { level: 1 }))
      await accessible(page, `${path} with nothing to show, ${colorScheme}`)
      await fits(page, `${path} with nothing to show`)
    }
    await page.getByRole('button', { name: 'Sign out' }).click()
    await shows(page.getByRole('heading', { level: 1 }), 'Sign in')
  }
})
