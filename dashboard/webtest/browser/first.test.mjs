// From an empty hub to the first frame of the first device, as somebody does it who has just installed it.
import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import path from 'node:path'
import { after, before, test } from 'node:test'
import { Browser, Hub, picture } from '../harness.mjs'

let hub, browser
before(async () => { [hub, browser] = await Promise.all([Hub.start(), Browser.start()]) })
after(async () => { await browser?.stop(); await hub?.stop() })

test('first user, first device, first frame', async () => {
  const page = await browser.page()
  const link = await hub.setupLink()
  await page.goto(link)
  await page.getByLabel('User name').fill('ada')
  await page.getByLabel('Password', { exact: true }).fill('correct horse battery')
  await page.getByLabel('Password again').fill('correct horse battery')
  await picture(page, 'setup')
  await page.getByRole('button', { name: 'Create administrator' }).click()
  await page.getByRole('heading', { name: 'Overview' }).waitFor()
  assert.ok(!page.url().includes('#'), 'the code stays in the address: ' + page.url())
  await page.getByText('No devices yet').waitFor()
  await picture(page, 'overview-empty')

  await page.getByRole('link', { name: 'Add device' }).first().click()
  await page.getByLabel('Name', { exact: true }).fill('pump-7')
  await page.getByLabel('Labels').fill('site=north')
  await page.getByRole('button', { name: 'Create the device' }).click()
  await page.getByText('Waiting for the first frame').waitFor()
  const token = await page.getByText(/^thd_[\w-]+$/).first().textContent()
  await picture(page, 'add-waiting')

  // A device with a wrong token is turned away, and the page says why.
  const credentials = path.join(hub.dir, 'pump.csv')
  await writeFile(credentials, `device,token\npump-7,${token.slice(0, -3)}AAA\n`)
  const wrong = hub.simulate(credentials, 1, '--profile', 'office')
  await page.getByText('Refused', { exact: true }).first().waitFor()
  await page.getByText(/token is not known/).first().waitFor()
  await picture(page, 'add-refused')
  await wrong.stop()

  await writeFile(credentials, `device,token\npump-7,${token}\n`)
  const right = hub.simulate(credentials, 1, '--profile', 'office')
  await page.getByText('The first frame has arrived').waitFor()
  await picture(page, 'add-arrived')
  await page.getByRole('link', { name: 'Open pump-7' }).click()
  await page.getByRole('heading', { name: 'pump-7' }).waitFor()
  await page.getByText('Live', { exact: true }).first().waitFor()
  await page.locator('.uplot').first().waitFor()
  await picture(page, 'device')
  await right.stop()

  // The link worked once.
  const other = await browser.page()
  await other.goto(link)
  await other.getByLabel('User name').fill('eve')
  await other.getByLabel('Password', { exact: true }).fill('correct horse battery')
  await other.getByLabel('Password again').fill('correct horse battery')
  await other.getByRole('button', { name: 'Create administrator' }).click()
  await other.getByText(/set up already/).waitFor()
  assert.deepEqual(browser.problems, [])
})
