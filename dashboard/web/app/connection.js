// Keeps subscriptions alive over whatever connection there is, and knows how far what is shown can be trusted.
import { backoff } from './backoff.js'
import { now as hubTime, observe } from './clock.js'
import { parse } from './exact.js'
import { signal } from './signal.js'

/**
 * @typedef {'connecting' | 'live' | 'fallback' | 'reconnecting' | 'lost' | 'expired' | 'paused'} Phase
 *
 * phase; since when (ms, this machine's clock); the number of the present attempt and when the next one is (0: it is under way);
 * hub time of the newest message (0: the present one); when the hub was last heard (ms, this machine's clock); while paused since when and with how many messages waiting; whether the hub sends us less than
 * it has; after an outage how long it was.
 * @typedef {{phase: Phase, since: number, attempt: number, nextAt: number, asOf: number, heardAt: number, paused: {since: number, count: number} | null,
 *   degraded: boolean, restored: {missing: number, at: number} | null}} Connection
 */

/** @typedef {{epoch: string, offset: number}} Position */
/** @typedef {Position & {resumed: boolean | null, missed: number, snapshot: boolean, dropped: number}} Meta */

/**
 * A way to the hub. It tells its events: opened once it can take subscriptions, each message, and once that it is over; then
 * whether it was refused, and the id of the subscription that the hub would not take, if that was why. One that can send returns
 * a promise that is kept when the hub has dealt with what was sent; it may never be.
 * @typedef {{subscribe(id: string, destination: string, params: Record<string, string>): void, unsubscribe(id: string): void, close(): void,
 *   send?(destination: string, body: string, receipt: string): Promise<void>}} Transport
 * @typedef {{opened(): void, message(id: string, headers: Record<string, string>, body: any, size?: number): void, over(refused: boolean, culprit?: string): void}} TransportEvents
 */

/**
 * @typedef {object} Subscription
 * @property {string} id
 * @property {string} destination
 * @property {Record<string, string>} params
 * @property {(body: any, meta: Meta) => void} deliver
 * @property {Position | null} position of the newest message received
 * @property {boolean} urgent comes while the reader pauses, too
 */

/** @typedef {{kind: 'socket' | 'stream', transport: Transport, open: boolean, heard: number, at: number}} Link */

const silence = 2_500 // the hub says something each second
const dead = 5_000 // a connection that says nothing for so long is given up
const openWithin = 5_000 // else server-sent events are tried
const lostAfter = 60_000
const debounce = 1_000 // a short interruption is nobody's concern
const beat = 250
const mostWaiting = 4 << 20 // characters kept while paused

const liveness = '/topic/hub'

export class Client {
  /**
   * @param {object} outside
   * @param {(events: TransportEvents) => Transport} outside.socket
   * @param {(events: TransportEvents) => Transport} outside.stream
   * @param {() => Promise<'ok' | 'login' | 'setup' | 'down'>} outside.probe asks whether the session still holds
   * @param {() => Promise<void>} outside.expired returns when somebody has logged in again
   */
  constructor({ socket, stream, probe, expired }) {
    this.outside = { socket, stream, probe, expired }
    /** @type {import('./signal.js').Signal<Connection>} */
    this.connection = signal(/** @type {Connection} */ ({
      phase: 'connecting', since: Date.now(), attempt: 0, nextAt: 0, asOf: 0, heardAt: Date.now(), paused: null, degraded: false, restored: null,
    }))
    /** @type {Map<string, Subscription>} */
    this.subscriptions = new Map()
    this.number = 0
    /** @type {Link | null} the one that messages are taken from */
    this.active = null
    /** @type {Link | null} */
    this.socket = null
    /** @type {Link | null} */
    this.stream = null
    this.attempt = 0
    this.nextAt = 0
    this.streamAttempt = 0
    this.streamAt = 0
    this.asOf = 0
    this.wasLive = false
    this.silentSince = Date.now() // when the last message came; when we began, before the first
    this.closedAt = 0
    this.droppedAt = 0
    this.lastBeat = Date.now()
    this.retriedAt = 0
    /** @type {{since: number, count: number, size: number, full: boolean, waiting: (() => void)[]} | null} */
    this.paused = null
    /** @type {Connection['restored']} */
    this.restored = null
    this.ended = false
    this.expired = false
    /** @type {ReturnType<typeof setInterval> | undefined} */
    this.timer = undefined
  }

  start() {
    this.timer = setInterval(() => this.step(), beat)
    this.silentSince = this.lastBeat = Date.now()
    this.openSocket()
    this.publish()
  }

  stop() {
    this.ended = true
    clearInterval(this.timer)
    this.drop(this.socket)
    this.drop(this.stream)
  }

  /**
   * @param {string} destination
   * @param {Record<string, string | number | undefined | null>} params empty ones are left out
   * @param {(body: any, meta: Meta) => void} deliver
   * @param {boolean} [urgent] also while the reader pauses
   */
  subscribe(destination, params, deliver, urgent = false) {
    /** @type {Subscription} */
    const s = { id: String(++this.number), destination, params: clean(params), deliver, position: null, urgent }
    this.subscriptions.set(s.id, s)
    this.request(s)
    return {
      /** @param {Record<string, string | number | undefined | null>} next */
      update: (next) => {
        const params = clean(next)
        if (!this.subscriptions.has(s.id) || JSON.stringify(params) === JSON.stringify(s.params)) return
        s.params = params
        this.renew(s)
      },
      close: () => {
        if (this.subscriptions.delete(s.id)) this.active?.transport.unsubscribe(s.id)
      },
    }
  }

  /**
   * Subscribes anew, from a snapshot.
   * @param {Subscription} s
   */
  renew(s) {
    this.active?.transport.unsubscribe(s.id)
    this.subscriptions.delete(s.id)
    s.id = String(++this.number)
    s.position = null
    this.subscriptions.set(s.id, s)
    this.request(s)
  }

  /**
   * @param {Subscription} s
   */
  request(s) {
    const at = s.position
    this.active?.transport.subscribe(s.id, s.destination, at ? { ...s.params, epoch: at.epoch, offset: String(at.offset) } : s.params)
  }

  openSocket() {
    this.nextAt = 0
    this.attempt++
    this.socket = this.link('socket')
  }

  /**
   * @param {'socket' | 'stream'} kind
   * @returns {Link}
   */
  link(kind) {
    /** @type {Link} */
    const link = { kind, open: false, heard: 0, at: Date.now(), transport: /** @type {any} */ (null) }
    link.transport = this.outside[kind]({
      opened: () => this.opened(link),
      message: (id, headers, body, size) => this.message(link, id, headers, body, size),
      over: (refused, culprit) => this.over(link, refused, culprit),
    })
    return link
  }

  /**
   * @param {Link} link
   */
  isPresent(link) {
    return link === this.socket || link === this.stream
  }

  /**
   * @param {Link} link
   */
  opened(link) {
    if (!this.isPresent(link)) return
    link.open = true
    link.at = Date.now()
    if (this.active) this.drop(this.active)
    this.active = link
    for (const s of this.subscriptions.values()) this.request(s)
    this.step()
  }

  /**
   * @param {Link} link
   * @param {string} id
   * @param {Record<string, string>} headers
   * @param {any} message JSON, or what it means
   * @param {number} [size] characters of it as JSON
   */
  message(link, id, headers, message, size = message.length) {
    const s = this.subscriptions.get(id)
    if (link !== this.active || !s) return
    const body = typeof message === 'string' ? parse(message) : message
    const meta = metaOf(headers, body)
    s.position = { epoch: meta.epoch, offset: meta.offset }
    if (meta.dropped > 0) this.droppedAt = Date.now()
    if (typeof body.now === 'number') {
      observe(body.now)
      this.asOf = Math.max(this.asOf, body.now)
    }
    if (s.destination === liveness) this.alive(link)
    const p = this.paused
    if (p === null || s.urgent) return s.deliver(body, meta)
    p.count++
    p.size += size
    if (p.size > mostWaiting) {
      p.full = true
      p.waiting = []
    } else if (!p.full) {
      p.waiting.push(() => { if (this.subscriptions.has(id)) s.deliver(body, meta) })
    }
  }

  /**
   * The hub has spoken.
   * @param {Link} link
   */
  alive(link) {
    const t = Date.now()
    const phase = this.connection.get().phase
    if (this.wasLive && (phase === 'reconnecting' || phase === 'lost' || phase === 'expired')) {
      this.restored = { missing: t - this.silentSince, at: t }
    }
    if (link.kind === 'socket') this.attempt = 0
    else {
      this.streamAttempt = 0
      if (link.heard === 0 && !this.socket) this.nextAt = t // the hub is there: perhaps for a WebSocket too
    }
    link.heard = this.silentSince = t
    this.wasLive = true
    this.closedAt = 0
    if (phase !== 'live' && phase !== 'fallback') this.publish()
  }

  /**
   * @param {Link} link
   * @param {boolean} refused the hub may have ended the session
   * @param {string} [culprit] it would end every further connection too
   */
  over(link, refused, culprit) {
    if (!this.isPresent(link)) return
    const never = !link.open
    if (culprit !== undefined) this.subscriptions.delete(culprit)
    this.drop(link)
    if (this.expired || this.ended) return
    if (link.kind === 'socket') this.nextAt = Date.now() + backoff(this.attempt + 1)
    else this.streamAt = Date.now() + backoff(++this.streamAttempt + 1)
    if (never || refused) void this.ask()
    this.publish()
  }

  /**
   * @param {Link | null} link
   */
  drop(link) {
    if (link === null) return
    if (link === this.socket) this.socket = null
    if (link === this.stream) this.stream = null
    if (link === this.active) {
      this.active = null
      this.closedAt = Date.now()
    }
    link.transport.close()
  }

  /** A browser does not say why a WebSocket was refused; REST does. */
  async ask() {
    const answer = await this.outside.probe()
    if ((answer !== 'login' && answer !== 'setup') || this.expired || this.ended) return
    this.expired = true
    this.drop(this.socket)
    this.drop(this.stream)
    this.publish()
    await this.outside.expired()
    this.expired = false
    this.attempt = 0
    this.openSocket()
    this.publish()
  }

  /** Looks at the time. */
  step() {
    const t = Date.now()
    // A suspended page wakes up with old times: give what is in the socket's buffer a moment to be read.
    if (t - this.lastBeat > 2_000 && this.active) this.silentSince = Math.max(this.silentSince, t - silence + debounce)
    this.lastBeat = t
    if (this.expired || this.ended) return
    if (this.active && t - Math.max(this.active.heard, this.active.at) > dead) this.over(this.active, true)
    if (this.socket && !this.socket.open && t - this.socket.at > openWithin) this.over(this.socket, false)
    if (!this.socket && t >= this.nextAt) this.openSocket()
    if (!this.active && !this.stream && t - this.silentSince >= openWithin && t >= this.streamAt) this.stream = this.link('stream')
    this.publish()
  }

  /** @returns {Phase} */
  phase() {
    const t = Date.now()
    if (this.expired) return 'expired'
    const quiet = t - this.silentSince
    if (this.wasLive ? quiet < silence && (this.active || t - this.closedAt < debounce) : false) {
      if (this.paused) return 'paused'
      const old = this.connection.get().phase
      return this.active ? (this.active.kind === 'socket' ? 'live' : 'fallback') : old === 'fallback' ? 'fallback' : 'live'
    }
    if (!this.wasLive && quiet < openWithin) return 'connecting'
    return quiet < lostAfter ? 'reconnecting' : 'lost'
  }

  publish() {
    const old = this.connection.get()
    const phase = this.phase()
    const calm = phase === 'live' || phase === 'fallback'
    const next = {
      phase, since: phase === old.phase ? old.since : Date.now(), attempt: this.attempt, nextAt: this.nextAt,
      asOf: calm ? 0 : this.asOf, heardAt: calm ? 0 : this.silentSince,
      paused: this.paused && { since: this.paused.since, count: this.paused.count },
      degraded: Date.now() - this.droppedAt < 10_000, restored: this.restored,
    }
    if (JSON.stringify(next) !== JSON.stringify(old)) this.connection.set(next)
  }

  /**
   * Sends something, where the present connection can; else null.
   * @param {string} destination
   * @param {any} body
   * @param {string} receipt a name for it
   */
  send(destination, body, receipt) {
    return this.active?.transport.send?.(destination, JSON.stringify(body), receipt) ?? null
  }

  /** Tries at once, at most once a second. */
  retryNow() {
    const t = Date.now()
    if (t - this.retriedAt < debounce || this.expired || this.ended) return
    this.retriedAt = t
    if (this.active && t - this.active.heard > silence) this.drop(this.active)
    if (!this.socket || !this.socket.open) {
      this.drop(this.socket)
      this.openSocket()
    }
    this.streamAt = 0
    this.step()
  }

  /** Holds what comes back, up to a limit. */
  pause() {
    this.paused ??= { since: hubTime(), count: 0, size: 0, full: false, waiting: [] }
    this.publish()
  }

  /** Shows what was held back; if that was too much, asks for the present state instead. */
  resume() {
    const p = this.paused
    if (p === null) return
    this.paused = null
    if (p.full) for (const s of [...this.subscriptions.values()]) this.renew(s)
    else for (const deliver of p.waiting) deliver()
    this.publish()
  }
}

/**
 * @param {Record<string, string | number | undefined | null>} params
 */
function clean(params) {
  /** @type {Record<string, string>} */
  const kept = {}
  for (const [name, value] of Object.entries(params)) {
    if (value !== undefined && value !== null && value !== '') kept[name] = String(value).trim()
  }
  return kept
}

/**
 * @param {Record<string, string>} headers
 * @param {any} body
 * @returns {Meta}
 */
function metaOf(headers, body) {
  const { resumed, missed } = headers
  return {
    epoch: headers.epoch ?? '', offset: Number(headers.offset ?? 0), resumed: resumed === undefined ? null : resumed === 'true',
    missed: missed === undefined ? 0 : missed === 'unknown' ? -1 : Number(missed), snapshot: body.kind === 'snapshot',
    dropped: Number(headers.dropped ?? 0),
  }
}
