// Measures whether people who watch disturb the devices.
//
//   node bench/viewers.mjs [--pairs 5] [--devices 1000] [--rate 2] [--seconds 20] [--viewers 200] [--deaf 20]
//
// Runs `firmware-sim bench` in turns without viewers and with them: each subscribes to the hub's state, a window of 50
// devices and the readings of one; --deaf of them never read. All is on this machine, the viewers at the lowest priority in
// a process of their own (bench/crowd.mjs): what they cost the machine besides the hub counts against the devices too.
// Programs: bin/, or TELEMETRY_HUB and FIRMWARE_SIM.
import { execFile, spawn } from 'node:child_process'
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import net from 'node:net'
import os from 'node:os'
import path from 'node:path'
import { createInterface } from 'node:readline'
import { promisify } from 'node:util'
import { programs, until } from '../harness.mjs'
import { machine, median, numbers } from './measure.mjs'

const { pairs, devices, rate, seconds, viewers, deaf } = numbers({ pairs: 5, devices: 1000, rate: 2, seconds: 20, viewers: 200, deaf: 20 })
const run = promisify(execFile)
const perKey = 40 // viewers; the hub lets one account have 50

async function freePort() {
  const server = net.createServer().listen(0, '127.0.0.2')
  await new Promise((resolve) => server.once('listening', resolve))
  const { port } = server.address()
  await new Promise((resolve) => server.close(resolve))
  return port
}

/** A program that is the hub and says where it keeps its data, on a port known beforehand. */
async function marked(dir, port) {
  const file = path.join(dir, 'hub')
  await writeFile(file, `#!/bin/sh
if [ "$1" = serve ]; then
  printf %s "$3" > '${dir}/data-dir'
  exec '${programs.hub}' "$@" --listen 127.0.0.2:${port}
fi
exec '${programs.hub}' "$@"
`)
  await chmod(file, 0o755)
  return file
}

/** Lets viewers in as soon as the hub of a measurement runs. What they see is appended to seen each second. */
async function gather(dir, port, seen) {
  const data = await until('the hub of the measurement', () => readFile(path.join(dir, 'data-dir'), 'utf8').catch(() => ''))
  await until('the hub answers', () => run(programs.hub, ['status', '--data-dir', data]).then(() => true, () => false))
  const keys = []
  for (let n = 0; n * perKey < viewers; n++) {
    keys.push((await run(programs.hub, ['apikey', 'add', 'crowd' + n, '--role', 'viewer', '--data-dir', data])).stdout.trim())
  }
  const device = 'sim-' + '1'.padStart(Math.max(4, String(devices).length), '0')
  const child = spawn(process.execPath, [path.join(import.meta.dirname, 'crowd.mjs'), `wss://127.0.0.2:${port}/v1/live`, device, String(viewers), String(deaf), ...keys],
    { stdio: ['pipe', 'pipe', 'inherit'] })
  createInterface(child.stdout).on('line', (line) => seen.push(JSON.parse(line)))
  return child
}

/** One measurement: of firmware-sim, and what viewers saw during its interval. */
async function bench(watched) {
  const dir = await mkdtemp(path.join(os.tmpdir(), 'telemetry-viewers-'))
  const seen = []
  let crowd
  try {
    const port = await freePort()
    const measuring = run(programs.sim, ['bench', '--hub-binary', await marked(dir, port), '--devices', String(devices), '--rate', String(rate),
      '--duration', seconds + 's', '--json'])
    if (watched) crowd = await gather(dir, port, seen)
    const result = JSON.parse((await measuring).stdout).rounds[0]
    if (!watched) return { result }
    // The hub ended a moment ago; what came after is not to count.
    const last = seen.at(-3)
    const first = seen.at(-3 - seconds)
    if (first?.open !== viewers) throw new Error(`only ${first?.open} viewers were there when the measurement began`)
    const difference = Object.fromEntries(Object.keys(last).map((key) => [key, last[key] - first[key]]))
    return { result, crowd: { ...difference, open: last.open } }
  } finally {
    crowd?.stdin.end()
    await rm(dir, { recursive: true, force: true })
  }
}

console.log(`${devices} devices at ${rate} frames/s, ${viewers} viewers of whom ${deaf} never read, ${seconds} s, ${pairs} pairs; ${machine()}`)
const figures = {
  'frames/s': (r) => r.frames_per_second,
  'ack p50, ms': (r) => r.ack_p50_ms,
  'ack p99, ms': (r) => r.ack_p99_ms,
  'hub CPU, % of a core': (r) => 100 * r.hub_cpu_share,
  'hub memory, MiB': (r) => r.hub_resident_bytes / (1 << 20),
  'hub memory at most, MiB': (r) => r.hub_resident_peak / (1 << 20),
}
const without = []
const watched = []
for (let n = 0; n < pairs; n++) {
  // The order changes from pair to pair, so that what wears on the machine does not favour one.
  for (const crowded of n % 2 === 0 ? [false, true] : [true, false]) {
    const { result, crowd } = await bench(crowded)
    ;(crowded ? watched : without).push(result)
    if (crowd) {
      console.log(`  viewers of pair ${n + 1}: ${(crowd.messages / seconds).toFixed(0)} messages/s, ${(crowd.bytes / seconds / 1e6).toFixed(1)} MB/s, ` +
        `${crowd.dropped} told of ticks left out, ${crowd.putOut} put out for not reading, ${crowd.lost} lost otherwise, ${crowd.open} there at the end; ` +
        `${(crowd.cpu / seconds / 1e4).toFixed(0)} % of a core for their process`)
    }
  }
}
const range = (values) => `${median(values).toFixed(1)} (${Math.min(...values).toFixed(1)} to ${Math.max(...values).toFixed(1)})`
for (const [name, of] of Object.entries(figures)) {
  const ratios = watched.map((r, n) => of(r) / of(without[n]))
  console.log(`${name.padEnd(24)} without ${range(without.map(of))}, with ${range(watched.map(of))}, ratio ${median(ratios).toFixed(3)} (${Math.min(...ratios).toFixed(3)} to ${Math.max(...ratios).toFixed(3)})`)
}
