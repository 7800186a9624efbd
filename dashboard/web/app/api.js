// The REST API under /api/v1.
import { parse } from './exact.js'

/** What the hub answered instead of what was asked for. status 0: no answer at all. */
export class ApiError extends Error {
  /**
   * @param {number} status
   * @param {string} message
   * @param {string} [hint]
   * @param {number} [retryAfter] s
   * @param {any} [body]
   */
  constructor(status, message, hint = '', retryAfter = 0, body = null) {
    super(message)
    this.status = status
    this.hint = hint
    this.retryAfter = retryAfter
    this.body = body
  }
}

/** Asks the user to log in again. @type {() => Promise<void>} */
let logIn = () => new Promise(() => {})

/** @type {Promise<void> | null} */
let renewal = null

/**
 * Says what is to be done when the session has ended: f asks the user to log in again, and returns when that is done.
 * @param {() => Promise<void>} f
 */
export function whenExpired(f) {
  logIn = f
}

/**
 * The session has ended: asks the user to log in again, once however many ask for it, and returns when that is done.
 * @returns {Promise<void>}
 */
export function expired() {
  renewal ??= logIn().finally(() => { renewal = null })
  return renewal
}

/** @typedef {string | number | boolean | undefined | null} Parameter */

/**
 * @typedef {object} Options
 * @property {AbortSignal} [signal]
 * @property {Record<string, Parameter | Parameter[]>} [query]
 * @property {boolean} [anonymous] a 401 is an answer like any other, not the end of the session
 */

/**
 * The path and query of a request.
 * @param {string} path below /api/v1, such as /devices
 * @param {Options['query']} [query] empty ones are left out, lists repeated
 */
export function address(path, query = {}) {
  const search = new URLSearchParams()
  for (const [name, value] of Object.entries(query)) {
    for (const v of Array.isArray(value) ? value : [value]) {
      if (v !== undefined && v !== null && v !== '') search.append(name, String(v))
    }
  }
  const text = search.toString()
  return '/api/v1' + path + (text && '?' + text)
}

/**
 * @param {string} method
 * @param {string} path
 * @param {any} body
 * @param {Options} options
 * @returns {Promise<any>}
 */
export async function request(method, path, body, options) {
  /** @type {Response} */
  let response
  try {
    response = await fetch(address(path, options.query), {
      method, signal: options.signal ?? null, credentials: 'same-origin', cache: 'no-store',
      headers: body === undefined ? {} : { 'Content-Type': 'application/json' },
      body: body === undefined ? null : JSON.stringify(body),
    })
  } catch (error) {
    if (options.signal?.aborted) throw error
    throw new ApiError(0, 'no answer from the hub')
  }
  const text = await response.text()
  let answer = null
  try {
    answer = text ? parse(text) : null
  } catch {
    answer = { detail: text.slice(0, 200) }
  }
  if (response.ok) return answer
  if (response.status === 401 && !options.anonymous) {
    await expired()
    return request(method, path, body, options)
  }
  throw new ApiError(response.status, answer?.detail ?? response.statusText, answer?.hint, Number(response.headers.get('Retry-After')) || 0, answer)
}

/**
 * Asks for something. When the session has ended, waits until the user has logged in again.
 * @param {string} path below /api/v1, such as /devices
 * @param {Options} [options]
 */
export const get = (path, options = {}) => request('GET', path, undefined, options)

/**
 * @param {string} path
 * @param {any} [body]
 * @param {Options} [options]
 */
export const post = (path, body, options = {}) => request('POST', path, body, options)

/**
 * @param {string} path
 * @param {any} body
 * @param {Options} [options]
 */
export const patch = (path, body, options = {}) => request('PATCH', path, body, options)

/**
 * @param {string} path
 * @param {any} body
 * @param {Options} [options]
 */
export const put = (path, body, options = {}) => request('PUT', path, body, options)

/**
 * @param {string} path
 * @param {Options} [options]
 */
export const del = (path, options = {}) => request('DELETE', path, undefined, options)
