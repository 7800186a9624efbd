// Commands as every screen shows them, and their way to the hub.
import { ago } from './ages.js'
import { ApiError, del, post } from './api.js'
import { h } from './dom.js'
import { dateTime, duration, hasText, moment, number, t } from './i18n.js'
import { send } from './live.js'
import { stateIcon } from './states.js'

/**
 * A command as the hub keeps it; times in ms, 0 or absent for none. Before the hub has it, its state is sending, then accepted,
 * not_accepted (nobody knows) or refused (by the hub).
 * @typedef {{id: string, device: string, name: string, args?: Record<string, unknown>, state: string, text?: string, hint?: string,
 *   values?: Record<string, unknown>, by?: string, from?: string, created: number, deadline: number, sent?: number, changed: number,
 *   idempotent?: boolean, number?: number}} Command
 * @typedef {{id: string, name: string, args: Record<string, unknown>, ttl_ms: number}} Order
 */

/** The states that the hub knows, in the order in which a command may go through them. */
export const commandStates = /** @type {const} */ (['queued', 'sent', 'succeeded', 'failed', 'rejected', 'expired', 'unknown', 'cancelled'])

/** Icon and, if not the icon's own, colour. @type {Record<string, [string, string?]>} */
const looks = {
  sending: ['never'], accepted: ['late', 'never'], not_accepted: ['warning'], refused: ['revoked', 'alarm'],
  queued: ['late'], sent: ['sent'], succeeded: ['live'], failed: ['alarm'], rejected: ['offline', 'alarm'], expired: ['stale'],
  unknown: ['unknown', 'warning'], cancelled: ['revoked', 'never'],
  in_sync: ['live'], pending: ['late'],
}
const failures = new Set(['not_accepted', 'refused', 'failed', 'rejected', 'expired', 'unknown'])
const patience = 5_000 // ms for the hub to say that it has a command

/** @param {string} state of a command or a setting */
export const isFailure = (state) => failures.has(state)

/**
 * Whether something is still to come.
 * @param {string} state
 */
export const isOpen = (state) => state === 'sending' || state === 'accepted' || state === 'queued' || state === 'sent'

/** @param {string} state of a command or a setting */
export const stateWords = (state) => t('command.' + state)

/** @param {string} state of a command or a setting */
export function commandBadge(state) {
  const [icon, colour = icon] = looks[state] ?? ['never']
  return h('span', { class: `badge state-${colour}` }, stateIcon(icon, colour), h('span', { text: stateWords(state) }))
}

/**
 * A value of an argument or a setting as people read it.
 * @param {unknown} v
 * @param {string} [unit] as written
 */
export function valueText(v, unit = '') {
  const text = typeof v === 'number' ? number(v, 9) : typeof v === 'boolean' ? t(v ? 'chart.on' : 'chart.off') : String(v ?? '–')
  return unit ? `${text}\u00a0${unit}` : text
}

/**
 * "celsius = 22 °C, fast = true"
 * @param {Record<string, unknown> | undefined} args
 * @param {(name: string) => string} [unit] of an argument, as written
 */
export function argsText(args, unit = () => '') {
  return Object.entries(args ?? {}).map(([name, v]) => `${name} = ${valueText(v, unit(name))}`).join(', ')
}

/**
 * What there is to say about a command's state.
 * @param {Command} c
 */
export function explanation(c) {
  const key = `command.${c.state}.text`
  const own = hasText(key) ? t(key, { at: moment(c.deadline) }) : ''
  const said = isOpen(c.state) || c.state === 'expired' || c.state === 'unknown' ? '' : [c.text, c.hint, argsText(c.values)].filter(Boolean).join(' · ')
  return [own, said].filter(Boolean).join(' ')
}

/**
 * For how long it is in its state; once it is settled, how long ago that was and how long it took.
 * @param {Command} c
 */
export function times(c) {
  if (isOpen(c.state)) return h('span', { class: 'muted' }, ago(c.changed, 'for'))
  const took = c.changed - c.created
  return h('span', { class: 'muted', title: `${dateTime(c.created)} – ${dateTime(c.changed)}` }, ago(c.changed), took > 0 && c.state !== 'refused' && ` (${duration(took)})`)
}

/**
 * Takes a command back while it is queued.
 * @param {Command} c
 * @param {(command: Command) => void} done
 * @param {(error: unknown) => void} failed it is too late, for one
 */
export function cancelButton(c, done, failed) {
  const button = h('button', {
    type: 'button', text: t('command.cancel'), 'aria-label': `${t('command.cancel')}: ${c.name}`,
    on: {
      async click() {
        button.disabled = true
        try {
          done(await del('/commands/' + c.id))
        } catch (error) {
          button.disabled = false
          failed(error)
        }
      },
    },
  })
  return button
}

/**
 * Gives an order to the hub, over the WebSocket if there is one. Returns once the hub has it, with the command where it says so.
 * Errors are {@link ApiError}s: with status 0 nobody knows, and the same order may be given again, for it counts once.
 * @param {string} device
 * @param {Order} order
 * @returns {Promise<Command | null>}
 */
export async function submit(device, order) {
  const silent = () => new ApiError(0, t('command.not_accepted.text'))
  const received = send(`/app/devices/${device}/commands`, order, order.id)
  if (received) {
    await Promise.race([received, new Promise((_, reject) => setTimeout(() => reject(silent()), patience))])
    return null
  }
  try {
    return await post(`/devices/${encodeURIComponent(device)}/commands`, order, { signal: AbortSignal.timeout(patience) })
  } catch (error) {
    throw error instanceof ApiError && error.status >= 400 && error.status < 500 ? error : silent()
  }
}
