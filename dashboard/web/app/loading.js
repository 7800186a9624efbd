// What stands where something will be: nothing for 300 ms, then its outline, after 5 s a word and a way to try again.
import { h } from './dom.js'
import { t } from './i18n.js'

/**
 * @param {number} lines
 * @param {() => void} retry
 */
export function skeleton(lines, retry) {
  const slow = h('p', { class: 'row muted', hidden: true }, h('span', { text: t('app.slow') }),
    h('button', { type: 'button', text: t('app.retry'), on: { click: retry } }))
  const element = h('div', { class: 'skeleton', 'aria-busy': 'true', 'aria-label': t('app.loading'), role: 'status' },
    Array.from({ length: lines }, () => h('i')), slow)
  setTimeout(() => { slow.hidden = false }, 5000)
  return element
}

/**
 * Why there is nothing here, and one thing to do about it.
 * @param {string} title
 * @param {string} text
 * @param {import('./dom.js').Child} action
 */
export function empty(title, text, action) {
  return h('div', { class: 'empty' }, h('h2', { text: title }), text && h('p', { text }), action)
}
