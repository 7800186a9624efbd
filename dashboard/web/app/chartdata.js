// What a chart draws of one channel: the history the hub sent, and behind it the readings that have come since.
import { isNumber, less } from './exact.js'
import { Ring } from './ring.js'

/** @typedef {import('./exact.js').Num} Num */

/**
 * A channel as GET /devices/{id}/readings answers it. Booleans and strings have no min and max.
 * @typedef {object} History
 * @property {number} id
 * @property {number[]} t ms
 * @property {(Num | null)[]} [min]
 * @property {(Num | null)[]} [max]
 * @property {(Num | boolean | string | null)[]} last
 */

/**
 * A stretch without readings, and why.
 * @typedef {{from: number, to: number, cause: string, text?: string}} Gap
 */

const capacity = 3000 // points of a trace; a window has at most a third of that
const recent = 1024 // readings kept as they came, for a window with finer steps

export class Trace {
  constructor() {
    this.step = 0
    this.points = new Ring(capacity)
    this.raw = new Ring(recent)
    this.changed = true
  }

  /**
   * A reading that has just come. Returns false for one that is older than what is drawn: the history has to be asked again.
   * @param {number} t
   * @param {Num} v
   */
  add(t, v) {
    if (!Number.isFinite(Number(v))) return true // a gap
    this.changed = true
    this.raw.push(t, v, v, v)
    return this.points.push(t, v, v, v, this.step)
  }

  /**
   * Replaces everything by history, but for what came after its end.
   * @param {History} history
   * @param {number} step ms between its points
   */
  load(history, step) {
    const points = new Ring(capacity)
    for (let i = 0; i < history.t.length; i++) {
      const last = toNumber(history.last[i])
      const min = history.min?.[i] ?? last
      const max = history.max?.[i] ?? last
      if (last === null && min === null) continue
      points.push(/** @type {number} */ (history.t[i]), min ?? NaN, max ?? NaN, last ?? max ?? NaN)
    }
    const from = step > 0 ? Math.floor(points.newest / step) * step : points.newest
    for (let i = 0; i < this.raw.length; i++) {
      const t = this.raw.at(0, i)
      const v = this.raw.value(3, i)
      if (t >= from) points.push(t, v, v, v, step)
    }
    this.points = points
    this.step = step
    this.changed = true
  }

  /** Whether some points stand for more than one value. */
  get decimated() {
    for (let i = 0; i < this.points.length; i++) if (this.points.at(1, i) !== this.points.at(2, i)) return true
    return false
  }
}

/** @param {unknown} v */
function toNumber(v) {
  return isNumber(v) ? v : typeof v === 'boolean' ? Number(v) : null
}

/**
 * Where a line has to be interrupted: between neighbours that are further apart than limit, or have a known gap between them.
 * @param {ArrayLike<number>} t
 * @param {number} limit ms
 * @param {Gap[]} gaps
 * @returns {number[]} indices of the points behind which there is nothing
 */
export function breaks(t, limit, gaps) {
  const found = []
  for (let i = 0; i + 1 < t.length; i++) {
    const a = /** @type {number} */ (t[i])
    const b = /** @type {number} */ (t[i + 1])
    if (b - a > limit || gaps.some((g) => g.from >= a && g.to <= b && g.to > g.from)) found.push(i)
  }
  return found
}

/**
 * The points with nothing on either side, which no line shows.
 * @param {number} length
 * @param {number[]} broken as of breaks
 */
export function isolated(length, broken) {
  const found = []
  let previous = -1
  for (const i of [...broken, length - 1]) {
    if (i === previous + 1) found.push(i)
    previous = i
  }
  return length ? found : []
}

/**
 * What a chart shows between two moments, in numbers.
 * @param {Ring} points
 * @param {number} from
 * @param {number} to
 * @returns {{min: Num, max: Num, first: Num, last: Num, at: number, count: number} | null}
 */
export function summary(points, from, to) {
  let [min, max, first, last] = /** @type {[Num, Num, Num, Num]} */ ([Infinity, -Infinity, NaN, NaN])
  let at = 0
  let count = 0
  for (let i = 0; i < points.length; i++) {
    const t = points.at(0, i)
    if (t < from || t > to) continue
    last = points.value(3, i)
    if (count++ === 0) first = last
    at = t
    const [low, high] = [points.value(1, i), points.value(2, i)]
    if (less(low, min)) min = low
    if (less(max, high)) max = high
  }
  return count ? { min, max, first, last, at, count } : null
}

/**
 * Joins gaps of one cause that touch, and leaves out what lies outside; ascending.
 * @param {Gap[]} gaps
 * @param {number} from
 * @param {number} to
 */
export function visibleGaps(gaps, from, to) {
  /** @type {Gap[]} */
  const found = []
  for (const g of [...gaps].sort((a, b) => a.from - b.from)) {
    if (g.to <= from || g.from >= to) continue
    const before = found.at(-1)
    if (before && before.cause === g.cause && before.text === g.text && g.from <= before.to) before.to = Math.max(before.to, g.to)
    else found.push({ ...g })
  }
  return found
}

/**
 * How far apart readings may be before the line between them is broken.
 * @param {number} interval ms that the device says are between them; 0: it does not
 * @param {number} silence ms that the hub takes for a gap
 * @param {number} step ms between the points of the history
 */
export function breaksAfter(interval, silence, step) {
  return Math.max(3 * interval, silence, 2.5 * step)
}
