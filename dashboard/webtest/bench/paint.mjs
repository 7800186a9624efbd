// Measures how soon a browser that has never been here shows something.
//
//   node bench/paint.mjs [--runs 5] [--devices 20]
//
// Each run starts Chromium with a new profile and opens one page: first contentful paint as the browser counts it, from the
// beginning of the navigation, and the time until the first count of the overview or the name field of the login stands
// there. The hub has --devices devices that send. Programs: bin/, or TELEMETRY_HUB, FIRMWARE_SIM and CHROMIUM.
import { Browser, Hub, until } from '../harness.mjs'
import { machine, median, numbers } from './measure.mjs'

const { runs, devices } = numbers({ runs: 5, devices: 20 })

/** Runs in the page before it: notes when what the page is for stands there. */
function watch(what) {
  const observer = new MutationObserver(() => {
    if (!document.querySelector(what)) return
    globalThis.there = performance.now()
    observer.disconnect()
  })
  observer.observe(document, { subtree: true, childList: true })
}

async function open(hub, user, { path, what }) {
  const browser = await Browser.start()
  try {
    const page = await browser.page()
    if (user) {
      const { name, password } = user
      const answer = await page.request.post(hub.url + '/api/v1/session', { data: { user: name, password } })
      if (!answer.ok()) throw new Error(`logging in: ${answer.status()} ${await answer.text()}`)
    }
    await page.addInitScript(watch, what)
    await page.goto(hub.url + path)
    await page.locator(what).first().waitFor()
    const paint = await until('a paint', () => page.evaluate(() => performance.getEntriesByName('first-contentful-paint')[0]?.startTime))
    return { paint, there: await page.evaluate('there') }
  } finally {
    await browser.stop()
  }
}

const hub = await Hub.start()
let sim
try {
  const user = await hub.user('ada', 'viewer')
  sim = hub.simulate(await hub.fleet('sim', devices), devices)
  console.log(`a new browser profile each time, median of ${runs}; ${machine()}`)
  const places = {
    login: { path: '/login', what: 'input[autocomplete=username]' },
    overview: { path: '/', what: '.tiles .count', user },
  }
  for (const [name, place] of Object.entries(places)) {
    const found = []
    for (let i = 0; i < runs; i++) found.push(await open(hub, place.user, place))
    const all = (key) => found.map((f) => Math.round(f[key]))
    console.log(`${name}: first contentful paint ${median(all('paint'))} ms (${all('paint').join(', ')}), content ${median(all('there'))} ms (${all('there').join(', ')})`)
  }
} finally {
  await sim?.stop()
  await hub.stop()
}
