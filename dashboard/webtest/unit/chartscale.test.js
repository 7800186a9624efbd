import assert from 'node:assert/strict'
import test from 'node:test'
import { digitsOf, ends, formatView, moved, parseView, timeLabels, valueRange, windows } from '../../web/app/chartscale.js'

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
