// What charts say: times and values as they are, and nothing about what is not known yet.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { Browser, Hub, login, picture, until } from '../harness.mjs'

let hub, browser, user
let sims = []
before(async () => {
  [hub, browser] = await Promise.all([Hub.start(), Browser.start()])
  user = await hub.user('ada', 'viewer')
  const room = await hub.devices(['room-1'])
  const meters = await hub.devices(['meter-1', 'meter-2', 'meter-3'])
  sims = [hub.simulate(room, 1, '--profile', 'office'), hub.simulate(meters, 3, '--profile', 'meter')]
})
after(async () => { for (const sim of sims) await sim.stop(); await browser?.stop(); await hub?.stop() })

/** Remembers what each canvas was given to write since it was last cleared, and when. */
function watchWriting() {
  const { prototype } = CanvasRenderingContext2D
  const { fillText, clearRect } = prototype
  prototype.clearRect = function (...args) {
    this.canvas.written = []
    return Reflect.apply(clearRect, this, args)
  }
  prototype.fillText = function (text, x, y) {
    ;(this.canvas.written ??= []).push({ text, x: x + this.getTransform().e, at: Date.now() })
    return Reflect.apply(fillText, this, [text, x, y])
  }
}

/** The labels of time on each chart: how long before the right end they stand, and how long before the present they mean. */
function timeLabels(span) {
  return [...document.querySelectorAll('.uplot')].map((plot) => {
    const canvas = plot.querySelector('canvas')
    const over = plot.querySelector('.u-over')
    const left = parseFloat(over.style.left) * devicePixelRatio
    const width = parseFloat(over.style.width) * devicePixelRatio
    return canvas.written.filter(({ text }) => /^\d\d:\d\d(:\d\d)?$/.test(text)).map(({ text, x, at }) => {
      const meant = new Date(at)
      meant.setHours(...text.split(':').map(Number), ...(text.length === 5 ? [0] : []))
      meant.setMilliseconds(0)
      const stands = at - (1 - (x - left) / width) * span
      const off = (meant - stands + 36 * 3_600_000) % 86_400_000 - 12 * 3_600_000 // a label of yesterday has the time only
      return { text, off, pixel: span / width }
    })
  })
}

test('labels of the time axis stand where their time is, in every live window, and all charts agree', async () => {
  for (const timezoneId of ['Europe/Berlin', 'Asia/Kathmandu']) {
    const page = await browser.page({ timezoneId, viewport: { width: 1017, height: 900 } })
    await page.addInitScript(watchWriting)
    await login(page, hub, user)
    for (const [w, minutes] of [['5m', 5], ['15m', 15], ['1h', 60], ['6h', 360], ['24h', 1440]]) {
      await page.goto(`${hub.url}/devices/room-1?w=${w}`)
      await page.locator('.uplot').nth(1).waitFor()
      const charts = await until(`${w}: two charts with labels`, async () => {
        const all = (await page.evaluate(timeLabels, minutes * 60_000)).filter((labels) => labels.length > 2)
        return all.length > 1 && all
      })
      for (const { text, off, pixel } of charts.flat()) {
        assert.ok(Math.abs(off) < 3 * pixel + 1000, `${timezoneId} ${w}: ${text} is ${off / 1000} s from where it stands`)
      }
      const [first, second] = charts.map((labels) => labels.map((l) => l.text).join(' '))
      assert.equal(first, second, 'two charts of one page')
    }
    await picture(page, `charts-${timezoneId.slice(0, 4)}`)
  }
  assert.deepEqual(browser.problems, [])
})

test('while the history is on its way, nothing is said about it', async () => {
  const page = await browser.page()
  await login(page, hub, user)
  let answer
  const held = new Promise((resolve) => { answer = resolve })
  await page.route('**/readings?*', async (route) => {
    await held
    await route.continue()
  })
  const to = Date.now() - 86_400_000
  await page.goto(`${hub.url}/devices/room-1?from=${to - 3_600_000}&to=${to}`)
  await page.getByText('Loading the history').first().waitFor()
  assert.equal(await page.getByText('No readings in this window').count(), 0)
  answer()
  await page.getByText('No readings in this window').first().waitFor()
  assert.equal(await page.getByText('Loading the history').count(), 0)
})

// The counters of the simulated meters begin somewhere above 2^53: about half of their values are no floats.
test('integers beyond 2^53 are shown as they are stored: live, from the history, and by both ways to the hub', async () => {
  for (const [device, blocked] of [['meter-1', false], ['meter-2', false], ['meter-3', true]]) {
    const page = await browser.page()
    if (blocked) {
      await page.addInitScript(() => { // as a proxy that never answers the upgrade
        globalThis.WebSocket = class extends EventTarget {
          static CONNECTING = 0; static OPEN = 1; static CLOSING = 2; static CLOSED = 3
          readyState = 0; protocol = ''; bufferedAmount = 0
          close() { this.readyState = 3; setTimeout(() => this.onclose?.({ code: 1006, reason: '', wasClean: false })) }
          send() {}
        }
      })
    }
    await login(page, hub, user)
    await page.goto(`${hub.url}/devices/${device}?w=5m&m=energy`)
    if (blocked) await page.getByText('Live by server-sent events').first().waitFor()
    const summary = page.locator('.chart-summary').filter({ hasText: /min 9,0.*max 9,0.*last 9,0/ })
    await summary.waitFor()
    const values = async () => [...(await summary.textContent()).matchAll(/(?:min|max|last) ([\d,]+)/g)].map((m) => m[1])
    const before = await summary.textContent()
    const shown = await values()
    await until('a newer reading comes', async () => await summary.textContent() !== before)
    shown.push(...await values())
    await page.getByText('View as table').first().click()
    const cells = await until('the table has three readings', async () => { // few have come so far
      await page.getByRole('button', { name: 'Refresh the table' }).first().click()
      const texts = await page.locator('.chart-table td.num').allTextContents()
      return texts.length >= 3 && texts
    })
    shown.push(...cells)
    const stored = new Set((await hub.cli('readings', device, '--channel', 'energy', '--format', 'csv')).trim().split('\n').map((line) => line.split(',')[3]))
    assert.deepEqual(shown.map((text) => text.replaceAll(',', '')).filter((text) => !stored.has(text)), [], 'no reading has these values')
    await page.context().close()
  }
  assert.deepEqual(browser.problems, [])
})
