// One channel's chart: uPlot, a summary in words, a cursor for the keyboard, and the same as a table.
import { breaks, isolated, summary, Trace } from './chartdata.js'
import { readable, timeLabels, timeMarks, timeSteps, valueRange } from './chartscale.js'
import { table } from './charttext.js'
import { h, setText } from './dom.js'
import { dateTime, hasText, moment, number, t } from './i18n.js'
import { unitText } from './units.js'

/** @typedef {import('./chartdata.js').Gap} Gap */

/**
 * A channel of a device's schema.
 * @typedef {{id: number, name: string, unit?: string, type: string, scale?: number, interval_ms?: number, writable?: boolean}} Channel
 */

/**
 * What a chart draws in, and tells what is done to it.
 * @typedef {object} Stage
 * @property {string} sync the charts with this key share their cursor
 * @property {{axis: number}} layout width of the value axes, the same for all
 * @property {() => boolean} pending whether the history of what is to be seen is still on its way
 * @property {(from: number, to: number) => void} zoom
 * @property {(t: number | null) => void} point moves the cursor of all charts to a moment
 */

const inks = 6
const tall = 168 // CSS pixels
const quiet = 1000 // ms between two summaries

export class Chart {
  /**
   * @param {Channel} channel
   * @param {number} ink which colour
   * @param {Stage} stage
   */
  constructor(channel, ink, stage) {
    this.channel = channel
    this.stage = stage
    this.trace = new Trace()
    this.unit = unitText(channel.unit)
    this.visible = false
    /** @type {uPlot | null} made when it is first seen */
    this.plot = null
    /** @type {Gap[]} */
    this.gaps = []
    /** @type {number[]} */
    this.broken = []
    this.spread = false
    this.limit = Infinity
    /** @type {[number, number]} */
    this.range = [0, 1]
    /** @type {[number, number] | null} */
    this.values = null
    /** @type {number | null} the keyboard's cursor */
    this.pinned = null
    this.summarized = -Infinity
    this.colours = { ink: '', text: '', ground: '', grid: '', gap: '' }
    this.swatch = h('span', { class: `ink ink-${ink % inks}`, 'aria-hidden': 'true' })
    this.reading = h('output', { class: 'chart-reading', 'aria-live': 'off' })
    this.line = h('p', { class: 'chart-summary' })
    this.area = h('div', {
      class: 'chart-area', role: 'slider', tabindex: 0, 'aria-label': t('chart.cursor', { name: channel.name }), 'aria-valuemin': 0,
      'aria-valuemax': 100, 'aria-valuenow': 100, 'aria-valuetext': '–', on: { keydown: (/** @type {KeyboardEvent} */ e) => this.key(e), blur: () => this.stage.point(null), focus: () => this.area.setAttribute('aria-valuetext', this.reading.textContent ?? '') },
    })
    this.table = table(() => ({ trace: this.trace, range: this.range, channel, unit: this.unit, write: (v) => this.digits(v) }))
    this.element = h('figure', { class: 'chart' },
      h('figcaption', {}, h('h3', {}, this.swatch, channel.name, this.unit && h('span', { class: 'unit', text: this.unit })), this.reading),
      this.area, this.line, this.table)
    this.observer = new ResizeObserver(() => {
      const width = this.area.clientWidth
      if (this.plot && width > 0 && width !== this.plot.width) this.plot.setSize({ width, height: tall })
    })
    this.observer.observe(this.area)
  }

  get width() {
    return this.plot ? this.plot.over.clientWidth : this.area.clientWidth
  }

  /**
   * A value as the channel can tell it: whole numbers and decimals as they are, others by what the axis resolves, and always with
   * three digits, so that only 0 reads "0".
   * @param {import('./exact.js').Num} v
   */
  digits(v) {
    const { type, scale = 0 } = this.channel
    if (type === 'int' || type === 'bool') return number(v, Math.max(0, -scale))
    const [low, high] = this.values ?? [0, 1]
    const finest = Math.min((high - low) / 100, Math.abs(Number(v)) / 100 || Infinity)
    return readable(Number(v), 10 ** Math.floor(Math.log10(finest)), number)
  }

  /** @param {import('./exact.js').Num} v */
  write(v) {
    if (this.channel.type === 'bool') return v === 0 || v === 1 ? t(v ? 'chart.on' : 'chart.off') : ''
    return this.digits(v) + (this.unit && '\u00a0' + this.unit)
  }

  /**
   * Draws, if there is something new to see.
   * @param {[number, number]} range
   * @param {Gap[]} gaps
   * @param {number} limit ms between readings that are a silence
   */
  draw(range, gaps, limit) {
    if (!this.visible || this.area.clientWidth === 0) return
    const same = range[0] === this.range[0] && range[1] === this.range[1]
    if (same && !this.trace.changed && gaps === this.gaps && this.plot) return
    this.range = range
    this.gaps = gaps
    this.limit = limit
    this.trace.changed = false
    const data = /** @type {uPlot.AlignedData} */ (this.trace.points.views())
    this.broken = breaks(data[0], limit, gaps)
    this.spread = this.trace.decimated
    const plot = this.plot ??= this.make(data)
    plot.batch(() => {
      plot.setData(data, false)
      plot.setScale('x', { min: range[0], max: range[1] })
    })
    if (this.pinned !== null) this.show(this.pinned)
    else if ((plot.cursor.left ?? -1) < 0) this.rest()
    const now = performance.now()
    if (now - this.summarized > quiet) this.summarize()
  }

  /** @param {uPlot.AlignedData} data */
  make(data) {
    this.recolour()
    const { colours, stage } = this
    const { linear, stepped } = uPlot.paths
    const paths = this.channel.type === 'bool' ? stepped?.({ align: 1 }) : linear?.()
    /** @type {uPlot.Series} */
    const common = {
      spanGaps: false, pxAlign: 0,
      gaps: (u) => this.broken.map((i) => /** @type {[number, number]} */ ([
        Math.round(u.valToPos(/** @type {number} */ (u.data[0][i]), 'x', true)), Math.round(u.valToPos(/** @type {number} */ (u.data[0][i + 1]), 'x', true))])),
    }
    /** The edges of the band, where points stand for more than one value. @type {uPlot.Series} */
    const edge = { ...common, stroke: () => colours.ink, alpha: 0.35, width: 1, points: { show: false }, paths: (...args) => this.spread ? paths?.(...args) ?? null : null }
    /** @type {uPlot.Axis} */
    const axis = { stroke: () => colours.text, grid: { stroke: () => colours.grid, width: 1 }, ticks: { show: false }, font: '11px system-ui, sans-serif' }
    return new uPlot({
      width: this.area.clientWidth, height: tall, ms: 1, pxAlign: false, legend: { show: false }, padding: [8, 18, 0, 0],
      cursor: {
        y: false, drag: { x: true, y: false, setScale: false }, focus: { prox: -1 },
        sync: { key: stage.sync, scales: ['x', null], filters: { pub: (type) => type === 'mousemove' || type === 'mouseleave' } },
        points: { size: 7 },
      },
      scales: {
        x: { time: true, range: () => this.range },
        y: { range: (_, low, high) => this.channel.type === 'bool' ? [-0.15, 1.15] : (this.values = valueRange(this.values, low, high)) },
      },
      series: [
        {},
        edge, { ...edge },
        {
          ...common, ...(paths && { paths }), stroke: () => colours.ink, width: 1.5,
          points: { show: false, size: 5, width: 0, fill: () => colours.ink, filter: (u) => isolated(u.data[0].length, this.broken) },
        },
      ],
      bands: [{ series: [2, 1], fill: () => colours.ink }],
      axes: [
        {
          ...axis, space: 72, size: 34, incrs: timeSteps, splits: (_, __, from, to, step) => timeMarks(from, to, step, dateTime),
          values: (_, marks, __, ___, step) => timeLabels(marks, step, dateTime),
        },
        {
          ...axis, space: 32, size: (_, labels) => {
            const longest = Math.max(0, ...(labels ?? []).map((l) => String(l).length))
            return stage.layout.axis = Math.max(stage.layout.axis, longest * 6.6 + 14)
          },
          values: (_, splits, __, ___, step) => this.trace.points.length === 0 ? splits.map(() => '') : this.channel.type === 'bool' ? splits.map((v) => v === 0 || v === 1 ? this.write(v) : '')
            : splits.map((v) => readable(v, step, number, Math.max(...splits.map(Math.abs)))),
          ...(this.channel.type === 'bool' ? { splits: [0, 1] } : {}),
        },
      ],
      hooks: {
        drawClear: [(u) => this.hatch(u)],
        setCursor: [(u) => this.cursor(u)],
        setSelect: [(u) => {
          const { left, width } = u.select
          if (width < 8) return
          u.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false)
          stage.zoom(u.posToVal(left, 'x'), u.posToVal(left + width, 'x'))
        }],
      },
    }, data, this.area)
  }

  /** Reads the colours anew, which follow the theme. */
  recolour() {
    const style = getComputedStyle(this.element)
    this.colours.ink = getComputedStyle(this.swatch).color
    this.colours.text = style.color
    this.colours.ground = style.backgroundColor
    this.colours.grid = style.borderTopColor
    this.colours.gap = style.outlineColor
  }

  /** Redraws what has the same data and another look. */
  refresh() {
    if (!this.plot) return
    const old = Object.values(this.colours).join()
    this.recolour()
    if (old !== Object.values(this.colours).join()) this.plot.redraw(false, true)
  }

  /**
   * Hatches the gaps, and writes their cause into those that are wide enough.
   * @param {uPlot} u
   */
  hatch(u) {
    const { ctx, bbox } = u
    const scale = devicePixelRatio
    for (const gap of this.gaps) {
      if (gap.cause === 'unknown') continue // a silence that nobody knows the cause of is just empty
      const left = Math.max(u.valToPos(gap.from, 'x', true), bbox.left)
      const right = Math.min(u.valToPos(gap.to, 'x', true), bbox.left + bbox.width)
      if (!(right - left >= scale)) continue
      ctx.save()
      ctx.beginPath()
      ctx.rect(left, bbox.top, right - left, bbox.height)
      ctx.clip()
      ctx.strokeStyle = this.colours.gap
      ctx.lineWidth = scale
      ctx.beginPath()
      // The lines stand still on the canvas while the gap moves with the time.
      for (let x = Math.floor((left - bbox.height) / (8 * scale)) * 8 * scale; x < right; x += 8 * scale) {
        ctx.moveTo(x, bbox.top + bbox.height)
        ctx.lineTo(x + bbox.height, bbox.top)
      }
      ctx.stroke()
      ctx.font = `${11 * scale}px system-ui, sans-serif`
      const words = gapWords(gap)
      const { width } = ctx.measureText(words)
      if (width + 8 * scale < right - left) {
        ctx.fillStyle = this.colours.ground
        ctx.fillRect(left, bbox.top, width + 8 * scale, 18 * scale)
        ctx.fillStyle = this.colours.text
        ctx.textBaseline = 'top'
        ctx.textAlign = 'left'
        ctx.fillText(words, left + 4 * scale, bbox.top + 4 * scale)
      }
      ctx.restore()
    }
  }

  /**
   * Says what is under the cursor.
   * @param {uPlot} u
   */
  cursor(u) {
    const { left, idx } = u.cursor
    if (left === undefined || left < 0) return this.rest()
    const at = u.posToVal(left, 'x')
    const gap = this.gaps.find((g) => g.from <= at && at <= g.to)
    const i = idx ?? -1
    const t0 = i >= 0 ? this.trace.points.at(0, i) : NaN
    if (gap && !(Math.abs(t0 - at) < (this.range[1] - this.range[0]) / 200)) return this.say(`${moment(at)}: ${gapWords(gap)}`)
    if (!(Math.abs(t0 - at) <= Math.max(this.limit, (this.range[1] - this.range[0]) / 100))) return this.say(`${moment(at)}: ${t(this.stage.pending() ? 'chart.pending' : 'chart.nothing')}`)
    this.say(this.describe(i))
  }

  /** @param {number} i */
  describe(i) {
    const { points } = this.trace
    const min = this.write(points.value(1, i))
    const max = this.write(points.value(2, i))
    const spread = min !== max ? ` (${t('chart.between', { min, max })})` : ''
    return `${moment(points.at(0, i))}: ${this.write(points.value(3, i))}${spread}`
  }

  /** The newest reading in view, when nobody points anywhere. */
  rest() {
    const { points } = this.trace
    let i = points.length - 1
    while (i >= 0 && points.at(0, i) > this.range[1]) i--
    this.say(i >= 0 && points.at(0, i) >= this.range[0] ? this.describe(i) : this.stage.pending() ? '' : t('chart.nothing'))
  }

  /** Another stretch of time is to be seen: what was fitted to the old one is forgotten. */
  reset() {
    this.values = null
    this.summarized = -Infinity
  }

  /** @param {string} text */
  say(text) {
    setText(this.reading, text)
  }

  /**
   * Shows the cursor at a moment, or nowhere.
   * @param {number | null} at
   */
  show(at) {
    const u = this.plot
    this.pinned = at
    if (!u) return
    u.setCursor(at === null ? { left: -10, top: -10 } : { left: u.valToPos(at, 'x'), top: u.over.clientHeight / 2 }, true)
  }

  /**
   * Moves the cursor from reading to reading.
   * @param {KeyboardEvent} event
   */
  key(event) {
    const { points } = this.trace
    const [from, to] = this.range
    /** @type {number[]} */
    const seen = []
    for (let i = 0; i < points.length; i++) if (points.at(0, i) >= from && points.at(0, i) <= to) seen.push(i)
    const first = seen[0]
    const last = seen.at(-1)
    if (event.altKey || event.ctrlKey || event.metaKey || first === undefined || last === undefined) return
    const pinned = this.pinned
    let here = pinned === null ? last + 1 : last
    if (pinned !== null) while (here > first && points.at(0, here) > pinned) here--
    const step = Math.max(1, Math.round(seen.length / 10))
    const next = { ArrowLeft: here - 1, ArrowDown: here - 1, ArrowRight: here + 1, ArrowUp: here + 1, PageDown: here - step, PageUp: here + step, Home: first, End: last }[event.key]
    if (event.key === 'Escape') this.stage.point(null)
    if (next === undefined) return
    event.preventDefault()
    const i = Math.min(Math.max(next, first), last)
    this.stage.point(points.at(0, i))
    this.area.setAttribute('aria-valuenow', String(Math.round(100 * (points.at(0, i) - from) / (to - from))))
    this.area.setAttribute('aria-valuetext', this.describe(i))
  }

  summarize() {
    this.summarized = performance.now()
    const s = summary(this.trace.points, ...this.range)
    if (!s) return setText(this.line, t(this.stage.pending() ? 'chart.pending' : 'chart.empty'))
    if (this.channel.type === 'bool') return setText(this.line, t('chart.summary.bool', { last: this.write(s.last), at: moment(s.at), n: s.count }))
    const small = (Number(s.max) - Number(s.min)) * 0.1
    const rise = Number(s.last) - Number(s.first)
    const trend = rise > small ? 'rising' : -rise > small ? 'falling' : 'steady'
    setText(this.line, t('chart.summary', { min: this.write(s.min), max: this.write(s.max), last: this.write(s.last), at: moment(s.at), trend: t('chart.' + trend) }))
  }

  destroy() {
    this.observer.disconnect()
    this.plot?.destroy()
    this.plot = null
    this.element.remove()
  }
}

/**
 * Why there is nothing in a stretch of a chart.
 * @param {Gap} gap
 * @param {boolean} [full] with what the hub says about it
 */
export function gapWords(gap, full = false) {
  const key = 'chart.gap.' + gap.cause
  const words = hasText(key) ? t(key) : gap.cause
  return full && gap.text ? `${words}: ${gap.text}` : words
}
