// Who is logged in.
import { ApiError, del, get, post } from './api.js'
import { setHubZone } from './i18n.js'
import { signal } from './signal.js'

/** @typedef {'viewer' | 'operator' | 'admin'} Role */
/** @typedef {{user: string, role: Role, via?: string, expires?: number, version?: string}} Session */

const ranks = { viewer: 1, operator: 2, admin: 3 }

/** The present session; null while there is none. @type {import('./signal.js').Signal<Session | null>} */
export const current = signal(/** @type {Session | null} */ (null))

/** @type {Promise<void> | null} */
let renewal = null

/**
 * Says whether the user may do what a role may. The hub checks again.
 * @param {Role} role
 */
export function can(role) {
  const session = current.get()
  return session !== null && ranks[session.role] >= ranks[role]
}

/**
 * Asks the hub who we are: a session, or why there is none.
 * @returns {Promise<'ok' | 'login' | 'setup' | 'down'>}
 */
export async function load() {
  try {
    const answer = await get('/session', { anonymous: true })
    setHubZone(answer.zone)
    current.set(answer)
    return 'ok'
  } catch (error) {
    if (!(error instanceof ApiError) || error.status !== 401) return 'down'
    return error.body?.setup ? 'setup' : 'login'
  }
}

/**
 * @param {{user: string, password: string} | {link: string}} credentials
 */
export async function login(credentials) {
  await post('/session', credentials, { anonymous: true })
  await load()
}

export async function logout() {
  await del('/session', { anonymous: true })
  current.set(null)
}

/**
 * The session has ended: asks the user to log in again over the page as it stands, and returns when that is done.
 * @returns {Promise<void>}
 */
export function expired() {
  renewal ??= import('./loginform.js').then((dialog) => dialog.ask(current.get()?.user ?? '')).finally(() => { renewal = null })
  return renewal
}
