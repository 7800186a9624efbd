// Who may see and do what, and what happens when a session ends.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { Browser, Hub, login, picture } from '../harness.mjs'

let hub, browser
before(async () => { [hub, browser] = await Promise.all([Hub.start(), Browser.start()]) })
after(async () => { await browser?.stop(); await hub?.stop() })

test('a session that is revoked asks to log in again, and keeps the page', async () => {
  const ada = await hub.user('ada', 'admin')
  await hub.devices(['pump-7'])
  const page = await browser.page()
  await login(page, hub, ada)
  await page.goto(hub.url + '/devices?q=pump')
  await page.getByRole('link', { name: 'pump-7' }).first().waitFor()
  await hub.setPassword('ada', 'another horse entirely')
  const dialog = page.getByRole('dialog')
  await dialog.getByText('Your session has ended').waitFor()
  await picture(page, 'session-ended')
  await dialog.getByLabel('Password').fill('another horse entirely')
  await page.keyboard.press('Enter')
  await dialog.waitFor({ state: 'hidden' })
  assert.match(page.url(), /\/devices\?q=pump/)
  await page.getByText('Live', { exact: true }).first().waitFor()
  assert.deepEqual(browser.problems, [])
})

test('a wrong password is refused; a viewer can change nothing', async () => {
  const vic = await hub.user('vic', 'viewer')
  const page = await browser.page()
  await page.goto(hub.url + '/devices')
  await page.getByLabel('User name').fill('vic')
  await page.getByLabel('Password').fill('not the password')
  await page.keyboard.press('Enter')
  await page.getByText('User name or password is wrong').waitFor()
  await login(page, hub, vic)
  await page.goto(hub.url + '/add')
  await page.getByText('Only administrators can add devices').waitFor()
  const status = await page.evaluate(async () => (await fetch('/api/v1/devices', {
    method: 'POST', headers: { 'Content-Type': 'application/json' }, body: '{"id":"sneaked-in"}',
  })).status)
  assert.equal(status, 403)
  assert.deepEqual(browser.problems, [])
})
