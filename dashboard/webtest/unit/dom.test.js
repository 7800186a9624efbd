import assert from 'node:assert/strict'
import test from 'node:test'
import { visible } from '../../web/app/dom.js'

test('what turns the direction of a text, or is not seen, is written out', () => {
  const cases = { '\u202egnp.exe': '\\u202egnp.exe', 'a\u2066b\u2069': 'a\\u2066b\\u2069', '\u061c': '\\u061c', '\u200e': '\\u200e', '\x1b[2J': '\\x1b[2J', '\x85': '\\u0085' }
  for (const [text, want] of Object.entries(cases)) assert.equal(visible(text), want)
  for (const text of ['plain', 'two\n\tlines', '온도 °C', 'می‌خواهم', '\u{1f468}\u200d\u{1f33e}']) assert.equal(visible(text), text)
})
