import assert from 'node:assert/strict'
import test from 'node:test'
import { eventParser } from '../../web/app/transport.js'

const stream = 'retry: 1000\n\n: ping\n\nid: a:1\nevent: message\ndata: {"a":1}\n\ndata: 2\r\ndata:3\r\n\r\nevent: message\n\ndata: cut'

test('events come whole, however the stream is cut', () => {
  for (let size = 1; size <= stream.length; size++) {
    const got = []
    const parse = eventParser((data) => got.push(data))
    for (let i = 0; i < stream.length; i += size) parse(stream.slice(i, i + size))
    assert.deepEqual(got, ['{"a":1}', '2\n3'], `pieces of ${size}`)
  }
})
