import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { accessible, fits, openWindow, shows, startBrowser } from './browser.ts'
import { partsOf, postAlerts, startSandbox } from './stage.ts'

/** What is done anywhere shows everywhere within this, ms. */
const IN_STEP = 2_000
const SLOW = 30_000

const browser = await startBrowser()
const skip = browser === null
const cleanup: (() => unknown)[] = []
const url = skip ? '' : (await startSandbox({ after: (end) => void cleanup.push(end as () => unknown) })).url
after(async () => {
  await browser?.close()
  for (const end of cleanup) await end()
})

const LABELS = { alertname: 'TokenBucketDepleted', severity: 'critical', service: 'rating-api', region: 'A' }
const ALERT = { labels: LABELS, annotations: { summary: 'Bucket of A has 4 % left' } }

test('an incident from alert to resolution: every pane and the console are in step within two seconds', {
  skip,
}, async (t) => {
  assert.ok(browser)
  const { page, context } = await openWindow(t, browser, { baseURL: url })
  const home = await context.newPage()
  await Promise.all([page.goto('/sandbox/'), home.goto('/')])
  const { phone, slackMessages, telegramMessages, ready } = partsOf(page)
  await ready()
  await shows(home.getByRole('heading', { level: 1 }), 'Nothing is wrong')
  // From its first live update on the console is in step; nothing is loaded by hand.
  await home.evaluate(
    `addEventListener('htmx:afterSwap', () => { document.body.dataset.updates = Number(document.body.dataset.updates ?? 0) + 1 })`,
  )
  await shows(home.locator('body[data-updates]'), undefined, SLOW)

  const everywhere = async (
    what: string,
    words: { phone: RegExp; chats: RegExp; console: RegExp },
    within = IN_STEP,
  ) => {
    const since = Date.now()
    await Promise.all([
      shows(phone.getByRole('listitem'), words.phone, within),
      shows(slackMessages, words.chats, within),
      shows(telegramMessages, words.chats, within),
      shows(home.locator('#live'), words.console, within),
    ])
    t.diagnostic(`${what}: everywhere after ${Date.now() - since} ms`)
  }

  assert.equal(await postAlerts(url, 'sandbox', [ALERT]), 200)
  await everywhere('an alert', {
    phone: /P1.*rating-api.*Rings/s,
    chats: /P1.*rating-api/s,
    console: /1 incident open.*1 not acknowledged/s,
  })

  await slackMessages.getByRole('button', { name: /^Acknowledge/ }).click()
  await everywhere('acknowledged in Slack', {
    phone: /Acknowledged by/,
    chats: /Acknowledged/,
    console: /all acknowledged.*Acknowledged by Dana/s,
  })
  assert.equal(await phone.getByRole('button', { name: 'Acknowledge' }).count(), 0)

  assert.equal(await postAlerts(url, 'sandbox', [{ ...ALERT, resolved: true }]), 200)
  await everywhere('resolved', { phone: /Resolved by/, chats: /Resolved/, console: /Nothing is wrong/ }, 75_000)
  assert.equal(await slackMessages.count(), 1)
  assert.equal(await telegramMessages.filter({ hasNot: page.locator('.quoted') }).count(), 1)
  assert.ok(Number(await home.locator('body').getAttribute('data-updates')) > 3, 'the console was never loaded anew')
})

test('a failover by clicks: asked in Slack, approved by another person in the console, seen to move', {
  skip,
}, async (t) => {
  assert.ok(browser)
  const { page, context } = await openWindow(t, browser, { baseURL: url })
  const home = await context.newPage()
  await Promise.all([page.goto('/sandbox/'), home.goto('/')])
  const { slack, edge, type, be, ready } = partsOf(page)
  await ready()
  await type('/claw failover A B')
  await shows(slack.locator('article.note'), /Fail over from A to B/)
  await shows(home.getByRole('region', { name: 'To decide' }), /Dana asks: failover A B.*somebody else must agree/s)

  // Robin comes to the console by a link that works once.
  await be('Robin')
  await type('/claw console')
  const link = await shows(slack.locator('article.note.own a[href*="/login/"]'), /Open the console/)
  const address = (await link.getAttribute('href')) ?? ''
  const robin = (
    await openWindow(t, browser, { baseURL: url, viewport: { width: 390, height: 844 } }, [/410 of GET/, /error.*410/])
  ).page
  await robin.goto(address)
  await accessible(robin, 'the page of a one-time link')
  await fits(robin, 'the page of a one-time link')
  await robin.getByRole('button', { name: 'Sign in' }).click()
  const question = await shows(robin.getByRole('region', { name: 'To decide' }), /Dana asks: failover A B/)
  await accessible(robin, 'a question')
  await question.getByRole('button', { name: /^Approve/ }).click()
  await shows(robin.getByRole('main'), /ran for Dana.*has begun/s)

  await shows(home.getByRole('region', { name: 'Under way' }), /Fail over|failover/i)
  const traffic = (region: string) =>
    home.getByRole('article', { name: region, exact: true }).locator('dl > div').filter({ hasText: 'Traffic' })
  await shows(traffic('A'), /Traffic\s*0\b/, SLOW)
  await shows(traffic('B'), /Traffic\s*1\d\d\d\b/, SLOW)
  await shows(edge.getByRole('row', { name: /^State/ }), /no clients/, SLOW)
  await shows(edge.locator('.operations li', { hasText: /failover.*succeeded/s }), undefined, SLOW)
  // It ends by itself once the target has been validated.
  await home.getByRole('region', { name: 'Under way' }).waitFor({ state: 'detached', timeout: 60_000 })
  await home.goto('/audit')
  await shows(home.getByRole('row'), /Dana.*failover A B|failover.*Dana/s)
  await shows(home.getByRole('row'), /Robin.*approve/s)

  await robin.goto(address)
  await shows(robin.getByRole('main'), /does not sign in any more/)
})
