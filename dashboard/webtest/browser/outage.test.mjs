// The page while its hub is gone, and when it has come back; and where a WebSocket can't be had.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { Browser, Hub, login, picture, until } from '../harness.mjs'

let hub, browser, user, sim
before(async () => {
  [hub, browser] = await Promise.all([Hub.start(), Browser.start()])
  user = await hub.user('ada', 'admin')
  sim = hub.simulate(await hub.devices(['room-1', 'room-2']), 2, '--profile', 'office')
})
after(async () => { await sim?.stop(); await browser?.stop(); await hub?.stop() })

test('a killed hub makes the page look stale, and its return fills the gap', async () => {
  const page = await browser.page()
  await login(page, hub, user)
  await page.goto(hub.url + '/devices/room-1?w=1m')
  await page.getByText('Live', { exact: true }).first().waitFor()
  await page.locator('.uplot').first().waitFor()
  const killed = Date.now()
  await hub.kill()
  await page.getByText(/Not live — reconnecting/).first().waitFor()
  const looksStale = Date.now() - killed
  await page.getByText(/Data as of/).first().waitFor()
  assert.ok(looksStale < 3000 + 1000, `the page looked live for ${looksStale} ms after the hub had died`) // a second for a busy machine
  const filter = await page.locator('main').evaluate((main) => getComputedStyle(main).filter)
  assert.notEqual(filter, 'none', 'the data area looks as if it were live')
  await picture(page, 'hub-killed')

  await new Promise((resolve) => setTimeout(resolve, 4000)) // what the devices measure meanwhile is what is to be filled in
  await hub.run()
  await page.getByText(/Live again/).first().waitFor({ timeout: 60_000 })
  await picture(page, 'hub-back')
  await page.getByText(/Not live — reconnecting/).first().waitFor({ state: 'hidden' })
  // Every second has its reading: what was measured while the hub was gone has been sent since, and can be loaded.
  await until('the gap is filled', async () => {
    const { channels, error } = await page.evaluate(async (from) => (await fetch(`/api/v1/devices/room-1/readings?from=${from}&to=${Date.now()}&channel=temperature&points=600`)).json(), killed - 5000)
    assert.equal(error, undefined)
    const times = channels[0]?.t ?? []
    const widest = Math.max(...times.slice(1).map((t, i) => t - times[i]))
    return times.at(-1) > killed + 5000 && widest < 3000
  }, 60_000)
  assert.deepEqual(browser.problems, [])
})

test('without WebSocket the page lives on server-sent events, and says so', async () => {
  const page = await browser.page()
  await page.addInitScript(() => {
    // What a proxy does that does not know the upgrade: it never answers.
    globalThis.WebSocket = class extends EventTarget {
      static CONNECTING = 0; static OPEN = 1; static CLOSING = 2; static CLOSED = 3
      readyState = 0; protocol = ''; bufferedAmount = 0
      close() { this.readyState = 3; setTimeout(() => this.onclose?.({ code: 1006, reason: '', wasClean: false })) }
      send() {}
    }
  })
  await login(page, hub, user)
  await page.goto(hub.url + '/devices/room-2?w=1m')
  await page.getByText('Live by server-sent events').first().waitFor({ timeout: 20_000 })
  const value = page.locator('main').getByText(/\d+\.\d+/).first()
  const before = await page.locator('main').innerText()
  await until('values go on changing', async () => (await page.locator('main').innerText()) !== before)
  assert.ok(await value.isVisible())
  await picture(page, 'server-sent-events')
  assert.deepEqual(browser.problems, [])
})
