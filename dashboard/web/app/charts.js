// The charts of a device: one view and one cursor for all, history and live readings, drawn when there is something to see.
import { Chart } from './chart.js'
import { breaksAfter, visibleGaps } from './chartdata.js'
import { HistoryLoader } from './charthistory.js'
import { ends, moved } from './chartscale.js'
import { isNumber } from './exact.js'
import { TextChart } from './charttext.js'
import { h, replace } from './dom.js'

/**
 * @typedef {import('./chart.js').Channel} Channel
 * @typedef {import('./chartdata.js').Gap} Gap
 * @typedef {import('./chartscale.js').View} View
 */

/**
 * @typedef {object} Surroundings
 * @property {string} device
 * @property {() => number} now hub time; stands still while the reader pauses
 * @property {(view: View) => void} viewed another view was chosen in the charts themselves
 * @property {(phase: import('./charthistory.js').Phase, error: unknown) => void} loading
 * @property {(hertz: number) => void} limited pictures a second, where this machine is too slow for all; 0: it is not
 */

const fastest = 100 // ms between two pictures
const fallback = 30_000 // ms without readings that are a gap, until the hub has said more

export class Charts {
  /** @param {Surroundings} surroundings */
  constructor(surroundings) {
    this.outside = surroundings
    this.element = h('div', { class: 'charts' })
    /** @type {Map<number, Chart | TextChart>} in the order of the schema */
    this.charts = new Map()
    /** @type {View} */
    this.view = { span: 300_000, from: 0, to: 0 }
    /** @type {Gap[]} */
    this.known = []
    /** @type {Gap | null} one that has not ended */
    this.open = null
    this.silence = fallback
    this.pending = true // the history of what is to be seen is not here yet
    this.layout = { axis: 48 }
    this.slowness = 1
    this.cost = 0
    this.frames = 0
    this.painted = 0
    this.calm = matchMedia('(prefers-reduced-motion: reduce)')
    this.loader = new HistoryLoader(surroundings.device, () => this.wish(), (answer) => this.loaded(answer), surroundings.loading)
    this.watcher = new IntersectionObserver((entries) => {
      for (const { target, isIntersecting } of entries) {
        for (const chart of this.charts.values()) if (chart.element === target) chart.visible = isIntersecting
      }
      this.frame()
    }, { rootMargin: '100px' })
    this.ended = false
    this.plan()
  }

  /**
   * Shows these channels; charts that are there already stay as they are.
   * @param {Channel[]} channels
   */
  setChannels(channels) {
    /** @type {Map<number, Chart | TextChart>} */
    const next = new Map()
    let fresh = false
    for (const [i, channel] of channels.entries()) {
      let chart = this.charts.get(channel.id)
      if (!chart || !sameChannel(chart.channel, channel)) {
        fresh = true
        chart = channel.type === 'string' ? new TextChart(channel, () => this.pending) : new Chart(channel, i, {
          sync: 'device', layout: this.layout, pending: () => this.pending, zoom: (from, to) => this.choose({ span: 0, from, to }), point: (t) => this.point(t),
        })
        this.watcher.observe(chart.element)
      }
      next.set(channel.id, chart)
    }
    for (const chart of this.charts.values()) if (!Array.from(next.values()).includes(chart)) this.remove(chart)
    this.charts = next
    const wanted = [...next.values()].map((chart) => chart.element)
    if (wanted.some((element, i) => element !== this.element.children[i])) replace(this.element, wanted)
    if (!fresh) return
    this.pending = true
    this.loader.now()
  }

  /** @param {Chart | TextChart} chart */
  remove(chart) {
    this.watcher.unobserve(chart.element)
    chart.destroy()
  }

  /**
   * @param {View} view
   */
  setView(view) {
    const old = this.view
    if (old.span === view.span && old.from === view.from && old.to === view.to) return
    this.view = view
    this.pending = true
    for (const chart of this.charts.values()) if (chart instanceof Chart) chart.reset()
    this.point(null)
    this.frame()
    this.loader.now(view.span > 0 ? 0 : 150)
  }

  /** @param {View} view */
  choose(view) {
    this.setView(view)
    this.outside.viewed(view)
  }

  /**
   * Moves or scales the view, which stands still from then on.
   * @param {number} share of its length
   * @param {number} factor
   */
  move(share, factor) {
    const now = this.outside.now()
    this.choose(moved(ends(this.view, now), share, factor, now))
  }

  /**
   * Readings that have just been stored.
   * @param {Record<string, [number, unknown][]>} points by channel
   */
  add(points) {
    let old = false
    for (const [id, list] of Object.entries(points)) {
      const chart = this.charts.get(Number(id))
      if (!chart) continue
      for (const [t, v] of list) {
        const kept = chart instanceof Chart ? chart.trace.add(t, typeof v === 'boolean' ? Number(v) : isNumber(v) ? v : NaN) : chart.add(t, v)
        if (!kept) old = true
      }
    }
    if (old) this.loader.soon()
  }

  /**
   * Readings of the channels that have no points: texts.
   * @param {{id: number, t: number, v: unknown}[]} values
   */
  addTexts(values) {
    for (const { id, t, v } of values) {
      const chart = this.charts.get(id)
      if (chart instanceof TextChart) chart.add(t, v)
    }
  }

  /** The hub may know more than is drawn here. */
  reload() {
    this.loader.soon()
  }

  /** @returns {import('./charthistory.js').Wish | null} */
  wish() {
    if (this.charts.size === 0) return null
    const [from, to] = ends(this.view, this.outside.now())
    return { from, to, points: Math.min(Math.max(Math.round(this.width()), 200), 1000), channels: [...this.charts.keys()] }
  }

  width() {
    return Math.max(this.element.clientWidth - this.layout.axis, 100)
  }

  /** @param {import('./charthistory.js').Answer} answer */
  loaded(answer) {
    this.pending = false
    const byID = new Map(answer.channels.map((c) => [c.id, c]))
    for (const [id, chart] of this.charts) {
      const history = byID.get(id) ?? { id, t: [], last: [] }
      if (chart instanceof Chart) {
        chart.trace.load(history, answer.step_ms)
        chart.summarized = -Infinity
      } else chart.load(history)
    }
    this.known = visibleGaps(answer.gaps, answer.from, answer.to)
    this.silence = answer.min_gap_ms
    this.frame()
  }

  /**
   * What is to be seen of gaps at a moment; the open one reaches up to it.
   * @param {number} now
   */
  gaps(now) {
    const { open, known, view } = this
    if (!open || open.from >= (view.span > 0 ? now : view.to)) return known
    const last = known.at(-1)
    if (last && last.cause === open.cause && last.to >= open.from) return [...known.slice(0, -1), { ...last, to: now }]
    const from = Math.max(open.from, last?.to ?? 0)
    return from < now ? [...known, { ...open, from, to: now }] : known
  }

  /** ms until the next picture. */
  interval() {
    const span = this.view.span || this.view.to - this.view.from
    const pixel = span / this.width()
    const least = this.calm.matches ? 1000 : fastest
    return Math.max(least, Math.min(pixel, span <= 900_000 ? 250 : 1000)) * this.slowness
  }

  plan() {
    if (this.ended) return
    this.timer = setTimeout(() => requestAnimationFrame(() => {
      this.frame()
      this.plan()
    }), this.interval())
  }

  frame() {
    if (this.ended || document.hidden) return
    const start = performance.now()
    const now = this.outside.now()
    // By whole pixels, so that a picture is only drawn when it differs.
    const pixel = this.view.span / this.width()
    const range = ends(this.view, pixel > 0 ? Math.round(Math.ceil(now / pixel) * pixel) : now)
    const gaps = this.gaps(now)
    for (const chart of this.charts.values()) {
      if (chart instanceof Chart) chart.draw(range, gaps, breaksAfter(chart.channel.interval_ms ?? 0, this.silence, chart.trace.step))
      else chart.draw(range)
    }
    const end = performance.now()
    this.measure(end - start)
    if (end - this.painted > 1000) {
      this.painted = end
      for (const chart of this.charts.values()) chart.refresh()
    }
  }

  /**
   * Draws less often where drawing takes half of the time, and more often again when it does not.
   * @param {number} cost ms
   */
  measure(cost) {
    this.cost += (cost - this.cost) * 0.1
    if (++this.frames % 20) return
    const old = this.slowness
    const interval = this.interval()
    if (this.cost > interval * 0.5 && old < 16) this.slowness *= 2
    else if (old > 1 && this.cost < interval * 0.1) this.slowness /= 2
    if (this.slowness !== old) this.outside.limited(this.slowness > 1 ? 1000 / this.interval() : 0)
  }

  /** @param {number | null} t */
  point(t) {
    for (const chart of this.charts.values()) if (chart instanceof Chart) chart.show(t)
  }

  destroy() {
    this.ended = true
    clearTimeout(this.timer)
    this.loader.end()
    this.watcher.disconnect()
    for (const chart of this.charts.values()) chart.destroy()
    this.charts.clear()
  }
}

/**
 * @param {Channel} a
 * @param {Channel} b
 */
function sameChannel(a, b) {
  return a.id === b.id && a.name === b.name && a.unit === b.unit && a.type === b.type && a.scale === b.scale
}
