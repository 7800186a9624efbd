import assert from 'node:assert/strict'
import test from 'node:test'
import { match, parseQuery, withQuery } from '../../web/app/router.js'

test('paths and patterns', () => {
  assert.deepEqual(match('/', '/'), {})
  assert.deepEqual(match('/devices', '/devices/'), {})
  assert.deepEqual(match('/devices/{id}', '/devices/pump%207%2Fa'), { id: 'pump 7/a' })
  for (const path of ['/devices', '/devices/', '/devices/a/b', '/hub/a', '/devices/%E0%A4%A']) assert.equal(match('/devices/{id}', path), null, path)
})

test('query parameters', () => {
  assert.deepEqual(parseQuery('?q=a%26b&state=live'), { q: 'a&b', state: 'live' })
  assert.equal(withQuery('/devices', { q: 'x', state: 'live' }, { q: 'a&b', state: null, page: 2 }), '/devices?q=a%26b&page=2')
  assert.equal(withQuery('/devices', { q: 'x' }, { q: '' }), '/devices')
})
