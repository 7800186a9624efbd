// Measures the time from a frame's arrival at the hub to its changed text on the page.
//
//   node bench/latency.mjs [--devices 200] [--rate 1.03] [--seconds 60]
//
// Each device sends --rate frames a second; with the default, their times drift through the hub's ticks. The page shows the
// list of devices, then one device, for --seconds each. When the text of a reading changes, the next animation frame is
// awaited and drawn; the time is taken then. The arrival is never later than the real one: in the list it is when the device
// was last seen, which is that of the first frame of the same commit; on the device's page it is the reading's own time,
// when it was sent. Hub and browser have the same clock. Frames that a newer one overtakes within a tick do not count.
// Programs: bin/, or TELEMETRY_HUB, FIRMWARE_SIM and CHROMIUM.
import { readFile } from 'node:fs/promises'
import { Browser, Hub, login, until } from '../harness.mjs'
import { admitFleet, cpu, machine, numbers, percent, quantile, sleep } from './measure.mjs'

const { devices, rate, seconds } = numbers({ devices: 200, rate: 1.03, seconds: 60 })
const settle = 5_000 // ms from the page's first reading to the first that counts

/** Runs in the page: notes how old a reading is once its text has been drawn. */
function watch({ text, holder, moment }) {
  const ages = globalThis.ages = []
  const drawn = new MessageChannel()
  let waiting = []
  drawn.port1.onmessage = () => {
    const now = Date.now()
    for (const at of waiting) ages.push(now - at)
    waiting = []
  }
  new MutationObserver((changes) => {
    const moments = new Map()
    for (const change of changes) {
      const changed = change.target instanceof Element ? change.target : change.target.parentElement
      if (!changed?.matches(text)) continue
      const place = changed.closest(holder)
      const at = Number(place?.querySelector(moment)?.dataset.moment)
      if (at) moments.set(place, at)
    }
    if (moments.size === 0) return
    requestAnimationFrame(() => {
      waiting.push(...moments.values())
      drawn.port2.postMessage(null)
    })
  }).observe(document.getElementById('screen'), { subtree: true, childList: true, characterData: true })
}

const pages = {
  'list of devices': { path: '/devices', text: '.col-readings b', holder: 'tr', moment: '.col-seen time' },
  'one device': { path: '/devices/', text: '.metric-value', holder: '.metrics', moment: 'time' },
}

admitFleet()
const hub = await Hub.start()
const browser = await Browser.start()
let sim
try {
  const user = await hub.user('ada', 'viewer')
  const credentials = await hub.fleet('sim', devices)
  const [, id] = /^device,token\n([^,]+),/.exec(await readFile(credentials, 'utf8'))
  pages['one device'].path += id
  sim = hub.simulate(credentials, devices, '--profile', 'meter', '--rate', String(rate))
  const page = await browser.page()
  await login(page, hub, user)
  await until('all devices are live', async () => {
    const response = await page.request.get(hub.url + '/api/v1/hub')
    return (await response.json()).counts.live === devices
  }, 60_000)
  console.log(`${devices} devices, ${rate} frames/s each, ${seconds} s for each page; ${machine()}`)
  for (const [name, place] of Object.entries(pages)) {
    await page.goto(hub.url + place.path)
    await page.locator(place.text).first().waitFor()
    await sleep(settle)
    await page.evaluate(watch, place)
    const before = cpu(hub.child.pid)
    await sleep(seconds * 1000)
    const share = (cpu(hub.child.pid) - before) / seconds
    const ages = await page.evaluate('ages')
    console.log(`${name}: ${ages.length} changes drawn, p50 ${quantile(ages, 0.5)} ms, p99 ${quantile(ages, 0.99)} ms, at most ${Math.max(...ages)} ms; hub at ${percent(share)} of a core`)
  }
} finally {
  await sim?.stop()
  await browser.stop()
  await hub.stop()
}
