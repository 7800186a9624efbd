// The list of devices, measured at many widths: nothing is printed over something else, and nothing is cut off without a sign.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { Browser, Hub, login, picture, until } from '../harness.mjs'

let hub, browser, user, sim
before(async () => {
  [hub, browser] = await Promise.all([Hub.start(), Browser.start()])
  user = await hub.user('ada', 'viewer')
  const ids = ['pump-1', 'pump-2', 'pump-3', 'a-rather-long-name-of-a-device-on-the-second-floor', 'pump-5', 'pump-6', 'never']
  const credentials = await hub.devices(ids, '--label', 'site=north of the river', '--label', 'floor=2', '--kind', 'climate-and-energy')
  sim = hub.simulate(credentials, ids.length - 1, '--profile', 'mixed')
})
after(async () => { await sim?.stop(); await browser?.stop(); await hub?.stop() })

const widths = [320, 360, 390, 414, 480, 540, 600, 640, 641, 700, 768, 800, 840, 841, 900, 960, 1020, 1021, 1100, 1180, 1181, 1280, 1440, 1600]

/** What is wrong with the texts of the table, in words. */
function faults() {
  const found = []
  if (document.documentElement.scrollWidth > innerWidth) found.push(`the page is ${document.documentElement.scrollWidth} px wide`)
  for (const row of document.querySelectorAll('.device-table tr')) {
    const texts = []
    for (const walker = document.createTreeWalker(row, NodeFilter.SHOW_TEXT); walker.nextNode();) {
      const node = walker.currentNode
      const owner = node.parentElement
      if (!node.textContent.trim() || !owner.checkVisibility() || owner.closest('.visually-hidden, thead')?.matches('[style], .visually-hidden')) continue
      const range = document.createRange()
      range.selectNodeContents(node)
      const whole = range.getBoundingClientRect()
      let { left, right, top, bottom } = whole
      let signed = false // by an ellipsis
      for (let e = owner; e && e !== document.body; e = e.parentElement) {
        const style = getComputedStyle(e)
        if (style.overflowX === 'visible') continue
        const box = e.getBoundingClientRect()
        if (style.textOverflow === 'ellipsis' && style.display !== 'flex' && (left < box.left - 1 || right > box.right + 1)) signed = true
        left = Math.max(left, box.left)
        right = Math.min(right, box.right)
        top = Math.max(top, box.top)
        bottom = Math.min(bottom, box.bottom)
      }
      if (right - left < 1 || bottom - top < 1) continue // none of it is seen
      if (!signed && (right - left < whole.width - 1 || bottom - top < whole.height * 0.7)) found.push(`"${node.textContent}" is cut off`)
      texts.push({ text: node.textContent, left, right, top, bottom })
    }
    for (const [i, a] of texts.entries()) {
      for (const b of texts.slice(i + 1)) {
        if (Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1 && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 2) found.push(`"${a.text}" and "${b.text}" overlap`)
      }
    }
    const values = [...row.querySelectorAll('.readings b')]
    const box = row.querySelector('.readings')?.getBoundingClientRect()
    if (values.length > 0 && !values.some((b) => b.getBoundingClientRect().bottom <= box.bottom + 2)) found.push('no reading is seen')
  }
  return found
}

for (const [language, locale] of [['en', 'en-GB'], ['ko', 'ko-KR']]) {
  test(`nothing overlaps and nothing is cut off, 320 to 1,600 px wide, ${language}`, async () => {
    const page = await browser.page({ locale })
    await login(page, hub, user)
    await page.goto(hub.url + '/devices')
    await until('readings of all devices', () => page.evaluate(() => document.querySelectorAll('.readings b').length >= 12))
    const wrong = []
    for (const width of widths) {
      await page.setViewportSize({ width, height: 700 })
      await page.evaluate(() => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(resolve)))))
      for (const fault of await page.evaluate(faults)) wrong.push(`${width} px: ${fault}`)
      if ([320, 641, 768, 1021, 1280].includes(width)) await picture(page, `devices-${language}-${width}`)
    }
    assert.equal(wrong.length, 0, `${wrong.length} faults\n${wrong.slice(0, 20).join('\n')}`)
    assert.deepEqual(browser.problems, [])
  })
}
