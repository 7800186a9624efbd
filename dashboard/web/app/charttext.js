// What stands for a chart where a channel's values are texts: its changes, newest first.
import { h, replace, setText } from './dom.js'
import { moment, t } from './i18n.js'

const kept = 500
const shown = 12
const quiet = 1000 // ms between two pictures

export class TextChart {
  /** @param {import('./chart.js').Channel} channel */
  constructor(channel) {
    this.channel = channel
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
    setText(this.line, seen.length ? t('chart.changes.n', { n: seen.length }) : t('chart.empty'))
    if (!this.changed && this.rows.childElementCount === Math.min(seen.length, shown)) return
    this.changed = false
    replace(this.rows, seen.slice(-shown).reverse().map((c) => h('tr', null, h('td', { class: 'nowrap', text: moment(c.t) }), h('td', { text: c.v }))))
  }

  refresh() {}

  destroy() {
    this.element.remove()
  }
}
