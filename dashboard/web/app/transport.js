// The two ways to the hub's live feed: STOMP over WebSocket, and server-sent events where that is blocked.
import { parse } from './exact.js'

/** @typedef {import('./connection.js').Transport} Transport */
/** @typedef {import('./connection.js').TransportEvents} TransportEvents */

/**
 * @param {TransportEvents} events
 * @returns {Transport}
 */
export function socket(events) {
  let over = false
  /**
   * @param {boolean} refused
   * @param {string} [culprit]
   */
  const end = (refused, culprit) => {
    if (over) return
    over = true
    events.over(refused, culprit)
  }
  const client = new StompJs.Client({
    brokerURL: location.origin.replace(/^http/, 'ws') + '/v1/live',
    reconnectDelay: 0, heartbeatIncoming: 10_000, heartbeatOutgoing: 10_000,
    onConnect: () => events.opened(),
    onStompError: (frame) => end(true, frame.headers['receipt-id']),
    onWebSocketClose: (event) => end(event.code === 1008),
    onWebSocketError: () => end(false),
  })
  client.activate()
  return {
    subscribe(id, destination, params) {
      client.subscribe(destination, (m) => events.message(id, m.headers, m.body), { ...params, id, receipt: id })
    },
    unsubscribe(id) {
      if (client.connected) client.unsubscribe(id)
    },
    send: (destination, body, receipt) => new Promise((resolve) => {
      client.watchForReceipt(receipt, () => resolve())
      client.publish({ destination, body, headers: { receipt, 'content-type': 'application/json' } })
    }),
    close() {
      over = true
      void client.deactivate({ force: true })
    },
  }
}

/**
 * Each change of the subscriptions is a new request, which goes on from the positions reached.
 * @param {TransportEvents} events
 * @returns {Transport}
 */
export function stream(events) {
  /** @type {Map<string, {destination: string, params: Record<string, string>}>} */
  const subscriptions = new Map()
  let request = new AbortController()
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer
  let closed = false
  const change = () => {
    clearTimeout(timer)
    if (!closed) timer = setTimeout(() => void open(), 50)
  }
  async function open() {
    request.abort()
    const mine = request = new AbortController()
    const query = new URLSearchParams()
    for (const [id, s] of subscriptions) query.append('sub', `${id}|${s.destination}|${new URLSearchParams(s.params)}`)
    let refused = false
    /** @type {string | undefined} */
    let culprit
    try {
      const response = await fetch('/v1/events?' + query, { signal: mine.signal, cache: 'no-store', headers: { Accept: 'text/event-stream' } })
      refused = response.status === 401
      if (response.status === 400) culprit = /^(\d+):/.exec((await response.json()).detail)?.[1]
      if (response.ok && response.body) await read(response.body, mine.signal)
    } catch {
      // Over it is, for whatever reason.
    }
    if (mine === request && !closed) events.over(refused, culprit)
  }
  /**
   * @param {ReadableStream<Uint8Array>} body
   * @param {AbortSignal} signal
   */
  async function read(body, signal) {
    const feed = eventParser((data) => {
      const e = parse(data)
      const s = subscriptions.get(e.subscription)
      if (!s || signal.aborted) return
      s.params = { ...s.params, epoch: e.epoch, offset: String(e.offset) }
      /** @type {Record<string, string>} */
      const headers = { epoch: e.epoch, offset: String(e.offset) }
      for (const name of ['resumed', 'missed', 'dropped']) if (e[name] !== undefined && e[name] !== null) headers[name] = String(e[name])
      events.message(e.subscription, headers, e.body, data.length)
    })
    const reader = body.pipeThrough(/** @type {any} */ (new TextDecoderStream())).getReader()
    for (;;) {
      const { done, value } = await reader.read()
      if (done || signal.aborted) return
      feed(value)
    }
  }
  queueMicrotask(() => { if (!closed) events.opened() })
  return {
    subscribe(id, destination, params) {
      subscriptions.set(id, { destination, params })
      change()
    },
    unsubscribe(id) {
      if (subscriptions.delete(id)) change()
    },
    close() {
      closed = true
      clearTimeout(timer)
      request.abort()
    },
  }
}

/**
 * Returns a function that takes pieces of an event stream and calls f with the data of each whole event.
 * @param {(data: string) => void} f
 */
export function eventParser(f) {
  let rest = ''
  /** @type {string[]} */
  let data = []
  return (/** @type {string} */ piece) => {
    const lines = (rest + piece).split('\n')
    rest = lines.pop() ?? ''
    for (const raw of lines) {
      const line = raw.endsWith('\r') ? raw.slice(0, -1) : raw
      if (line.startsWith('data:')) data.push(line.slice(line[5] === ' ' ? 6 : 5))
      else if (line === '' && data.length > 0) {
        f(data.join('\n'))
        data = []
      }
    }
  }
}
