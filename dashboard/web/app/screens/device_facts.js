// What a device is, what became of its frames, and what it says it measures.
import { ago, setAgo } from '../ages.js'
import { h, replace, setText } from '../dom.js'
import { facts } from '../facts.js'
import { duration, moment, number, t } from '../i18n.js'
import { badge, stateIcon, stateWord } from '../states.js'

const entries = ['frames', 'readings', 'duplicates', 'rejected', 'holes', 'lost']
const bad = new Set(['rejected', 'holes', 'lost'])

/** @param {string} id */
export function headerPanel(id) {
  const state = h('span', { class: 'badge' })
  const since = ago(0, 'for')
  const seen = ago(0)
  const asOf = h('span', { class: 'muted' })
  const created = ago(0)
  const off = h('span')
  const skew = h('p', { class: 'notice', hidden: true }, badge('warning', t('device.clock')), ' ', off)
  const list = facts('device.', ['seen', 'kind', 'firmware', 'model', 'address', 'created'])
  const labels = h('ul', { class: 'row labels', 'aria-label': t('device.labels'), hidden: true })
  const element = h('header', { class: 'stack device-header' },
    h('div', { class: 'row' }, h('h1', { text: id }), h('p', { class: 'row' }, state, since, asOf)), skew, list.element, labels)
  let shown = ''

  return {
    element,
    /** @param {import('./device.js').Row} row */
    show(row) {
      if (row.state !== shown) {
        shown = row.state
        state.className = `badge state-${row.state} ${state.classList.contains('past') ? 'past' : ''}`
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
    /** @param {number} at when all this was so, if it may be otherwise now; else 0 */
    asOf(at) {
      setText(asOf, at ? t('live.asof', { time: moment(at) }) : '')
      state.classList.toggle('past', at > 0)
    },
    /** @param {import('./device.js').Detail} detail */
    detail(detail) {
      list.set('address', detail.presence?.address)
      setAgo(created, detail.created)
      list.set('created', created)
    },
  }
}

/** The device's books. */
export function booksPanel() {
  /** @type {Map<string, HTMLElement>} */
  const cells = new Map()
  const rows = entries.map((name) => {
    const cell = h('td', { class: 'num', text: '–' })
    cells.set(name, cell)
    return h('tr', null, h('th', { scope: 'row' }, t('device.books.' + name), h('p', { class: 'hint', text: t(`device.books.${name}.text`) })), cell)
  })
  const element = h('section', { class: 'panel' }, h('header', null, h('h2', { text: t('device.books') })),
    h('table', { class: 'books' }, h('tbody', null, rows)))
  return {
    element,
    /** @param {Record<string, number>} books */
    show(books) {
      for (const [name, cell] of cells) {
        const n = books[name] ?? 0
        setText(cell, number(n))
        cell.classList.toggle('some', n > 0 && bad.has(name))
      }
    },
  }
}

/** The device's schema. */
export function schemaPanel() {
  const body = h('div', { class: 'scroll-x', tabindex: 0, role: 'group', 'aria-label': t('device.schema') })
  const element = h('details', { class: 'panel' }, h('summary', null, h('h2', { text: t('device.schema') })), body)
  return {
    element,
    /** @param {import('./device.js').Schema} schema */
    show(schema) {
      const titles = ['channel', 'name', 'type', 'unit', 'scale', 'interval', 'writable']
      replace(body,
        h('table', null,
          h('thead', null, h('tr', null, titles.map((key) => h('th', { scope: 'col', text: t('device.schema.' + key) })))),
          h('tbody', null, schema.channels.map((c) => h('tr', null, [
            String(c.id), c.name, c.type, c.unit ?? '', c.scale ? `× 10^${number(c.scale)}` : '', c.interval_ms ? duration(c.interval_ms) : t('device.schema.irregular'),
            c.writable ? t('device.yes') : '',
          ].map((text) => h('td', { text })))))),
        h('p', { class: 'hint' }, t('device.schema.hash'), ' ', h('code', { text: schema.hash })))
    },
  }
}
