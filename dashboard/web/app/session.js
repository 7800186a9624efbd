// Who is logged in.
import { ApiError, del, get, post } from './api.js'
import { signal } from './signal.js'

/** @typedef {'viewer' | 'operator' | 'admin'} Role */
/** @typedef {{user: string, role: Role, via?: string, expires?: number, version?: string}} Session */

const ranks = { viewer: 1, operator: 2, admin: 3 }

/** The present session; null while there is none. @type {import('./signal.js').Signal<Session | null>} */
export const current = signal(/** @type {Session | null} */ (null))

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
    current.set(await get('/session', { anonymous: true }))
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
