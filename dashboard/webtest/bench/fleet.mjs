// Measures what watching a large fleet costs a browser, and the hub.
//
//   node bench/fleet.mjs [--devices 10000] [--rate 0.2] [--minutes 10] [--still 2] [--hard 1]
//
// Simulated devices are connected over TLS and send --rate frames a second each. The page shows the list of devices:
// --still minutes untouched, then --minutes scrolled by most of a screen every two seconds, up and down, then --hard minutes
// turned as fast as a wheel can. For each: bytes a second to the browser (payloads of the WebSocket, bodies and headers of
// HTTP; the most in any ten seconds), CPU of the page's process and of that the main thread, as the browser counts them, and
// the hub's CPU and memory. JavaScript's heap is measured every minute after a forced collection, whose cost is left out.
//
// 10,000 devices need `ulimit -n` above 10,100. Programs: bin/, or TELEMETRY_HUB, FIRMWARE_SIM and CHROMIUM.
import { Browser, Hub, login, until } from '../harness.mjs'
import { admitFleet, cpu, machine, memory, numbers, percent, sleep } from './measure.mjs'

const { devices, rate, minutes, still, hard } = numbers({ devices: 10_000, rate: 0.2, minutes: 10, still: 2, hard: 1 })
const stretch = 60_000 // ms between two measurements of the heap
const mib = (bytes) => (bytes / (1 << 20)).toFixed(2) + ' MiB'
const kb = (bytes) => (bytes / 1000).toFixed(1) + ' kB/s'

/** Counts what the browser receives. */
class Traffic {
  socket = 0
  http = 0
  /** @type {number[]} bytes by second */
  seconds = []

  async watch(cdp) {
    cdp.on('Network.webSocketFrameReceived', ({ response }) => this.add('socket', Buffer.byteLength(response.payloadData)))
    cdp.on('Network.loadingFinished', ({ encodedDataLength }) => this.add('http', encodedDataLength))
    await cdp.send('Network.enable')
  }

  add(kind, bytes) {
    const second = Math.floor(Date.now() / 1000)
    this[kind] += bytes
    this.seconds[second] = (this.seconds[second] ?? 0) + bytes
  }

  /** The most bytes a second over ten seconds since a moment. */
  most(since) {
    let most = 0
    for (let s = Math.ceil(since / 1000); s + 10 <= Date.now() / 1000; s++) {
      let sum = 0
      for (let i = s; i < s + 10; i++) sum += this.seconds[i] ?? 0
      most = Math.max(most, sum / 10)
    }
    return most
  }
}

/** What the page has used up to now. */
async function used(at) {
  const { processInfo } = await at.system.send('SystemInfo.getProcessInfo')
  const { metrics } = await at.cdp.send('Performance.getMetrics')
  const sum = (type) => processInfo.filter((p) => p.type === type).reduce((total, p) => total + p.cpuTime, 0)
  return {
    time: Date.now() / 1000, page: sum('renderer'), drawing: sum('GPU'), main: metrics.find((m) => m.name === 'TaskDuration').value,
    hub: cpu(at.hub.child.pid), socket: at.traffic.socket, http: at.traffic.http,
  }
}

async function heap(cdp) {
  await cdp.send('HeapProfiler.collectGarbage')
  const { metrics } = await cdp.send('Performance.getMetrics')
  const of = (name) => metrics.find((m) => m.name === name).value
  return { bytes: of('JSHeapUsedSize'), nodes: of('Nodes'), listeners: of('JSEventListeners') }
}

/** Does something to the page for a time and prints what that cost. */
async function phase(at, name, length, touch) {
  if (!(length > 0)) return
  const began = Date.now()
  const spent = {}
  const heaps = [await heap(at.cdp)]
  for (let left = length * 60_000; left > 0; left -= stretch) {
    const before = await used(at)
    const end = Date.now() + Math.min(stretch, left)
    while (Date.now() < end) await touch(end)
    const after = await used(at)
    for (const key of Object.keys(after)) spent[key] = (spent[key] ?? 0) + after[key] - before[key]
    heaps.push(await heap(at.cdp))
  }
  const share = (key) => percent(spent[key] / spent.time)
  const { now, peak } = memory(at.hub.child.pid)
  const last = heaps.at(-1)
  console.log(`${name}, ${length} min
  to the browser  ${kb((spent.socket + spent.http) / spent.time)} (WebSocket ${kb(spent.socket / spent.time)}), at most ${kb(at.traffic.most(began))} in ten seconds
  page            ${share('page')} of a core, of that the main thread ${share('main')}; drawing in the browser's GPU process ${share('drawing')}
  heap            ${heaps.map((h) => mib(h.bytes)).join(', ')}; ${last.nodes} nodes, ${last.listeners} listeners
  hub             ${share('hub')} of a core, ${now.toFixed(0)} MiB resident, ${peak.toFixed(0)} MiB at most`)
}

const rest = (end) => sleep(Math.max(0, end - Date.now()))

/** Turns the wheel by so many pixels at a time; the direction changes now and then. */
function wheel(page, pixels, every, turn) {
  let turns = 0
  return async () => {
    const due = Date.now() + every
    await page.mouse.wheel(0, Math.floor(turns++ / turn) % 2 === 0 ? pixels : -pixels)
    await rest(due)
  }
}

admitFleet()
const hub = await Hub.start()
const browser = await Browser.start()
let sim
try {
  const user = await hub.user('ada', 'viewer')
  sim = hub.simulate(await hub.fleet('sim', devices), devices, '--profile', 'office', '--rate', String(rate))
  const page = await browser.page()
  await login(page, hub, user)
  await page.goto(hub.url + '/devices')
  const state = async () => (await page.request.get(hub.url + '/api/v1/hub')).json()
  let connected = 0
  await until('the devices send', async () => {
    const { live, late, stale, total } = (await state()).counts
    connected = live + late + stale
    return connected === total
  }, 60_000 + devices * 20).catch(() => { console.log(`only ${connected} of ${devices} devices are connected`) })
  await page.locator('.col-readings b').first().waitFor()
  await page.mouse.move(600, 500)
  await sleep(10_000)

  const cdp = await page.context().newCDPSession(page)
  await cdp.send('Performance.enable')
  await cdp.send('HeapProfiler.enable')
  const traffic = new Traffic()
  await traffic.watch(cdp)
  const at = { hub, cdp, traffic, system: await browser.chromium.newBrowserCDPSession() }
  const { ingest } = await state()
  console.log(`${connected} devices connected, ${ingest.frames_per_s.toFixed(0)} frames/s, a window of 1280 × 800; ${machine()}`)
  await phase(at, 'standing still', still, rest)
  await phase(at, 'scrolled', minutes, wheel(page, 600, 2000, 30))
  await phase(at, 'scrolled hard', hard, wheel(page, 800, 100, 100))
} finally {
  await sim?.stop()
  await browser.stop()
  await hub.stop()
}
