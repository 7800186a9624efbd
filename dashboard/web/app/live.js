// The live feed as the screens see it.
import { expired } from './api.js'
import { now } from './clock.js'
import { Client } from './connection.js'
import { load } from './session.js'
import { signal } from './signal.js'
import { socket, stream } from './transport.js'

export { now }

/** @typedef {import('./connection.js').Connection} Connection */
/** @typedef {import('./connection.js').Meta} Meta */

const client = new Client({ socket, stream, probe: load, expired })

/** How far what the page shows can be trusted. */
export const connection = client.connection

/**
 * Whether nothing comes from the hub, and nothing can go to it.
 * @param {Connection} c
 */
export const isDown = ({ phase }) => phase === 'reconnecting' || phase === 'lost' || phase === 'expired' || phase === 'connecting'

/** The hub's newest state; null before the first. @type {import('./signal.js').Signal<any>} */
export const hub = signal(/** @type {any} */ (null))

let started = false

/** Connects. The screens may subscribe before. */
export function start() {
  if (started) return
  started = true
  client.subscribe('/topic/hub', {}, (body) => hub.set(body))
  addEventListener('online', retryNow)
  document.addEventListener('visibilitychange', () => {
    const { phase } = connection.get()
    if (!document.hidden && (phase === 'reconnecting' || phase === 'lost')) retryNow()
  })
  client.start()
}

/**
 * Subscribes to a destination such as /topic/devices. It outlives interruptions; a change of params asks for a new snapshot.
 * @param {string} destination
 * @param {Record<string, string | number | undefined | null>} params
 * @param {(body: any, meta: Meta) => void} onMessage
 */
export function subscribe(destination, params, onMessage) {
  return client.subscribe(destination, params, onMessage)
}

/**
 * As subscribe, and a pause does not hold it back.
 * @param {string} destination
 * @param {(body: any, meta: Meta) => void} onMessage
 */
export function follow(destination, onMessage) {
  return client.subscribe(destination, {}, onMessage, true)
}

/**
 * Sends something over the WebSocket. The promise is kept when the hub has dealt with it, and never if it does not; null: there is
 * no WebSocket at present.
 * @param {string} destination
 * @param {any} body
 * @param {string} receipt a name for it
 */
export function send(destination, body, receipt) {
  return client.send(destination, body, receipt)
}

/** Tries to connect at once, at most once a second. */
export function retryNow() {
  client.retryNow()
}

/** Stops the pictures: what comes is kept, up to a limit, and shown after resume. */
export function pause() {
  client.pause()
}

export function resume() {
  client.resume()
}
