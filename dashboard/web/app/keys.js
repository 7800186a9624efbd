// Single-key shortcuts; they can be switched off in the settings (WCAG 2.1.4).
import { openDialog } from './dialog.js'
import { h } from './dom.js'
import { t } from './i18n.js'
import { connection, pause, resume } from './live.js'
import { current } from './session.js'
import { setting } from './settings.js'

/** Pauses the pictures, or lets them go on. */
export function togglePause() {
  if (connection.get().paused) resume()
  else pause()
}

/**
 * @param {(url: string) => void} navigate
 */
export function listenToKeys(navigate) {
  /** @type {Record<string, string>} */
  const places = { o: '/', d: '/devices', c: '/commands', h: '/hub' }
  let gone = 0 // when g was pressed
  document.addEventListener('keydown', (event) => {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || setting('keys') === 'off' || current.get() === null) return
    const target = event.target instanceof Element ? event.target : document.body
    if (target.closest('input, textarea, select, [contenteditable], dialog')) return
    const { key } = event
    const place = places[key]
    if (place && event.timeStamp - gone < 1500) navigate(place)
    else if (key === '/') search(navigate)
    else if (key === 'p' || (key === ' ' && !target.closest('button, a, summary, [role=button], [tabindex="0"]'))) togglePause()
    else if (key === '?') help()
    else {
      gone = key === 'g' ? event.timeStamp : 0
      return
    }
    gone = 0
    event.preventDefault()
  })
}

/**
 * @param {(url: string) => void} navigate
 */
function search(navigate) {
  const field = document.querySelector('input[type=search]')
  if (field instanceof HTMLInputElement) {
    field.focus()
    field.select()
  } else navigate('/devices#search')
}

/** Opens the list of shortcuts. */
export function help() {
  const or = () => h('span', { class: 'muted', text: ` ${t('help.or')} ` })
  const then = () => h('span', { class: 'muted', text: ` ${t('help.then')} ` })
  const kbd = (/** @type {string} */ text) => h('kbd', { text })
  const rows = [
    ['help.search', kbd('/')],
    ['help.overview', [kbd('g'), then(), kbd('o')]],
    ['help.devices', [kbd('g'), then(), kbd('d')]],
    ['help.commands', [kbd('g'), then(), kbd('c')]],
    ['help.hub', [kbd('g'), then(), kbd('h')]],
    ['help.pause', [kbd('p'), or(), kbd('Space')]],
    ['help.rows', [kbd('j'), or(), kbd('k')]],
    ['help.open', kbd('Enter')],
    ['help.help', kbd('?')],
  ]
  openDialog(t('help.title'), [
    h('dl', { class: 'keys' }, rows.map(([key, keys]) => h('div', null, h('dt', null, keys), h('dd', { text: t(String(key)) })))),
    h('p', { class: 'hint', text: t(setting('keys') === 'off' ? 'help.isoff' : 'help.off') }),
  ])
}
