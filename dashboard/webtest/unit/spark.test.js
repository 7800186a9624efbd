import assert from 'node:assert/strict'
import test from 'node:test'
import { thin } from '../../web/app/spark.js'

test('a spike within a pixel stays', () => {
  const points = Array.from({ length: 1000 }, (_, i) => [i, i === 555 ? 99 : 1])
  const columns = thin(points, 0, 999, 100)
  assert.equal(columns.length, 100)
  assert.equal(Math.max(...columns.map((c) => c.max)), 99)
  assert.deepEqual(columns.map((c) => c.x), Array.from({ length: 100 }, (_, i) => i))
})

test('what lies outside is left out, and gaps have no columns', () => {
  const columns = thin([[-1, 5], [0, 1], [10, 2], [90, 3], [100, 4], [101, 5]], 0, 100, 10)
  assert.deepEqual(columns.map((c) => [c.x, c.first, c.last]), [[0, 1, 1], [1, 2, 2], [9, 3, 4]])
})
