// How states look: an icon, a word and a colour, never the colour alone.
import { h, svg } from './dom.js'
import { hasText, t } from './i18n.js'

/** @typedef {'live' | 'late' | 'stale' | 'offline' | 'never' | 'revoked' | 'alarm' | 'warning'} StateName */

/** From the one that most needs a look. */
export const deviceStates = /** @type {const} */ (['offline', 'stale', 'late', 'live', 'never', 'revoked'])

/** Drawn on 16 × 16. A leading + is filled, the rest are lines. @type {Record<string, string[]>} */
const shapes = {
  live: ['+M8 2a6 6 0 1 0 .01 0z', 'check'],
  late: ['M8 2a6 6 0 1 0 .01 0z', 'M8 5v3.2l2.2 1.4'],
  stale: ['M4 2h8M4 14h8M5 2c0 3.5 6 5 6 9v3M11 2c0 3.5-6 5-6 9v3'],
  offline: ['+M8 2a6 6 0 1 0 .01 0z', 'cross'],
  never: ['dashed'],
  revoked: ['M8 2a6 6 0 1 0 .01 0z', 'M3.8 3.8l8.4 8.4'],
  alarm: ['+M8 1.5l7 12.5H1z', 'bang'],
  warning: ['M8 2.2l6.2 11.3H1.8z', 'M8 6.5v3.2M8 11.6v.2'],
  sent: ['M2 8h11M9 4l4 4-4 4'],
  unknown: ['M8 2a6 6 0 1 0 .01 0z', 'M6.2 6.4a1.8 1.8 0 1 1 2.6 1.6q-.8.4-.8 1.3M8 11.4v.1'],
}
/** Drawn over a filled shape, in the colour of the ground. @type {Record<string, string>} */
const over = { check: 'M5.2 8.2l2 2 3.6-4', cross: 'M5.8 5.8l4.4 4.4M10.2 5.8l-4.4 4.4', bang: 'M8 6v4M8 11.8v.4' }

/**
 * @param {string} state of a device or channel, or a severity
 * @param {string} [colour] of which state, if not its own
 */
export function stateIcon(state, colour = state) {
  const paths = (shapes[state] ?? shapes.never ?? []).map((d) => {
    if (d === 'dashed') return svg('circle', { cx: 8, cy: 8, r: 6, 'stroke-dasharray': '2.6 2.1' })
    const onTop = over[d]
    if (onTop) return svg('path', { d: onTop, class: 'over' })
    return d.startsWith('+') ? svg('path', { d: d.slice(1), class: 'full' }) : svg('path', { d })
  })
  return svg('svg', { class: `icon state-icon state-${colour}`, viewBox: '0 0 16 16', 'aria-hidden': 'true' }, paths)
}

/**
 * @param {string} state
 */
export function stateWord(state) {
  return t('state.' + state)
}

/**
 * Icon and word.
 * @param {string} state
 * @param {string} [word] instead of the state's own
 */
export function badge(state, word = stateWord(state)) {
  return h('span', { class: `badge state-${state}` }, stateIcon(state), h('span', { class: 'badge-word', text: word }))
}

/**
 * Why a device needs attention, in words.
 * @param {{reason: string, detail?: string}} trouble
 */
export function reason(trouble) {
  const detailed = `reason.${trouble.reason}.detail`
  if (trouble.detail && hasText(detailed)) return t(detailed, { detail: trouble.detail })
  const key = 'reason.' + trouble.reason
  const words = hasText(key) ? t(key) : trouble.reason
  return trouble.detail ? `${words}: ${trouble.detail}` : words
}
