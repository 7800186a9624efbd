import assert from 'node:assert/strict'
import test from 'node:test'
import { summary, Trace } from '../../web/app/chartdata.js'
import { Exact, less, parse } from '../../web/app/exact.js'
import { brief } from '../../web/app/i18n.js'

test('numbers keep their digits, and nothing else changes', () => {
  const text = String.raw`{"a":9007199254740993,"b":[-90071992547409.93,1.5,9007199254740992,12345678901234567e5],"s":"9007199254740993 \" 9007199254740993","t":1764309600000,"n":null}`
  const got = parse(text)
  assert.deepEqual([String(got.a), String(got.b[0])], ['9007199254740993', '-90071992547409.93'])
  assert.equal(Number(got.a), 9007199254740992)
  assert.deepEqual({ ...got, a: 0, b: got.b.slice(1) }, { ...JSON.parse(text), a: 0, b: JSON.parse(text).b.slice(1) })
  assert.deepEqual(parse('{"a":[1,2.5,"x"]}'), { a: [1, 2.5, 'x'] })
})

test('they are compared by all their digits', () => {
  const ascending = ['-9223372036854775808', '-9223372036854775807', '9007199254740992', '9007199254740993', '9223372036854775806', '9223372036854775807'].map((d) => parse(`[${d}]`)[0])
  for (const [i, a] of ascending.entries()) for (const [j, b] of ascending.entries()) assert.equal(less(a, b), i < j, `${a} < ${b}`)
  assert.equal(less(new Exact('92233720368547758.07'), new Exact('92233720368547758.1')), true)
  assert.equal(less(1, 2) && !less(2, 1) && !less(NaN, 1), true)
})

test('charts keep them: points, extremes, live and from the history', () => {
  const big = (d) => new Exact(String(d))
  const trace = new Trace()
  trace.load({ id: 0, t: [1000, 2000], min: [big('9007199254740993'), 9007199254740994], max: [big('9007199254740995'), big('9007199254740997')], last: [big('9007199254740995'), big('9007199254740997')] }, 0)
  assert.equal(trace.add(3000, big('9007199254740999')), true)
  const s = summary(trace.points, 0, 9000)
  assert.deepEqual([s.min, s.max, s.last].map(String), ['9007199254740993', '9007199254740999', '9007199254740999'])
  // A bucket of the same step is widened by exact comparison.
  const bucket = new Trace()
  bucket.load({ id: 0, t: [1000], min: [big('9007199254740993')], max: [big('9007199254740993')], last: [big('9007199254740993')] }, 10_000)
  bucket.add(1500, 9007199254740992)
  assert.deepEqual([1, 2, 3].map((c) => String(bucket.points.value(c, 0))), ['9007199254740992', '9007199254740993', '9007199254740992'])
  // The ring goes round.
  const long = new Trace()
  for (let i = 0; i < 7000; i++) long.add(i * 1000, big(`9007199254${String(740993 + 2 * i)}`))
  assert.equal(String(long.points.value(3, long.points.length - 1)), '9007199254754991')
  assert.equal(String(long.points.value(3, 0)), `9007199254${740993 + 2 * (7000 - long.points.length)}`)
  assert.equal(brief({ v: big('9007199254740993'), text: '9007199254740993' }), '9.0072e15')
})
