// Ten thousand devices in the list.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { Browser, Hub, login, picture, until } from '../harness.mjs'

const count = 10_000
const id = (n) => 'sim-' + String(n).padStart(5, '0')
let hub, browser, user, sim
before(async () => {
  [hub, browser] = await Promise.all([Hub.start(), Browser.start()])
  user = await hub.user('ada', 'viewer')
  const credentials = await hub.fleet('sim', count)
  sim = hub.simulate(credentials, 20, '--profile', 'office')
})
after(async () => { await sim?.stop(); await browser?.stop(); await hub?.stop() })

test('ten thousand devices are listed, scrolled, searched and sorted', async () => {
  const page = await browser.page()
  await login(page, hub, user)
  await page.goto(hub.url + '/devices')
  const table = page.getByRole('table').first()
  await until('the table knows how many rows it has', async () => Number(await table.getAttribute('aria-rowcount')) >= count)
  assert.ok(await page.getByRole('row').count() < 200, 'every row is in the document')
  const shown = (name) => page.getByRole('link', { name, exact: true })
  await shown(id(1)).waitFor()
  await picture(page, 'ten-thousand')

  await page.mouse.move(600, 500)
  await page.mouse.wheel(0, 600)
  await page.waitForFunction(() => scrollY > 0)
  const scrolled = await page.evaluate(async () => {
    for (let i = 0; i < 60; i++) await new Promise(requestAnimationFrame)
    return scrollY
  })
  assert.equal(scrolled, 600, 'the list scrolls by itself')

  await page.evaluate(() => {
    const scroller = [...document.querySelectorAll('*')].find((e) => e.scrollHeight > 100_000 && e.clientHeight < 2000 && getComputedStyle(e).overflowY !== 'visible') ?? document.scrollingElement
    scroller.scrollTo({ top: scroller.scrollHeight })
  })
  await shown(id(count)).waitFor()
  const last = await page.getByRole('row').filter({ hasText: id(count) }).first().getAttribute('aria-rowindex')
  assert.ok(Number(last) >= count, `the last row has the index ${last}`)
  await picture(page, 'ten-thousand-end')

  await page.keyboard.press('/')
  await page.keyboard.type('00042')
  await shown(id(42)).waitFor()
  await until('only what matches is left', async () => await page.getByRole('row').count() <= 3)
  assert.match(page.url(), /q=00042/)

  await page.goto(hub.url + '/devices?state=live')
  await shown(id(20)).waitFor()
  await until('only what is live is listed', async () => Number(await page.getByRole('table').first().getAttribute('aria-rowcount')) <= 21)
  assert.deepEqual(browser.problems, [])
})
