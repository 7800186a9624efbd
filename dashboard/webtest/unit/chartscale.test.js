import assert from 'node:assert/strict'
import test from 'node:test'
import { digitsOf, ends, formatView, moved, parseView, readable, timeLabels, timeMarks, timeSteps, valueRange, windows } from '../../web/app/chartscale.js'

const utc = (ms) => new Date(ms).toISOString().slice(0, 19).replace('T', ' ')

test('every view survives being an address', () => {
  for (const [name, ms] of windows) {
    assert.deepEqual(parseView({ w: name }), { span: ms, from: 0, to: 0 })
    assert.equal(formatView(parseView({ w: name })).w, name)
  }
  assert.deepEqual(parseView({ from: '1000', to: '9000' }), { span: 0, from: 1000, to: 9000 })
  assert.deepEqual(formatView({ span: 0, from: 1000.4, to: 9000 }), { w: null, from: 1000, to: 9000 })
})

test('a strange address means five minutes', () => {
  for (const query of [{}, { w: 'x' }, { w: '2m' }, { from: '9', to: '3' }, { from: '1', to: '1e20' }, { from: 'a', to: 'b' }]) {
    assert.equal(parseView(query).span, 300_000, JSON.stringify(query))
  }
})

test('a view moves and grows, but not into the future', () => {
  assert.deepEqual(ends({ span: 60_000, from: 0, to: 0 }, 100_000), [40_000, 100_000])
  assert.deepEqual(moved([40_000, 60_000], -0.5, 1, 100_000), { span: 0, from: 30_000, to: 50_000 })
  assert.deepEqual(moved([40_000, 60_000], 9, 1, 100_000), { span: 0, from: 80_000, to: 100_000 })
  assert.deepEqual(moved([40_000, 60_000], 0, 0.5, 100_000), { span: 0, from: 45_000, to: 55_000 })
  assert.equal(moved([40_000, 40_100], 0, 0.001, 100_000).to - moved([40_000, 40_100], 0, 0.001, 100_000).from, 1000)
})

test('time labels say seconds and days where they matter', () => {
  const at = Date.UTC(2026, 2, 4, 23, 59, 0)
  assert.deepEqual(timeLabels([at, at + 30_000], 30_000, utc), ['23:59:00', '23:59:30'])
  assert.deepEqual(timeLabels([at, at + 60_000], 60_000, utc), ['23:59', '00:00\n03-05'])
  assert.deepEqual(timeLabels([at, at + 86_400_000], 86_400_000, utc), ['03-04', '03-05'])
})

test('a mark stands exactly where its label says, in every zone and however the window moves', () => {
  const zones = [0, 9 * 3600, -3.5 * 3600, 5.75 * 3600].map((s) => (ms) => utc(ms + s * 1000))
  const berlin = new Intl.DateTimeFormat('sv-SE', { timeZone: 'Europe/Berlin', dateStyle: 'short', timeStyle: 'medium' })
  zones.push((ms) => berlin.format(ms)) // its clocks are put back on 2026-10-25, and forward on 2026-03-29
  for (const [name, span] of windows) {
    for (const end of [Date.UTC(2026, 4, 1, 8, 0, 0), Date.UTC(2026, 2, 29, 12, 7, 9), Date.UTC(2026, 9, 25, 3, 59, 59)]) {
      for (const write of zones) {
        for (let i = 0; i < 3; i++) {
          const to = end + i * 1234.567 // as when a window moves by whole pixels
          const step = timeSteps.find((s) => span / s <= 950 / 72)
          const marks = timeMarks(to - span, to, step, write)
          assert.ok(marks.length >= 3 && marks.length <= 15, `${name}: ${marks.length} marks`)
          for (const [k, label] of timeLabels(marks, step, write).entries()) {
            const full = write(marks[k])
            const [time, date] = label.split('\n')
            const said = step >= 86_400_000 ? `${full.slice(0, 5)}${time} 00:00:00` : `${full.slice(0, 11)}${time}${time.length === 5 ? ':00' : ''}`
            assert.equal(said, full, `${name}: ${label}`)
            assert.ok(date === undefined || full.slice(5, 10) === date)
            assert.equal(marks[k] % 1000, 0, 'a whole second')
          }
        }
      }
    }
  }
})

test('only 0 reads 0, and what is next to each other can be told apart', () => {
  const plain = (v, digits) => new Intl.NumberFormat('en', { maximumFractionDigits: digits }).format(v)
  const cases = [[1.7e-12, 1e-15, '1.7e-12'], [-1.7034e-12, 1e-15, '-1.703e-12'], [0, 1e-15, '0'], [21.437, 0.01, '21.44'], [12345.678, 1, '12,346'],
    [6.02214e23, 1e20, '6.022e23'], [1e-4, 1e-6, '0.0001'], [2e-5, 1e-7, '0.00002'], [1e300, 1e298, '1e300'], [5e-324, 5e-324, '5e-324'], [NaN, 1, 'NaN']]
  for (const [v, resolution, want] of cases) assert.equal(readable(v, resolution, plain), want)
  assert.equal(readable(0.00005, 0.00005, plain, 0.00015), '0.00005', 'beside 0.00015')
  assert.deepEqual(valueRange(null, 1.7e-12, 1.7e-12).map((v) => v > 1e-12 && v < 2e-12), [true, true], 'a small signal fills its chart')
})

test('labels of a value axis differ', () => {
  assert.deepEqual([100, 1, 0.5, 0.25, 0.1, 0.01, 1e-7].map(digitsOf), [0, 0, 1, 2, 1, 2, 7])
})

test('the value axis stays while values fit', () => {
  const first = valueRange(null, 20, 22)
  assert.ok(first[0] < 20 && first[1] > 22)
  assert.deepEqual(valueRange(first, 20.1, 21.9), first)
  assert.deepEqual(valueRange(first, 20, 22.2), first)
  const higher = valueRange(first, 20, 25)
  assert.ok(higher[1] > 25)
  const narrower = valueRange(higher, 20, 20.5)
  assert.ok(narrower[1] - narrower[0] < 2, 'it comes closer again')
})

test('the value axis of odd values', () => {
  assert.deepEqual(valueRange(null, Infinity, -Infinity), [0, 1])
  assert.deepEqual(valueRange([3, 4], NaN, NaN), [3, 4])
  for (const v of [0, 5, -5, 1e12, 12_345_678]) {
    const [low, high] = valueRange(null, v, v)
    assert.ok(low <= v && high >= v && high > low, `${v}: ${low} ${high}`)
    assert.deepEqual(valueRange([low, high], v, v), [low, high], `${v} stays`)
  }
  assert.equal(valueRange(null, 0, 100)[0], 0, 'nothing below zero is made up')
})
