// The question before a command or a setting goes out: to what, what, in place of what, and what becomes of it.
import { get } from '../api.js'
import { openDialog } from '../dialog.js'
import { h, replace, setText } from '../dom.js'
import { duration, moment, t } from '../i18n.js'
import { connection, now } from '../live.js'
import { failure } from '../form.js'
import { badge } from '../states.js'

/**
 * @typedef {object} Question
 * @property {string} device
 * @property {string} what
 * @property {() => string} present the value it has now; empty if it is not known which
 * @property {boolean} typed whether the device's name has to be typed
 * @property {number} ttl ms; 0: for ever, it is a setting
 * @property {import('../signal.js').Signal<import('./device.js').Row | null>} row the device's newest state
 */

/**
 * Asks, and looks at the device once more before it takes a yes: if that has gone or come meanwhile, it asks again.
 * @param {Question} question
 * @returns {Promise<boolean>}
 */
export function ask({ device, what, present, typed, ttl, row }) {
  return new Promise((resolve) => {
    let yes = false
    let there = true
    const state = h('span')
    const value = h('dd')
    const note = h('p', { class: 'notice', role: 'status' })
    const message = h('p', { class: 'error', role: 'alert' })
    const word = h('input', { type: 'text', id: 'confirm-word', autocomplete: 'off', autocapitalize: 'none', spellcheck: 'false', on: { input: allow } })
    const go = h('button', { type: 'button', class: 'danger', on: { click: () => void confirm() } })
    const line = (/** @type {string} */ key, /** @type {HTMLElement} */ dd) => h('div', null, h('dt', { text: t('command.ask.' + key) }), dd)
    const was = line('present', value)
    const dialog = openDialog(t('command.ask'), [
      h('dl', { class: 'secrets' }, line('device', h('dd', { class: 'row' }, h('strong', { text: device }), state)), line('what', h('dd', null, h('strong', { text: what }))), was),
      note,
      typed && h('div', { class: 'field' }, h('label', { for: word.id, text: t('command.ask.typed', { device }) }), word),
      message,
      h('div', { class: 'actions' }, h('button', { type: 'button', autofocus: true, text: t('app.cancel'), on: { click: () => dialog.close() } }), go),
    ], { alert: true, closed: () => { unwatch(); unlink(); resolve(yes) } })

    function allow() {
      const { phase } = connection.get()
      go.disabled = phase === 'reconnecting' || phase === 'lost' || phase === 'expired' || typed && word.value.trim() !== device
    }

    /** @param {import('./device.js').Row | null} r */
    function show(r) {
      if (!r) return
      there = r.connected
      replace(state, badge(r.state))
      was.hidden = !present()
      setText(value, present())
      note.hidden = there && ttl > 0
      setText(note, ttl === 0 ? t(there ? 'setting.ask' : 'setting.ask.away') : t('command.ask.away', { at: moment(now() + ttl), t: duration(ttl) }))
      setText(go, t(there || ttl === 0 ? 'command.send' : 'command.queue'))
    }

    async function confirm() {
      const told = there
      go.disabled = true
      try {
        row.set((await get(`/devices/${encodeURIComponent(device)}`)).device)
      } catch (error) {
        replace(message, failure(error))
        return allow()
      }
      allow()
      replace(message, there !== told && t('command.ask.changed'))
      if (there !== told || go.disabled || !dialog.open) return
      yes = true
      dialog.close()
    }

    const unlink = connection.subscribe(allow)
    const unwatch = row.subscribe(show)
  })
}
