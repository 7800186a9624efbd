// For everybody: narrow screens, the keyboard alone, Korean, and what axe-core finds on every screen in every state.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { Browser, Hub, findings, login, picture, until } from '../harness.mjs'

let hub, browser, user, sim
before(async () => {
  [hub, browser] = await Promise.all([Hub.start(), Browser.start()])
  user = await hub.user('ada', 'admin')
  const credentials = await hub.devices(['room-1', 'room-2', 'room-3', 'never'], '--label', 'site=north')
  sim = hub.simulate(credentials, 3, '--profile', 'mixed')
})
after(async () => { await sim?.stop(); await browser?.stop(); await hub?.stop() })

const screens = ['/', '/devices', '/devices/room-1?w=1m', '/devices/never', '/add', '/commands', '/hub', '/settings']
const file = (path) => path === '/' ? 'overview' : path.slice(1).replace(/[^a-z0-9]+/g, '-')

/** The screen has its heading, and nothing is still loading. */
async function settled(page) {
  await page.locator('main h1').first().waitFor()
  await page.waitForFunction(() => document.querySelector('main [aria-busy=true]:not([hidden])') === null)
}

test('320 px wide: nothing is cut off, nothing scrolls sideways, targets are large enough', async () => {
  const page = await browser.page({ viewport: { width: 320, height: 640 }, hasTouch: true, isMobile: true })
  await login(page, hub, user)
  for (const path of screens) {
    await page.goto(hub.url + path)
    await settled(page)
    const wide = await page.evaluate(() => document.documentElement.scrollWidth)
    assert.ok(wide <= 320, `${path} is ${wide} px wide`)
    const small = await page.evaluate(() => [...document.querySelectorAll('button, input, select, nav a')]
      .filter((e) => e.checkVisibility({ visibilityProperty: true }) && !e.closest('table, label, [aria-hidden=true]'))
      .map((e) => ({ text: e.textContent || e.getAttribute('aria-label') || e.outerHTML, ...e.getBoundingClientRect().toJSON() }))
      .filter((r) => r.width > 0 && (r.height < 24 || r.width < 24) && r.right > 0 && r.bottom > 0).map((r) => `${r.text} ${r.width}×${r.height}`))
    assert.deepEqual(small, [], path)
    await picture(page, `narrow-${file(path)}`)
  }
  assert.deepEqual(browser.problems, [])
})

test('the keyboard alone leads from the login to a device and through its chart', async () => {
  const page = await browser.page()
  await page.goto(hub.url + '/login')
  const focused = () => page.evaluate(() => document.activeElement?.textContent?.trim() || document.activeElement?.getAttribute('aria-label') || document.activeElement?.id || '')
  const tabTo = async (what) => {
    for (let i = 0; i < 60; i++) {
      if (what.test(await focused())) return
      await page.keyboard.press('Tab')
    }
    assert.fail(`Tab never reaches ${what}; it is at ${await focused()}`)
  }
  await page.getByLabel('User name').waitFor()
  await page.keyboard.type(user.name) // the first field has the focus
  await page.keyboard.press('Tab')
  await page.keyboard.type(user.password)
  await page.keyboard.press('Enter')
  await page.getByRole('heading', { name: 'Overview' }).waitFor()
  await page.keyboard.press('g')
  await page.keyboard.press('d')
  await page.getByRole('searchbox').waitFor() // the overview has links to the devices, too
  await page.getByRole('link', { name: 'room-1' }).waitFor()
  await page.keyboard.press('/')
  await page.keyboard.type('room-2')
  await until('the list is filtered', async () => await page.locator('tr[aria-rowindex]').count() === 2)
  await page.keyboard.press('Tab')
  await tabTo(/^room-2/)
  await page.keyboard.press('Enter')
  await page.getByRole('heading', { name: 'room-2' }).waitFor()
  await page.locator('.uplot').first().waitFor()
  await page.keyboard.press('3')
  await page.waitForURL(/w=15m/)
  await page.keyboard.press('p')
  await page.getByText(/^Paused/).first().waitFor()
  await page.keyboard.press('p')
  await page.getByText(/^Paused/).first().waitFor({ state: 'hidden' })
  await page.keyboard.press('?')
  await page.getByRole('dialog').waitFor()
  await page.keyboard.press('Escape')
  await page.getByRole('dialog').waitFor({ state: 'hidden' })
  await tabTo(/^Log out$|Overview/)
  assert.deepEqual(browser.problems, [])
})

test('a Korean browser gets Korean, and can be switched', async () => {
  const page = await browser.page({ locale: 'ko-KR' })
  await login(page, hub, user)
  for (const path of screens) {
    await page.goto(hub.url + path)
    await settled(page)
    assert.equal(await page.locator('html').getAttribute('lang'), 'ko')
    assert.match(await page.locator('main h1').first().innerText() + await page.locator('nav').first().innerText(), /[가-힣]/)
    await picture(page, `korean-${file(path)}`)
  }
  await page.goto(hub.url + '/settings')
  await page.getByRole('combobox').filter({ hasText: 'English' }).first().selectOption('en')
  await page.getByRole('heading', { name: 'Settings' }).waitFor()
  assert.deepEqual(browser.problems, [])
})

for (const colorScheme of ['light', 'dark']) {
  test(`axe-core finds nothing serious, ${colorScheme}`, async () => {
    const page = await browser.page({ colorScheme, reducedMotion: 'reduce' })
    const check = async (what) => assert.deepEqual(await findings(page), [], `${what}, ${colorScheme}`)
    await page.goto(hub.url + '/login')
    await page.getByLabel('User name').waitFor()
    await check('login')
    await page.goto(hub.url + '/setup')
    await settled(page)
    await check('setup')
    await login(page, hub, user)
    for (const path of screens) {
      await page.goto(hub.url + path)
      await settled(page)
      await check(path)
      await picture(page, `${colorScheme}-${file(path)}`)
    }
    await page.keyboard.press('?')
    await page.getByRole('dialog').waitFor()
    await check('help')
    await page.keyboard.press('Escape')
    await page.goto(hub.url + '/devices/room-1?w=1m')
    await page.locator('.uplot').first().waitFor()
    await page.keyboard.press('p')
    await page.getByText(/^Paused/).first().waitFor()
    await check('paused')
    await page.keyboard.press('p')
    await hub.kill()
    await page.getByText(/Not live — reconnecting/).first().waitFor()
    await check('reconnecting, device')
    await picture(page, `${colorScheme}-reconnecting`)
    await hub.run()
    await page.getByText(/Not live — reconnecting/).first().waitFor({ state: 'hidden', timeout: 60_000 })
    assert.deepEqual(browser.problems, [])
  })
}
