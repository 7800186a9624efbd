import assert from 'node:assert/strict'
import test from 'node:test'
import { Ring } from '../../web/app/ring.js'

const rows = (ring) => {
  const [t, min, max, last] = ring.views()
  return [...t].map((at, i) => [at, min[i], max[i], last[i]])
}

test('keeps the newest points, in order, however often it goes round', () => {
  const ring = new Ring(5)
  for (let i = 1; i <= 33; i++) {
    assert.ok(ring.push(i, -i, i, i))
    const first = Math.max(1, i - 4)
    assert.deepEqual([...ring.views()[0]], Array.from({ length: i - first + 1 }, (_, k) => first + k), `after ${i}`)
  }
  assert.deepEqual(rows(ring).at(-1), [33, -33, 33, 33])
  assert.equal(ring.newest, 33)
})

test('allocates nothing from point to point', () => {
  const ring = new Ring(4)
  const buffer = ring.columns[0].buffer
  for (let i = 0; i < 100; i++) ring.push(i, i, i, i)
  assert.equal(ring.views()[0].buffer, buffer)
})

test('a bucket keeps its extremes and its last value', () => {
  const ring = new Ring(10)
  ring.push(1000, 5, 5, 5, 1000)
  ring.push(1400, 9, 9, 9, 1000)
  ring.push(1900, 2, 2, 2, 1000)
  ring.push(2000, 4, 4, 4, 1000)
  assert.deepEqual(rows(ring), [[1900, 2, 9, 2], [2000, 4, 4, 4]])
})

test('within the newest bucket, what comes late widens it and is not the last', () => {
  const ring = new Ring(10)
  ring.push(1800, 5, 5, 5, 1000)
  assert.ok(ring.push(1200, 1, 1, 1, 1000))
  assert.deepEqual(rows(ring), [[1800, 1, 5, 5]])
})

test('older points are refused, equal times join', () => {
  const ring = new Ring(10)
  ring.push(2000, 1, 1, 1)
  assert.equal(ring.push(1999, 7, 7, 7), false)
  assert.ok(ring.push(2000, 3, 3, 3))
  assert.deepEqual(rows(ring), [[2000, 1, 3, 3]])
  const stepped = new Ring(10)
  stepped.push(2000, 1, 1, 1, 1000)
  assert.equal(stepped.push(1999, 7, 7, 7, 1000), false)
})
