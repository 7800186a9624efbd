// What the browser tests run on: the real hub, simulated devices and Chromium, each a process of its own.
import { spawn, execFile } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, mkdir, rm, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { readFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { chromium } from 'playwright-core'

const root = fileURLToPath(new URL('../..', import.meta.url))
export const programs = {
  hub: process.env.TELEMETRY_HUB ?? path.join(root, 'bin/telemetry-hub'),
  sim: process.env.FIRMWARE_SIM ?? path.join(root, 'bin/firmware-sim'),
  chromium: process.env.CHROMIUM ?? '/usr/bin/chromium',
}
const pictures = process.env.SCREENSHOTS ?? path.join(root, 'dashboard/webtest/screenshots')
const axeSource = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')

/** Waits until check returns something true, and returns that; fails after a time, with what was waited for. */
export async function until(what, check, ms = 20_000) {
  const end = Date.now() + ms
  for (;;) {
    const got = await check()
    if (got) return got
    if (Date.now() > end) throw new Error(`waited ${ms} ms in vain: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

/** A hub in a directory of its own. It can be killed and started again on the same port. */
export class Hub {
  /** @param {{args?: string[]}} [options] */
  static async start(options = {}) {
    const hub = new Hub()
    hub.dir = await mkdtemp(path.join(os.tmpdir(), 'telemetry-hub-page-'))
    hub.args = options.args ?? []
    hub.listen = '127.0.0.1:0'
    await hub.run()
    return hub
  }

  async run() {
    const child = spawn(programs.hub, ['serve', '--data-dir', path.join(this.dir, 'data'), '--listen', this.listen, ...this.args])
    this.child = child
    this.output = ''
    this.log = ''
    child.stdout.on('data', (b) => { this.output += b })
    child.stderr.on('data', (b) => { this.log += b })
    const ready = await until('the hub is ready', () => {
      if (child.exitCode !== null) throw new Error(`the hub ended: ${this.log}`)
      return /ready: (https:\/\/(\S+))/.exec(this.output)
    })
    this.url = ready[1]
    this.listen = ready[2]
  }

  /** The link the hub prints while it has no users. */
  async setupLink() {
    return (await until('a setup link', () => /https:\/\/\S+\/setup#\S+/.exec(this.output)))[0]
  }

  /** Ends the process as a power cut would. */
  async kill(signal = 'SIGKILL') {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return
    const ended = once(this.child, 'exit')
    this.child.kill(signal)
    await ended
  }

  /** Runs the command line on this hub and returns what it printed. */
  async cli(...args) {
    const { stdout } = await promisify(execFile)(programs.hub, args, {
      env: { ...process.env, TELEMETRY_HUB_DATA_DIR: path.join(this.dir, 'data') }, maxBuffer: 64 << 20,
    })
    return stdout
  }

  /** Makes a user and returns the name and password. */
  async user(name, role) {
    const password = `correct horse ${name}`
    const file = path.join(this.dir, `${name}.password`)
    await writeFile(file, password + '\n', { mode: 0o600 })
    await this.cli('user', 'add', name, '--role', role, '--password-file', file)
    return { name, password }
  }

  /** Gives a user another password, which ends the user's sessions. */
  async setPassword(name, password) {
    const file = path.join(this.dir, `${name}.password`)
    await writeFile(file, password + '\n', { mode: 0o600 })
    await this.cli('user', 'passwd', name, '--password-file', file)
  }

  /** Registers devices and returns the path of their credentials file. */
  async devices(ids, ...args) {
    const list = path.join(this.dir, `ids-${ids.length}-${ids[0]}.csv`)
    const lines = ['device,token']
    for (const id of ids) lines.push(`${id},${(await this.cli('device', 'add', id, ...args)).trim().split('\n').pop()}`)
    await writeFile(list, lines.join('\n') + '\n', { mode: 0o600 })
    return list
  }

  /** Registers prefix-00001 and so on, and returns the path of their credentials file. */
  async fleet(prefix, count) {
    const list = path.join(this.dir, prefix + '.csv')
    await this.cli('device', 'add', '--count', String(count), '--prefix', prefix, '--output', list)
    return list
  }

  /** Lets simulated devices send to this hub; the returned process is ended with stop. */
  simulate(credentials, count, ...args) {
    const child = spawn(programs.sim, ['run', '--hub', this.url.replace('https', 'wss'), '--ca', path.join(this.dir, 'data/tls/ca.pem'),
      '--credentials', credentials, '--devices', String(count), ...args])
    child.stdout.resume()
    child.stderr.resume()
    return { child, async stop(signal = 'SIGKILL') {
      if (child.exitCode !== null || child.signalCode !== null) return
      const ended = once(child, 'exit')
      child.kill(signal)
      await ended
    } }
  }

  async stop() {
    await this.kill()
    await rm(this.dir, { recursive: true, force: true })
  }
}

/** Chromium, with everything a page says in error remembered. */
export class Browser {
  static async start() {
    const b = new Browser()
    b.chromium = await chromium.launch({ executablePath: programs.chromium, args: ['--no-sandbox', '--disable-dev-shm-usage'] })
    b.problems = []
    return b
  }

  /** Opens a page in a context of its own. */
  async page(options = {}) {
    const context = await this.chromium.newContext({ ignoreHTTPSErrors: true, viewport: { width: 1280, height: 800 }, locale: 'en-GB', ...options })
    const page = await context.newPage()
    page.on('pageerror', (error) => this.problems.push(`${page.url()}: ${error.stack ?? error}`))
    page.on('console', (m) => {
      // A broken connection is what some tests are about; the browser reports it in its own words.
      if (m.type() === 'error' && !/net::ERR_|WebSocket connection to|Failed to load resource/.test(m.text())) this.problems.push(`${page.url()}: ${m.text()}`)
    })
    return page
  }

  async stop() { await this.chromium.close() }
}

/** Logs in through the login page. */
export async function login(page, hub, { name, password }) {
  await page.goto(hub.url + '/login')
  await page.locator('input[autocomplete=username]').fill(name)
  await page.locator('input[type=password]').fill(password)
  await page.keyboard.press('Enter')
  await page.waitForURL((url) => !url.pathname.startsWith('/login'))
}

/** Keeps a picture of the page. */
export async function picture(page, name) {
  await mkdir(pictures, { recursive: true })
  await page.screenshot({ path: path.join(pictures, name + '.png') })
}

/** Returns the serious and critical findings of axe-core, as text. */
export async function findings(page) {
  await page.evaluate(axeSource)
  const { violations } = await page.evaluate(() => /** @type {any} */ (globalThis).axe.run(document, { resultTypes: ['violations'] }))
  return violations.filter((v) => v.impact === 'serious' || v.impact === 'critical')
    .map((v) => `${v.impact} ${v.id}: ${v.help}\n` + v.nodes.slice(0, 3).map((n) => `    ${n.html}\n    ${n.failureSummary}`).join('\n'))
}
