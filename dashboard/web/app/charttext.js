// Charts in words: the points of one as a table, and what stands for one where a channel's values are texts.
import { h, replace, setText } from './dom.js'
import { dateTime, moment, t } from './i18n.js'

const tableRows = 200
const kept = 500 // changes of a text
const shown = 12
const quiet = 1000 // ms between two pictures

/**
 * The points of a chart as a table, for those who can't see it or want the numbers.
 * @param {() => {trace: import('./chartdata.js').Trace, range: [number, number], channel: import('./chart.js').Channel, unit: string, write: (v: import('./exact.js').Num) => string}} now
 */
export function table(now) {
  const body = h('div', { class: 'scroll-x', tabindex: 0, role: 'group' })
  const details = h('details', {
    class: 'chart-table', on: {
      toggle: () => {
        if (details.open) fill()
        else replace(body)
      },
    },
  }, h('summary', { text: t('chart.table') }), body)

  function fill() {
    const { trace: { points }, range: [from, to], channel, unit, write } = now()
    body.setAttribute('aria-label', t('chart.table.of', { name: channel.name }))
    const lines = []
    for (let i = points.length - 1; i >= 0 && lines.length < tableRows; i--) {
      const at = points.at(0, i)
      if (at >= from && at <= to) lines.push(h('tr', null, h('td', { class: 'nowrap', text: dateTime(at) }), [3, 1, 2].map((c) => h('td', { class: 'num', text: write(points.value(c, i)) }))))
    }
    replace(body,
      h('table', null,
        h('caption', { text: t('chart.table.caption', { from: dateTime(from), to: dateTime(to), n: lines.length }) }),
        h('thead', null, h('tr', null, h('th', { scope: 'col', text: t('chart.time') }), [`${channel.name}${unit && ` (${unit})`}`, t('chart.min'), t('chart.max')].map((text) => h('th', { scope: 'col', class: 'num', text })))),
        h('tbody', null, lines)),
      h('button', { type: 'button', class: 'quiet', text: t('chart.table.again'), on: { click: fill } }))
  }
  return details
}

/** The changes of a text, newest first. */
export class TextChart {
  /**
   * @param {import('./chart.js').Channel} channel
   * @param {() => boolean} pending whether the history of what is to be seen is still on its way
   */
  constructor(channel, pending) {
    this.channel = channel
    this.pending = pending
    this.visible = false
    /** @type {{t: number, v: string}[]} readings whose value differs from the one before, ascending */
    this.changes = []
    this.newest = -Infinity
    this.changed = true
    this.drawn = 0
    /** @type {[number, number]} */
    this.range = [0, 0]
    this.rows = h('tbody')
    this.line = h('p', { class: 'chart-summary' })
    this.element = h('figure', { class: 'chart' },
      h('figcaption', null, h('h3', { text: channel.name })),
      h('div', { class: 'chart-texts', tabindex: 0, role: 'group', 'aria-label': t('chart.changes', { name: channel.name }) },
        h('table', null, h('thead', null, h('tr', null, h('th', { scope: 'col', text: t('chart.time') }), h('th', { scope: 'col', text: t('chart.value') }))), this.rows)),
      this.line)
  }

  /**
   * @param {number} at
   * @param {unknown} v
   */
  add(at, v) {
    if (typeof v !== 'string') return true
    if (at < this.newest) return false
    this.newest = at
    if (this.changes.at(-1)?.v === v) return true
    this.changes.push({ t: at, v })
    if (this.changes.length > kept) this.changes.shift()
    this.changed = true
    return true
  }

  /** @param {import('./chartdata.js').History} history */
  load(history) {
    const end = history.t.at(-1) ?? -Infinity
    const later = this.changes.filter((c) => c.t > end)
    this.changes = []
    this.newest = -Infinity
    history.t.forEach((at, i) => this.add(at, history.last[i]))
    for (const c of later) this.add(c.t, c.v)
    this.changed = true
  }

  /** @param {[number, number]} range */
  draw(range) {
    const now = performance.now()
    if (!this.visible || now - this.drawn < quiet || (!this.changed && this.range[0] === range[0])) return
    this.drawn = now
    this.range = range
    const from = this.changes.findLastIndex((c) => c.t <= range[0])
    const seen = this.changes.slice(Math.max(from, 0)).filter((c) => c.t <= range[1])
    setText(this.line, seen.length ? t('chart.changes.n', { n: seen.length }) : t(this.pending() ? 'chart.pending' : 'chart.empty'))
    if (!this.changed && this.rows.childElementCount === Math.min(seen.length, shown)) return
    this.changed = false
    replace(this.rows, seen.slice(-shown).reverse().map((c) => h('tr', null, h('td', { class: 'nowrap', text: moment(c.t) }), h('td', { text: c.v }))))
  }

  refresh() {}

  destroy() {
    this.element.remove()
  }
}
