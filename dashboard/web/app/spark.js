// A line of a few minutes without axes. It draws at most four times a second (once where motion is not wanted), and only what is mounted.
import { now } from './clock.js'
import { h } from './dom.js'

const most = 600 // points kept
const interval = () => (matchMedia('(prefers-reduced-motion: reduce)').matches ? 1000 : 250) // ms between two drawings

/** @typedef {{element: HTMLCanvasElement, load(points: [number, number][]): void, push(t: number, v: number): void, old(stale: boolean): void}} Spark */

/**
 * @param {number} width ms that the line reaches back
 * @returns {Spark}
 */
export function spark(width) {
  const element = h('canvas', { class: 'spark', 'aria-hidden': 'true' })
  /** @type {[number, number][]} */
  let points = []
  let stale = false
  let pending = false
  let drawn = 0
  function change() {
    if (pending) return
    pending = true
    setTimeout(() => requestAnimationFrame(() => {
      pending = false
      drawn = performance.now()
      if (element.isConnected) draw(element, points, now() - width, now(), stale)
    }), Math.max(0, drawn + interval() - performance.now()))
  }
  return {
    element,
    load(older) {
      const end = older.at(-1)?.[0] ?? -Infinity
      points = [...older, ...points.filter(([t]) => t > end)].slice(-most)
      change()
    },
    push(t, v) {
      const last = points.at(-1)
      if (last && t <= last[0]) return
      points.push([t, v])
      if (points.length > most || (points[0]?.[0] ?? t) < t - width) points.shift()
      change()
    },
    old(next) {
      if (next !== stale) {
        stale = next
        change()
      }
    },
  }
}

/**
 * The least and greatest value of each pixel, so that no spike is lost; an interruption stays one.
 * @param {[number, number][]} points in order of time
 * @param {number} from
 * @param {number} to
 * @param {number} columns
 * @returns {{x: number, min: number, max: number, first: number, last: number, t: number}[]}
 */
export function thin(points, from, to, columns) {
  /** @type {{x: number, min: number, max: number, first: number, last: number, t: number}[]} */
  const out = []
  for (const [t, v] of points) {
    if (t < from || t > to) continue
    const x = Math.min(columns - 1, Math.floor((t - from) / (to - from) * columns))
    const column = out.at(-1)
    if (column?.x === x) {
      column.min = Math.min(column.min, v)
      column.max = Math.max(column.max, v)
      column.last = v
      column.t = t
    } else out.push({ x, min: v, max: v, first: v, last: v, t })
  }
  return out
}

/**
 * @param {HTMLCanvasElement} canvas
 * @param {[number, number][]} points
 * @param {number} from
 * @param {number} to
 * @param {boolean} stale
 */
function draw(canvas, points, from, to, stale) {
  const scale = devicePixelRatio || 1
  const width = Math.round(canvas.clientWidth * scale)
  const height = Math.round(canvas.clientHeight * scale)
  const g = canvas.getContext('2d')
  if (!g || width === 0) return
  if (canvas.width !== width || canvas.height !== height) {
    canvas.width = width
    canvas.height = height
  } else g.clearRect(0, 0, width, height)
  const columns = thin(points, from, to, Math.max(1, Math.floor(width / scale)))
  const last = columns.at(-1)
  if (!last) return
  let low = Infinity
  let high = -Infinity
  for (const c of columns) {
    low = Math.min(low, c.min)
    high = Math.max(high, c.max)
  }
  const room = 3 * scale
  // A flat line lies in the middle, and noise in the last digit does not look like a storm.
  const span = Math.max(high - low, Math.abs(high) * 1e-3) || 1
  const middle = (high + low) / 2
  const y = (/** @type {number} */ v) => height / 2 - (v - middle) / span * (height - 2 * room)
  const style = getComputedStyle(canvas)
  g.strokeStyle = g.fillStyle = style.color
  g.lineWidth = 1.5 * scale
  g.lineJoin = 'round'
  // What lies further apart than three times the usual distance is not joined.
  const gaps = columns.slice(1).map((c, i) => c.x - (columns[i]?.x ?? 0)).sort((a, b) => a - b)
  const reach = Math.max(3, (gaps[gaps.length >> 1] ?? 1) * 3)
  g.beginPath()
  let before = -Infinity
  for (const c of columns) {
    const x = (c.x + 0.5) * scale
    if (c.x - before > reach) g.moveTo(x, y(c.first))
    else g.lineTo(x, y(c.first))
    if (c.max > c.min) {
      g.lineTo(x, y(c.min))
      g.lineTo(x, y(c.max))
    }
    g.lineTo(x, y(c.last))
    before = c.x
  }
  g.stroke()
  const x = (last.x + 0.5) * scale
  if (stale) {
    g.setLineDash([2 * scale, 3 * scale])
    g.beginPath()
    g.moveTo(x, y(last.last))
    g.lineTo(width, y(last.last))
    g.stroke()
    g.setLineDash([])
  } else {
    g.beginPath()
    g.arc(Math.min(x, width - room), y(last.last), 2.2 * scale, 0, 7)
    g.fill()
  }
}
