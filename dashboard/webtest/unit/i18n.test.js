import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import test from 'node:test'
import { brief, bytes, duration, fillIn, hasText, number, setLanguage, t } from '../../web/app/i18n.js'
import en from '../../web/lang/en.js'
import ko from '../../web/lang/ko.js'

const web = path.resolve(import.meta.dirname ?? '.', '../../web')
const names = (text) => [...new Set([...text.matchAll(/\{(\w+)/g)].map((m) => m[1]))].sort()

test('both languages say the same things with the same arguments', () => {
  assert.deepEqual(Object.keys(ko).sort(), Object.keys(en).sort())
  for (const [key, text] of Object.entries(en)) {
    assert.ok(text.trim() && ko[key].trim(), key)
    assert.deepEqual(names(ko[key]), names(text), key)
  }
})

test('a key stands once in its file', () => {
  for (const file of ['en.js', 'ko.js']) {
    const keys = [...readFileSync(path.join(web, 'lang', file), 'utf8').matchAll(/^ {2}'([^']+)':/gm)].map((m) => m[1])
    assert.deepEqual(keys.filter((k, i) => keys.indexOf(k) !== i), [], file)
    assert.equal(keys.length, Object.keys(en).length, file)
  }
})

test('every text that is asked for exists', () => {
  let asked = 0
  for (const file of readdirSync(path.join(web, 'app'), { recursive: true, encoding: 'utf8' }).filter((f) => f.endsWith('.js'))) {
    for (const [, key] of readFileSync(path.join(web, 'app', file), 'utf8').matchAll(/\bt\('([\w.]*\w)'/g)) {
      assert.ok(key in en, `${file} asks for ${key}`)
      asked++
    }
  }
  assert.ok(asked > 100, `only ${asked} keys were found`)
})

test('arguments, plurals, and what looks like them', async () => {
  assert.equal(fillIn('{n} {n:device|devices} of {name}', { n: 1, name: '{n}<b>' }, 'en'), '1 device of {n}<b>')
  assert.equal(fillIn('{n} {n:device|devices}', { n: 1234 }, 'en'), '1,234 devices')
  assert.equal(fillIn('{missing} {n}', { n: 0 }, 'en'), '{missing} 0')
  await setLanguage('ko')
  assert.equal(t('time.ago', { t: duration(12_000) }), '12초 전')
  assert.ok(hasText('nav.hub') && !hasText('nav.nothing'))
  assert.equal(t('nav.nothing'), 'nav.nothing')
  await setLanguage('en')
})

test('lengths of time and sizes', async () => {
  await setLanguage('en')
  const cases = { 0: '0 s', 300: '300 ms', 42_000: '42 s', 60_000: '1 min', 95_000: '1 min 35 s', 3_599_000: '59 min', 7_800_000: '2 h 10 min', 86_400_000: '1 d', 100_800_000: '1 d 4 h' }
  for (const [ms, text] of Object.entries(cases)) assert.equal(duration(Number(ms)), text, ms)
  assert.deepEqual([0, 1023, 1024, 1536, 123 << 20].map(bytes), ['0 B', '1,023 B', '1 KiB', '1.5 KiB', '123 MiB'])
  assert.equal(number(1234.5678), '1,234.568')
})

test('readings where there is little room', () => {
  const cases = [[21.34, '21.34', '21.34'], [-0.33187896, '-0.33187896', '-0.331879'], [1538.8967078673, '1538.8967078673', '1538.9'],
    [9007725848928001, '9007725848928001', '9.0077e15'], [0.000012345678, '0.000012345678', '0.0000123457'], [null, 'NaN', 'NaN'], ['a long text here', 'a long text here', 'a long text here']]
  for (const [v, text, want] of cases) assert.equal(brief({ v, text }), want, text)
})
