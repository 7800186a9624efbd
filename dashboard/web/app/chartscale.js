// Windows of time, and how axes are divided and written.

const minute = 60_000
const hour = 60 * minute
const day = 24 * hour

/** The windows a chart offers, by the name they have in an address. */
export const windows = /** @type {const} */ ([
  ['1m', minute], ['5m', 5 * minute], ['15m', 15 * minute], ['1h', hour], ['6h', 6 * hour], ['24h', day], ['7d', 7 * day], ['30d', 30 * day],
])

/** @typedef {{span: number, from: number, to: number}} View span > 0: the last so many ms; else a fixed range */

/**
 * The view that an address means.
 * @param {Record<string, string>} query w, or from and to in ms
 * @returns {View}
 */
export function parseView(query) {
  const from = Number(query['from'])
  const to = Number(query['to'])
  if (from > 0 && to - from >= 1000 && to - from <= 400 * day) return { span: 0, from, to }
  const found = windows.find(([name]) => name === query['w'])
  return { span: found?.[1] ?? 5 * minute, from: 0, to: 0 }
}

/**
 * What parseView reads.
 * @param {View} view
 */
export function formatView(view) {
  if (view.span > 0) return { w: windows.find(([, ms]) => ms === view.span)?.[0] ?? null, from: null, to: null }
  return { w: null, from: Math.round(view.from), to: Math.round(view.to) }
}

/**
 * The ends of a view at a moment.
 * @param {View} view
 * @param {number} now
 * @returns {[number, number]}
 */
export function ends(view, now) {
  return view.span > 0 ? [now - view.span, now] : [view.from, view.to]
}

/**
 * A fixed view, moved by a share of its length and made longer by a factor, which does not reach beyond now.
 * @param {[number, number]} range
 * @param {number} share
 * @param {number} factor
 * @param {number} now
 * @returns {View}
 */
export function moved([from, to], share, factor, now) {
  const length = Math.min(Math.max((to - from) * factor, 1000), 400 * day)
  const middle = (from + to) / 2 + share * (to - from)
  const end = Math.min(middle + length / 2, now)
  return { span: 0, from: end - length, to: end }
}

/** How far apart the marks of a time axis may be, ms. Below a second its labels would all be the same. */
export const timeSteps = [1, 2, 5, 10, 15, 30].map((n) => n * 1000).concat([1, 2, 5, 10, 15, 30].map((n) => n * minute),
  [1, 2, 3, 4, 6, 8, 12].map((n) => n * hour), [1, 2, 3, 5, 7, 10, 14, 30, 60, 120, 200].map((n) => n * day))

/**
 * The marks of a time axis: where the clock that the labels are written by shows a multiple of step, to the millisecond. A label
 * leaves out what is smaller than its step, so a mark anywhere else would be labelled with a moment that is not its own.
 * @param {number} from ms
 * @param {number} to ms
 * @param {number} step one of timeSteps
 * @param {(ms: number) => string} write as "2026-03-04 14:02:11"
 * @returns {number[]} ascending
 */
export function timeMarks(from, to, step, write) {
  /** What that clock is ahead of UTC. @param {number} ms */
  const ahead = (ms) => {
    const second = Math.floor(ms / 1000) * 1000
    return Date.parse(write(second).replace(' ', 'T') + 'Z') - second
  }
  const marks = []
  let clock = Math.ceil((from + ahead(from)) / step) * step
  for (let mark = from; step > 0 && mark <= to && marks.length < 100; clock += step) {
    mark = clock - ahead(clock - ahead(mark)) // the clock may be put forward or back in between
    if (mark >= from && mark <= to && mark > (marks.at(-1) ?? -Infinity)) marks.push(mark)
  }
  return marks
}

/**
 * Labels of a time axis: seconds only where they matter, the day where it begins.
 * @param {number[]} marks as of timeMarks
 * @param {number} step ms between them
 * @param {(ms: number) => string} write as "2026-03-04 14:02:11"
 */
export function timeLabels(marks, step, write) {
  let today = ''
  return marks.map((ms) => {
    const [date = '', clock = ''] = write(ms).split(' ')
    const short = date.slice(5)
    if (step >= day) return short
    const time = clock.slice(0, step < minute ? 8 : 5)
    const fresh = today !== '' && today !== date
    today = date
    return fresh ? `${time}\n${short}` : time
  })
}

/**
 * A number with as many digits as tell it from one that is resolution away: plain where it can be read so, else with an exponent.
 * @param {number} v
 * @param {number} resolution > 0
 * @param {(v: number, digits: number) => string} write a number with at most so many digits after the point
 * @param {number} [size] of the largest number that stands beside it: they are all written in one way
 */
export function readable(v, resolution, write, size = Math.max(Math.abs(v), resolution)) {
  if (v === 0 || !Number.isFinite(v) || (size >= 1e-4 && size < 1e15)) return write(v, digitsOf(resolution))
  const digits = Math.floor(Math.log10(size / resolution) + 1e-9) + 1
  return String(Number(v.toPrecision(Math.min(Math.max(digits, 1), 16)))).replace('e+', 'e')
}

/**
 * How many digits after the point tell labels of this distance apart.
 * @param {number} step
 */
export function digitsOf(step) {
  let digits = 0
  for (let v = step; digits < 18 && Math.abs(v - Math.round(v)) > 1e-6 * v; v *= 10) digits++
  return digits
}

/**
 * The ends of a value axis for values from lo to hi. The old ends stay while the values fit and use a good part of them, so
 * that the axis does not jump with every reading.
 * @param {readonly [number, number] | null} old
 * @param {number} lo
 * @param {number} hi
 * @returns {[number, number]}
 */
export function valueRange(old, lo, hi) {
  if (!(lo <= hi)) return old ? [old[0], old[1]] : [0, 1]
  const room = Math.max(hi - lo, Math.abs(hi) * 1e-9)
  if (old && lo >= old[0] && hi <= old[1] && room >= (old[1] - old[0]) * 0.45) return [old[0], old[1]]
  const flat = hi - lo <= Math.max(Math.abs(lo), Math.abs(hi)) * 1e-9
  const pad = flat ? Math.abs(hi) * 0.05 || 0.5 : (hi - lo) * 0.15
  if (flat && old && lo > old[0] && hi < old[1] && old[1] - old[0] <= 4 * pad) return [old[0], old[1]]
  if (flat) return [lo - pad, hi + pad]
  return [lo >= 0 ? Math.max(lo - pad, 0) : lo - pad, hi <= 0 ? Math.min(hi + pad, 0) : hi + pad]
}
