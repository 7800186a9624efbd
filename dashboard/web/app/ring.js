// The newest points of a series, as columns that a chart reads without copying.
import { Exact, less } from './exact.js'

/** @typedef {import('./exact.js').Num} Num */

/**
 * Columns of t (ms), min, max and last, ascending by t. They have twice the room they need: when it is used up the newest
 * half moves to the front, so that nothing is shifted or allocated from point to point.
 */
export class Ring {
  /** @param {number} capacity points kept */
  constructor(capacity) {
    this.capacity = capacity
    this.columns = [0, 1, 2, 3].map(() => new Float64Array(2 * capacity))
    /** @type {(Exact | undefined)[][]} the values that have more digits than the columns hold, once there is one */
    this.exact = []
    this.start = 0
    this.end = 0
  }

  get length() {
    return this.end - this.start
  }

  /** The time of the newest point, -Infinity if there is none. */
  get newest() {
    return this.length ? this.at(0, this.length - 1) : -Infinity
  }

  /**
   * @param {number} column 0 t, 1 min, 2 max, 3 last
   * @param {number} i from 0, the oldest
   */
  at(column, i) {
    return /** @type {Float64Array} */ (this.columns[column])[this.start + i] ?? NaN
  }

  /**
   * The same with all digits.
   * @param {number} column
   * @param {number} i
   * @returns {Num}
   */
  value(column, i) {
    return this.exact[column]?.[this.start + i] ?? this.at(column, i)
  }

  /**
   * @param {number} column
   * @param {number} i from 0, of the column itself
   * @param {Num} v
   */
  set(column, i, v) {
    /** @type {Float64Array} */ (this.columns[column])[i] = Number(v)
    if (!(v instanceof Exact) && this.exact.length === 0) return
    if (this.exact.length === 0) this.exact = this.columns.map(() => [])
    const list = /** @type {(Exact | undefined)[]} */ (this.exact[column])
    list[i] = v instanceof Exact ? v : undefined
  }

  /**
   * Adds a point, or widens the newest one if both lie in the same bucket of step ms (step 0: at the same moment). Returns
   * false, and does nothing, for a point older than that.
   * @param {number} t
   * @param {Num} min
   * @param {Num} max
   * @param {Num} last
   * @param {number} [step]
   */
  push(t, min, max, last, step = 0) {
    const i = this.end - 1
    const newest = this.newest
    if (this.length && (t <= newest || (step > 0 && Math.floor(t / step) === Math.floor(newest / step)))) {
      if (t < newest && !(step > 0 && Math.floor(t / step) === Math.floor(newest / step))) return false
      if (less(min, this.value(1, this.length - 1))) this.set(1, i, min)
      if (less(this.value(2, this.length - 1), max)) this.set(2, i, max)
      if (t >= newest) {
        this.set(0, i, t)
        this.set(3, i, last)
      }
      return true
    }
    if (this.end === 2 * this.capacity) {
      for (const column of [...this.columns, ...this.exact]) column.copyWithin(0, this.end - this.capacity, this.end)
      this.start = 0
      this.end = this.capacity
    }
    for (const [column, v] of [t, min, max, last].entries()) this.set(column, this.end, v)
    this.end++
    this.start = Math.max(this.start, this.end - this.capacity)
    return true
  }

  /** The columns as views, valid until the next push. */
  views() {
    return this.columns.map((column) => column.subarray(this.start, this.end))
  }
}
