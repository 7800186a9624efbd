// The newest points of a series, as columns that a chart reads without copying.

/**
 * Columns of t (ms), min, max and last, ascending by t. They have twice the room they need: when it is used up the newest
 * half moves to the front, so that nothing is shifted or allocated from point to point.
 */
export class Ring {
  /** @param {number} capacity points kept */
  constructor(capacity) {
    this.capacity = capacity
    this.columns = [0, 1, 2, 3].map(() => new Float64Array(2 * capacity))
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
   * Adds a point, or widens the newest one if both lie in the same bucket of step ms (step 0: at the same moment). Returns
   * false, and does nothing, for a point older than that.
   * @param {number} t
   * @param {number} min
   * @param {number} max
   * @param {number} last
   * @param {number} [step]
   */
  push(t, min, max, last, step = 0) {
    const [ts, mins, maxs, lasts] = /** @type {[Float64Array, Float64Array, Float64Array, Float64Array]} */ (this.columns)
    const i = this.end - 1
    const newest = this.newest
    if (this.length && (t <= newest || (step > 0 && Math.floor(t / step) === Math.floor(newest / step)))) {
      if (t < newest && !(step > 0 && Math.floor(t / step) === Math.floor(newest / step))) return false
      mins[i] = Math.min(mins[i] ?? min, min)
      maxs[i] = Math.max(maxs[i] ?? max, max)
      if (t >= newest) {
        ts[i] = t
        lasts[i] = last
      }
      return true
    }
    if (this.end === 2 * this.capacity) {
      for (const column of this.columns) column.copyWithin(0, this.end - this.capacity, this.end)
      this.start = 0
      this.end = this.capacity
    }
    ts[this.end] = t
    mins[this.end] = min
    maxs[this.end] = max
    lasts[this.end] = last
    this.end++
    this.start = Math.max(this.start, this.end - this.capacity)
    return true
  }

  /** The columns as views, valid until the next push. */
  views() {
    return this.columns.map((column) => column.subarray(this.start, this.end))
  }
}
