// Who the device is and how it does.
import { ago, setAgo } from '../ages.js'
import { h, replace, setText } from '../dom.js'
import { facts } from '../facts.js'
import { duration, t } from '../i18n.js'
import { badge, stateIcon, stateWord } from '../states.js'

/** @param {string} id */
export function headerPanel(id) {
  const state = h('span', { class: 'badge' })
  const since = ago(0, 'for')
  const seen = ago(0)
  const created = ago(0)
  const off = h('span')
  const skew = h('p', { class: 'notice', hidden: true }, badge('warning', t('device.clock')), ' ', off)
  const list = facts('device.', ['seen', 'kind', 'firmware', 'model', 'address', 'created'])
  const labels = h('ul', { class: 'row labels', 'aria-label': t('device.labels'), hidden: true })
  const element = h('header', { class: 'stack device-header' },
    h('div', { class: 'row' }, h('h1', { text: id }), h('p', { class: 'row' }, state, since)), skew, list.element, labels)
  let shown = ''

  return {
    element,
    /** @param {import('./device.js').Row} row */
    show(row) {
      if (row.state !== shown) {
        shown = row.state
        state.className = `badge state-${row.state}`
        replace(state, stateIcon(row.state), h('span', { text: stateWord(row.state) }))
      }
      setAgo(since, row.since)
      since.hidden = !row.since || row.state === 'never'
      setAgo(seen, row.seen ?? 0)
      list.set('seen', seen)
      list.set('kind', row.kind)
      list.set('firmware', row.firmware)
      list.set('model', row.model)
      const ms = row.skew_ms ?? 0
      skew.hidden = ms === 0
      setText(off, t(ms > 0 ? 'device.clock.ahead' : 'device.clock.behind', { t: duration(Math.abs(ms)) }))
      const words = Object.entries(row.labels ?? {}).map(([k, v]) => `${k}: ${v}`)
      const text = words.join('\n')
      if (labels.dataset.text === text) return
      labels.dataset.text = text
      labels.hidden = words.length === 0
      replace(labels, words.map((word) => h('li', { class: 'chip', text: word })))
    },
    /** @param {import('./device.js').Detail} detail */
    detail(detail) {
      list.set('address', detail.presence?.address)
      setAgo(created, detail.created)
      list.set('created', created)
    },
  }
}
