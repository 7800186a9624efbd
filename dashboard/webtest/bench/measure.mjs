// What the measurements share: processes as Linux counts them, the clock, and numbers for people. Linux only.
import { readFileSync } from 'node:fs'
import os from 'node:os'
import { parseArgs } from 'node:util'

export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms))

/** Reads --name NUMBER arguments; the defaults name those there are. */
export function numbers(defaults) {
  const options = Object.fromEntries(Object.keys(defaults).map((name) => [name, { type: 'string' }]))
  const { values } = parseArgs({ options })
  return Object.fromEntries(Object.entries(defaults).map(([name, otherwise]) => {
    const n = Number(values[name] ?? otherwise)
    if (!(n >= 0)) throw new Error(`--${name} is a number from 0`)
    return [name, n]
  }))
}

/** CPU time of a process up to now, user and system, in seconds. */
export function cpu(pid) {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[11]) + Number(fields[12])) / 100 // USER_HZ
}

/** Resident memory of a process in MiB, and the most it has been. */
export function memory(pid) {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8')
  const mib = (name) => Number(new RegExp(name + ':\\s+(\\d+)').exec(status)?.[1]) / 1024
  return { now: mib('VmRSS'), peak: mib('VmHWM') }
}

/** The smallest of the values that at least the share p of them does not exceed. */
export function quantile(values, p) {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.max(0, Math.ceil(p * sorted.length) - 1)] ?? NaN
}

export const median = (values) => quantile(values, 0.5)

export const percent = (share) => (100 * share).toFixed(1) + ' %'

/** What the machine is, and what else keeps it busy: to be read beside every figure. */
export function machine() {
  return `${os.cpus().length} cores (${os.cpus()[0]?.model ?? 'unknown'}), load ${os.loadavg()[0].toFixed(2)}, Node ${process.versions.node}`
}

/** Lets a hub take a fleet that comes from one address all at once; the hub inherits the environment. */
export function admitFleet() {
  const limits = { CONNECTIONS: 20_000, CONNECTIONS_PER_ADDRESS: 20_000, PENDING_CONNECTIONS: 4096, HANDSHAKES_PER_SECOND: 2000 }
  for (const [name, value] of Object.entries(limits)) process.env['TELEMETRY_HUB_LIMITS_' + name] = String(value)
}
