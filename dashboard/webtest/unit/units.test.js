import assert from 'node:assert/strict'
import test from 'node:test'
import { unitText } from '../../web/app/units.js'

test('units as people write them', () => {
  const cases = {
    'Cel': '°C', '%': '%', '[ppm]': 'ppm', 'W.h': 'W·h', 'm/s2': 'm/s²', 'ug/m3': 'µg/m³', 's-1': 's⁻¹', '/min': '/min', '1': '', 'deg': '°',
  }
  for (const [code, text] of Object.entries(cases)) assert.equal(unitText(code), text, code)
})

test('what is no unit stays as it is', () => {
  for (const code of ['<b>x</b>', 'furlong', '10*3', '[x]', '__proto__', 'constructor']) assert.equal(typeof unitText(code), 'string', code)
  assert.equal(unitText('furlong'), 'furlong')
  assert.equal(unitText('constructor'), 'constructor')
  assert.equal(unitText(undefined), '')
})
