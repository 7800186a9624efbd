import assert from 'node:assert/strict'
import test from 'node:test'
import { readLabels } from '../../web/app/screens/add.js'

test('labels as people type them', () => {
  assert.deepEqual(readLabels(''), {})
  assert.deepEqual(readLabels('site=north, floor = 2 ,'), { site: 'north', floor: '2' })
  assert.deepEqual(readLabels('note=a=b c'), { note: 'a=b c' })
  for (const text of ['site', '=x', 'site=', 'a b=c', 'ü=1', 'site=north, floor']) assert.equal(readLabels(text), null, text)
})
