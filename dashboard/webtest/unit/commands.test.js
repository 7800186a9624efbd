import assert from 'node:assert/strict'
import { before, test } from 'node:test'
import { argsText, commandStates, explanation, isFailure, isOpen, valueText } from '../../web/app/commands.js'
import { setLanguage } from '../../web/app/i18n.js'
import en from '../../web/lang/en.js'

before(() => setLanguage('en'))

test('values and arguments as people read them', () => {
  const cases = [[22, '22'], [0.1 + 0.2, '0.3'], [-0.000001, '-0.000001'], [true, 'true'], [false, 'false'], ['a b', 'a b'], [null, '–'], [undefined, '–'], ['NaN', 'NaN']]
  for (const [v, want] of cases) assert.equal(valueText(v), want)
  assert.equal(valueText(20.5, '°C'), '20.5\u00a0°C')
  assert.equal(argsText({ celsius: 22, fast: true }, (name) => name === 'celsius' ? '°C' : ''), 'celsius = 22\u00a0°C, fast = true')
  assert.equal(argsText(undefined), '')
})

test('each state has a word, and says what matters', () => {
  for (const state of [...commandStates, 'sending', 'accepted', 'not_accepted', 'refused', 'in_sync', 'pending']) assert.ok(en[`command.${state}`], state)
  const c = { id: 'x', device: 'd', name: 'n', created: 1, changed: 2, deadline: 0, text: 'in its words' }
  assert.equal(explanation({ ...c, state: 'failed' }), 'in its words')
  assert.equal(explanation({ ...c, state: 'succeeded', values: { celsius: 22 } }), 'in its words · celsius = 22')
  assert.match(explanation({ ...c, state: 'unknown' }), /may have been carried out/)
  assert.match(explanation({ ...c, state: 'expired' }), /will not be carried out/)
  assert.deepEqual(commandStates.filter(isOpen), ['queued', 'sent'])
  assert.deepEqual(commandStates.filter(isFailure), ['failed', 'rejected', 'expired', 'unknown'])
})
