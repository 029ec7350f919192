import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { openWindow, shows, startBrowser } from './browser.ts'
import { partsOf, startSandbox } from './stage.ts'

/** How long the scenario may take until all is well again, ms: its cause goes away by itself after two minutes. */
const HEALED = 200_000
const STEP = 45_000

const browser = await startBrowser()

describe('the incident of system.md, in a browser', { concurrency: true, skip: browser === null }, () => {
  test('the two-minute tour: started by its button, paged, acknowledged, repaired, resolved', async (t) => {
    assert.ok(browser)
    t.after(done)
    const { url } = await startSandbox(t)
    const { page } = await openWindow(t, browser, { baseURL: url })
    await page.goto('/sandbox/')
    const { scenario, phone, slack, slackMessages, edge, type } = partsOf(page)
    const tour = page.getByRole('region', { name: 'Guided tour' })
    await tour.getByRole('button', { name: /All steps/ }).click()
    const step = (n: number) => tour.getByRole('listitem').nth(n - 1)
    const ticked = (n: number, timeout = STEP) => shows(step(n).filter({ hasText: '(done)' }), undefined, timeout)
    assert.equal(await tour.getByRole('listitem').count(), 8)
    assert.equal(await tour.locator('li.done').count(), 0)

    await scenario('merge-bug').click()
    await ticked(1)
    const rings = await shows(phone.getByRole('listitem').filter({ hasText: /^PagerDuty.*P1/s }), undefined, STEP)
    await shows(phone, /is ringing/)
    await ticked(2)
    const message = slackMessages.filter({ hasText: /P1.*rating-api/s })
    await shows(message)
    await rings.getByRole('button', { name: 'Acknowledge' }).click()
    await shows(message, /Acknowledged/)
    await shows(phone, /is quiet/)
    await ticked(3)
    await shows(edge.locator('.operations li', { hasText: 'reconcile' }), undefined, STEP)
    await ticked(4)
    await ticked(5)
    await shows(edge.locator('.operations li', { hasText: /revert.*succeeded/s }))
    await type('/claw status')
    await shows(slack.locator('article.note.own'), /rating-api|incident/i)
    await ticked(6)
    await shows(message, /Resolved/, HEALED)
    await shows(phone.getByRole('listitem'), /Resolved by/, HEALED)
    await ticked(7)
    assert.equal(await message.count(), 1, 'one message, edited in place')
    assert.equal(await phone.locator('.push').count(), 1, 'one page')
    await shows(tour, /step 8 of 8/)
  })

  test('policies off: a person heals it from the message in Slack by four clicks', async (t) => {
    assert.ok(browser)
    t.after(done)
    const { url } = await startSandbox(t)
    const { page } = await openWindow(t, browser, { baseURL: url })
    await page.goto('/sandbox/')
    const { scenario, phone, slack, slackMessages, edge } = partsOf(page)
    await page.getByRole('button', { name: 'Leave the edge to me' }).click()
    await shows(page.getByRole('button', { name: /let Claw act again/ }))
    await scenario('merge-bug').click()
    const message = slackMessages.filter({ hasText: /P1.*rating-api/s })
    await shows(message, undefined, STEP)
    assert.equal(await edge.locator('.operations li').count(), 0, 'Claw leaves the edge alone')

    let clicks = 0
    const click = async (name: RegExp) => {
      clicks += 1
      await slack.getByRole('button', { name }).last().click()
    }
    await click(/^Acknowledge/)
    await shows(phone, /is quiet/)
    // The button comes with the verdict.
    await click(/^Revert/)
    await shows(slack.getByRole('button', { name: /^(Confirm|Yes)/ }))
    await click(/^(Confirm|Yes)/)
    assert.ok(clicks <= 4)
    const healthy = (row: RegExp, words: RegExp) => shows(edge.getByRole('row', { name: row }), words, STEP)
    await healthy(/^Version/, /1\.8\.2.*1\.8\.2/s)
    await shows(edge.locator('.operations li', { hasText: /reconcile.*succeeded/s }), undefined, STEP)
    await healthy(/^Conflicts/, /^Conflicts\s*\d\/min\s*\d\/min/)
    await shows(message, /Resolved/, HEALED)
    await shows(phone.getByRole('listitem'), /Resolved by/)
    await page.getByRole('button', { name: /All steps/ }).click()
    await shows(page.locator('#steps li').nth(7).filter({ hasText: '(done)' }))
  })
})

let left = 2
/** Ends the browser with the last of the tests. */
async function done(): Promise<void> {
  left -= 1
  if (left === 0) await browser?.close()
}
