import assert from 'node:assert/strict'
import test from 'node:test'
import { breaks, breaksAfter, isolated, summary, Trace, visibleGaps } from '../../web/app/chartdata.js'

const drawn = (trace) => {
  const [t, min, max, last] = trace.points.views()
  return [...t].map((at, i) => [at, min[i], max[i], last[i]])
}
const history = (t, v) => ({ id: 0, t, min: v, max: v, last: v })

test('what came while the history was on its way is behind it, once', () => {
  const trace = new Trace()
  for (const t of [1000, 2000, 3000, 4000]) trace.add(t, t / 1000)
  trace.load(history([500, 1000, 2000, 3000], [0.5, 1, 2, 3]), 0)
  assert.deepEqual(drawn(trace).map(([t]) => t), [500, 1000, 2000, 3000, 4000])
  trace.add(5000, 5)
  assert.deepEqual(drawn(trace).at(-1), [5000, 5, 5, 5])
})

test('the last bucket of the history goes on with live readings', () => {
  const trace = new Trace()
  trace.add(10_200, 1)
  trace.add(10_900, 50)
  trace.add(12_100, 3)
  trace.load({ id: 0, t: [8000, 10_200], min: [2, 1], max: [4, 1], last: [3, 1] }, 2000)
  assert.deepEqual(drawn(trace), [[8000, 2, 4, 3], [10_900, 1, 50, 50], [12_100, 3, 3, 3]])
  trace.add(13_000, -7)
  assert.deepEqual(drawn(trace).at(-1), [13_000, -7, 3, -7])
})

test('a finer window gets the readings as they came, not the coarse points', () => {
  const trace = new Trace()
  trace.load(history([0], [0]), 10_000)
  for (const t of [20_000, 21_000, 22_000]) trace.add(t, t)
  assert.equal(drawn(trace).length, 2)
  trace.load(history([19_000], [1]), 500)
  assert.deepEqual(drawn(trace).map(([t]) => t), [19_000, 20_000, 21_000, 22_000])
})

test('without history, live readings stay', () => {
  const trace = new Trace()
  trace.add(1000, 1)
  trace.load(history([], []), 100)
  assert.deepEqual(drawn(trace), [[1000, 1, 1, 1]])
})

test('booleans are 0 and 1; NaN and what is no number is not drawn', () => {
  const trace = new Trace()
  trace.load({ id: 0, t: [1, 2, 3], last: [true, false, null] }, 0)
  assert.deepEqual(drawn(trace), [[1, 1, 1, 1], [2, 0, 0, 0]])
  assert.equal(trace.add(4, NaN), true)
  assert.equal(drawn(trace).length, 2)
  assert.equal(trace.add(1, 5), false)
})

test('a spike survives in a long window', () => {
  const trace = new Trace()
  trace.load(history([0], [20]), 60_000)
  for (let t = 60_000; t < 120_000; t += 100) trace.add(t, t === 90_000 ? 99 : 20)
  assert.deepEqual(drawn(trace).at(-1)?.slice(1), [20, 99, 20])
  assert.equal(trace.decimated, true)
})

test('lines break at silence and at known gaps', () => {
  const t = [0, 1000, 2000, 9000, 10_000, 11_000]
  assert.deepEqual(breaks(t, 3000, []), [2])
  assert.deepEqual(breaks(t, 3000, [{ from: 10_100, to: 10_900, cause: 'lost' }]), [2, 4])
  assert.deepEqual(breaks(t, 3000, [{ from: 500, to: 1500, cause: 'lost' }]), [2], 'a reading lies in it')
  assert.deepEqual(breaks([], 3000, []), [])
})

test('a silence is what the device, the hub or the step makes one', () => {
  assert.equal(breaksAfter(1000, 500, 100), 3000)
  assert.equal(breaksAfter(0, 500, 100), 500)
  assert.equal(breaksAfter(0, 500, 60_000), 150_000)
})

test('points alone are found', () => {
  assert.deepEqual(isolated(6, [0, 3, 4]), [0, 4, 5])
  assert.deepEqual(isolated(1, []), [0])
  assert.deepEqual(isolated(3, []), [])
  assert.deepEqual(isolated(0, []), [])
})

test('a summary is of what is seen', () => {
  const trace = new Trace()
  trace.load({ id: 0, t: [1, 2, 3], min: [1, -5, 0], max: [1, 9, 0], last: [1, 2, 0] }, 0)
  assert.deepEqual(summary(trace.points, 2, 3), { min: -5, max: 9, first: 2, last: 0, at: 3, count: 2 })
  assert.equal(summary(trace.points, 10, 20), null)
})

test('gaps that touch are one', () => {
  const gaps = [
    { from: 50, to: 60, cause: 'lost', text: '' }, { from: 10, to: 20, cause: 'offline', text: '' },
    { from: 20, to: 30, cause: 'offline', text: '' }, { from: 90, to: 99, cause: 'offline', text: '' },
  ]
  assert.deepEqual(visibleGaps(gaps, 0, 80), [{ from: 10, to: 30, cause: 'offline', text: '' }, { from: 50, to: 60, cause: 'lost', text: '' }])
})
