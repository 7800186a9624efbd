// A row of the table of devices; on a narrow screen it looks like a card.
import { ago, setAgo } from '../ages.js'
import { h, replace, setText } from '../dom.js'
import { brief, t } from '../i18n.js'
import { badge } from '../states.js'
import { unitText } from '../units.js'

/** @typedef {{name: string, unit?: string, v: any, text: string, t: number, state: string}} Value */
/**
 * @typedef {{id: string, kind: string, labels?: Record<string, string>, state: string, since: number, seen?: number, skew_ms?: number,
 *   firmware?: string, model?: string, values?: Value[]}} Row
 */

/**
 * @param {string} key
 * @param {...import('../dom.js').Child} children
 */
function cell(key, ...children) {
  return h('td', { role: 'cell', class: `col-${key}` }, children)
}

/** @typedef {{element: HTMLTableRowElement, link: HTMLAnchorElement | null, update(row: Row): void}} ShownRow */

/**
 * @param {Row} row
 * @returns {ShownRow}
 */
export function deviceRow(row) {
  const state = cell('state')
  const link = h('a', { class: 'cover', href: `/devices/${encodeURIComponent(row.id)}`, text: row.id })
  const labels = h('span', { class: 'labels muted' })
  const readings = h('div', { class: 'readings' })
  const seen = ago(row.seen ?? 0)
  const kind = cell('kind')
  const firmware = cell('firmware')
  const element = h('tr', { role: 'row' }, state, cell('device', link, labels), cell('readings', readings), cell('seen', seen), kind, firmware)
  /** @type {Row | null} */
  let shown = null
  return {
    element,
    link,
    /** @param {Row} next */
    update(next) {
      if (next === shown) return
      if (next.state !== shown?.state) {
        replace(state, badge(next.state))
        element.className = `is-${next.state}`
      }
      setText(labels, Object.entries(next.labels ?? {}).map(([k, v]) => `${k}=${v}`).join('  '))
      showReadings(readings, next.values ?? [], next.state)
      setAgo(seen, next.seen ?? 0)
      if (!next.seen) setText(seen, t('devices.noframe'))
      setText(kind, next.kind)
      setText(firmware, next.firmware ?? '')
      shown = next
    },
  }
}

/**
 * @param {HTMLElement} list
 * @param {Value[]} values
 * @param {string} deviceState
 */
function showReadings(list, values, deviceState) {
  if (list.children.length !== values.length) {
    replace(list, values.map(() => h('span', null, h('span', { class: 'muted' }), ' ', h('b'), ' ', h('span', { class: 'muted' }))))
  }
  for (const [i, v] of values.entries()) {
    const entry = list.children[i]
    const [name, value, unit] = entry?.children ?? []
    if (!entry || !name || !value || !unit) continue
    setText(name, v.name)
    setText(value, brief(v))
    value.setAttribute('title', v.text)
    setText(unit, unitText(v.unit))
    entry.classList.toggle('old', deviceState === 'offline' || deviceState === 'stale' || v.state === 'stale')
  }
}

/**
 * The place of a row that is on its way.
 * @returns {ShownRow}
 */
export function pendingRow() {
  return {
    element: h('tr', { role: 'row', class: 'pending', 'aria-busy': 'true' }, ['state', 'device', 'readings', 'seen', 'kind', 'firmware'].map((key) => cell(key, h('i')))),
    link: null,
    update() {},
  }
}
