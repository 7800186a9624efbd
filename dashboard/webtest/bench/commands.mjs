// Measures the time from a click that sends a command to its result on the page: browser, hub, device and back.
//
//   node bench/commands.mjs [--commands 1000] [--pages 4]
//
// Each page shows a simulated device and tells it to blink, again and again, as soon as its button takes a click: for a second
// after one, another counts as a part of it. The clicks drift through the ticks of the hub. The time is taken when the word
// "Succeeded" has been drawn. A command is on the hub's disk before it is sent, and its result before it is shown.
// Programs: bin/, or TELEMETRY_HUB, FIRMWARE_SIM and CHROMIUM.
import { Browser, Hub, login } from '../harness.mjs'
import { machine, numbers, quantile } from './measure.mjs'

const { commands, pages } = numbers({ commands: 1000, pages: 4 })

/** Runs in the page: clicks, and returns how many ms each command took. */
async function clicks(commands) {
  const button = () => document.querySelector('form[aria-label=blink] button')
  const newest = () => document.querySelector('.command')
  const drawn = () => new Promise((resolve) => requestAnimationFrame(() => {
    const { port1, port2 } = new MessageChannel()
    port1.onmessage = resolve
    port2.postMessage(null)
  }))
  const succeeded = (before) => new Promise((resolve) => {
    const look = () => newest() !== before && newest()?.querySelector('.badge')?.textContent.includes('Succeeded')
    const observer = new MutationObserver(() => {
      if (!look()) return
      observer.disconnect()
      resolve()
    })
    observer.observe(document.body, { subtree: true, childList: true, characterData: true, attributes: true })
  })
  const took = []
  for (let i = 0; i < commands; i++) {
    const began = performance.now()
    const done = succeeded(newest())
    button().click()
    await done
    await drawn()
    took.push(performance.now() - began)
    while (button().hasAttribute('aria-disabled')) await new Promise((resolve) => setTimeout(resolve, 50 * Math.random()))
  }
  return took
}

const hub = await Hub.start()
const browser = await Browser.start()
let sim
try {
  const user = await hub.user('ada', 'operator')
  const devices = Array.from({ length: pages }, (_, n) => `room-${n + 1}`)
  sim = hub.simulate(await hub.devices(devices), pages, '--profile', 'office')
  const open = await Promise.all(devices.map(async (device) => {
    const page = await browser.page()
    await login(page, hub, user)
    await page.goto(`${hub.url}/devices/${device}`)
    await page.getByRole('form', { name: 'blink' }).waitFor()
    return page
  }))
  console.log(`${commands} commands, ${pages} pages; ${machine()}`)
  const took = (await Promise.all(open.map((page) => page.evaluate(clicks, commands / pages)))).flat()
  console.log(`from the click to the result on the page: p50 ${quantile(took, 0.5).toFixed(0)} ms, p99 ${quantile(took, 0.99).toFixed(0)} ms, at most ${Math.max(...took).toFixed(0)} ms`)
} finally {
  await sim?.stop()
  await browser.stop()
  await hub.stop()
}
