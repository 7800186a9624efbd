// What a device can be told, made of its schema: a form for each command and each setting, and the question before one goes out.
import { ago, setAgo } from '../ages.js'
import { get } from '../api.js'
import { commandBadge, explanation, isFailure, isOpen, times, valueText } from '../commands.js'
import { openDialog } from '../dialog.js'
import { h, replace, setText } from '../dom.js'
import { failure } from '../form.js'
import { duration, moment, t } from '../i18n.js'
import { connection, isDown, now } from '../live.js'
import { badge } from '../states.js'
import { unitText } from '../units.js'

/**
 * @typedef {{name: string, type: string, unit?: string, min?: number, max?: number, optional?: boolean, scale?: number}} Argument
 * @typedef {{name: string, confirm: string, supersedes?: boolean, idempotent?: boolean, args?: Argument[]}} Spec
 * @typedef {{channel: string, desired: unknown, reported?: unknown, status: string, since: number, reason?: string, by?: string, set?: number}} Setting
 * @typedef {import('../commands.js').Command} Command
 */

const hold = 1_000 // ms after a click in which another one is taken for a part of it
let count = 0

/**
 * An input for an argument, or the value of a setting.
 * @param {Argument} a
 * @param {string} label
 */
function argument(a, label) {
  const id = `argument-${++count}`
  const numeric = a.type !== 'bool' && a.type !== 'string'
  const unit = unitText(a.unit)
  const { min, max } = a
  const range = [min, max].map((v) => v === undefined ? '' : valueText(v, unit))
  const words = min !== undefined && max !== undefined ? 'command.range' : min !== undefined ? 'command.range.min' : max !== undefined ? 'command.range.max' : ''
  const hint = [words && t(words, { min: range[0] ?? '', max: range[1] ?? '' }), a.optional && t('command.optional')].filter(Boolean).join(', ')
  const props = { id, required: !a.optional, 'aria-describedby': hint ? id + '-hint' : null }
  const input = a.type === 'bool'
    ? h('select', props, ['', 'true', 'false'].map((v) => h('option', { value: v, text: v && t(v === 'true' ? 'chart.on' : 'chart.off') || '–' })))
    : h('input', { ...props, type: numeric ? 'number' : 'text', min, max, step: !numeric ? null : a.scale ? 10 ** a.scale : a.type === 'int' ? 1 : 'any', autocomplete: 'off', size: 12 })
  return {
    element: h('div', { class: 'field' }, h('label', { for: id, text: label }), h('div', { class: 'row' }, input, numeric && unit && h('span', { class: 'muted', text: unit })),
      hint && h('p', { class: 'hint', id: id + '-hint', text: hint })),
    /** undefined if it is left empty */
    read: () => input.value === '' ? undefined : numeric ? Number(input.value) : a.type === 'bool' ? input.value === 'true' : input.value,
  }
}

/**
 * A form that sends once, however often it is clicked.
 * @param {string} title
 * @param {import('../dom.js').Child} content
 * @param {string} action the word on its button
 * @param {() => Promise<unknown>} submit
 */
function control(title, content, action, submit) {
  let busy = false
  const button = h('button', { type: 'submit', text: action, 'aria-label': `${action}: ${title}`, 'aria-describedby': 'commands-why' })
  const element = h('form', { class: 'control', 'aria-label': title, on: { submit: send } }, content, button)
  /** @param {SubmitEvent} event */
  async function send(event) {
    event.preventDefault()
    if (busy || button.disabled) return
    busy = true
    button.setAttribute('aria-disabled', 'true') // not disabled: it keeps the focus
    await Promise.all([submit(), new Promise((resolve) => setTimeout(resolve, hold))])
    busy = false
    button.removeAttribute('aria-disabled')
  }
  return { element, button }
}

/**
 * @param {Spec} spec
 * @param {(args: Record<string, unknown>) => Promise<unknown>} submit
 */
export function commandControl(spec, submit) {
  const fields = (spec.args ?? []).map((a) => ({ name: a.name, ...argument(a, a.name) }))
  const mark = h('div', { class: 'mark' })
  const { element, button } = control(spec.name, [h('h4', { text: spec.name }), fields.map((f) => f.element)], t('command.send'), () => {
    /** @type {Record<string, unknown>} */
    const args = {}
    for (const f of fields) {
      const v = f.read()
      if (v !== undefined) args[f.name] = v
    }
    return submit(args)
  })
  element.append(mark)
  let shown = ''
  return {
    element, button, keeps: null,
    /**
     * How far the newest one has got.
     * @param {Command | undefined} c
     */
    mark(c) {
      const text = c ? c.id + c.state + c.changed : ''
      if (text === shown) return
      shown = text
      replace(mark, c && [h('span', { class: 'row' }, commandBadge(c.state), times(c)), (isFailure(c.state) || isOpen(c.state)) && h('p', { class: 'hint', text: explanation(c) })])
    },
  }
}

/**
 * @param {import('../chart.js').Channel} channel
 * @param {(value: unknown) => Promise<unknown>} submit
 * @param {() => Promise<unknown>} clear
 */
export function settingControl(channel, submit, clear) {
  const unit = unitText(channel.unit)
  const field = argument({ name: channel.name, type: channel.type, scale: channel.scale, unit: channel.unit }, t('setting.value'))
  const state = h('span')
  const since = ago(0, 'for')
  const words = h('p', { class: 'desired' })
  const reason = h('p', { class: 'hint' })
  const keeps = h('button', { type: 'button', class: 'quiet', text: t('setting.clear'), 'aria-label': `${t('setting.clear')}: ${channel.name}`, 'aria-describedby': 'commands-why', on: { click: () => void clear() } })
  const { element, button } = control(channel.name, [h('h4', { text: channel.name }), words, field.element], t('setting.set'), () => submit(field.read()))
  element.append(keeps, h('div', { class: 'mark' }, h('span', { class: 'row' }, state, since), reason))
  let shown = ''
  return {
    element, button, keeps,
    /**
     * @param {Setting | undefined} s
     * @param {import('./device.js').Value | undefined} v the newest reading
     */
    show(s, v) {
      const reported = v ? channel.type === 'bool' ? valueText(v.v) : unit ? `${v.text}\u00a0${unit}` : v.text : s ? valueText(s.reported, unit) : '–'
      setText(words, s ? t('setting.both', { desired: valueText(s.desired, unit), reported }) : t('setting.reported', { reported }))
      setAgo(since, s?.since ?? 0)
      since.hidden = keeps.hidden = !s
      setText(reason, s && s.status !== 'in_sync' ? s.reason ?? '' : '')
      if (s?.status === shown) return
      shown = s?.status ?? ''
      replace(state, s && commandBadge(s.status))
    },
  }
}

/**
 * The unit of a command's argument, as written.
 * @param {Spec | undefined} spec
 * @param {import('../chart.js').Channel[]} channels
 */
export function unitOf(spec, channels) {
  return (/** @type {string} */ name) => unitText((spec?.args?.find((a) => a.name === name) ?? channels.find((c) => c.name === name))?.unit)
}

/**
 * @typedef {object} Question
 * @property {string} device
 * @property {string} what
 * @property {() => string} present the value it has now; empty if it is not known which
 * @property {boolean} typed whether the device's name has to be typed
 * @property {number} ttl ms; 0: for ever, it is a setting
 * @property {import('../signal.js').Signal<import('./device.js').Row | null>} row the device's newest state
 */

/**
 * Asks, and looks at the device once more before it takes a yes: if that has gone or come meanwhile, it asks again.
 * @param {Question} question
 * @returns {Promise<boolean>}
 */
export function ask({ device, what, present, typed, ttl, row }) {
  return new Promise((resolve) => {
    let yes = false
    let there = true
    const state = h('span')
    const value = h('dd')
    const note = h('p', { class: 'notice', role: 'status' })
    const message = h('p', { class: 'error', role: 'alert' })
    const word = h('input', { type: 'text', id: 'confirm-word', autocomplete: 'off', autocapitalize: 'none', spellcheck: 'false', on: { input: allow } })
    const go = h('button', { type: 'button', class: 'danger', on: { click: () => void confirm() } })
    const line = (/** @type {string} */ key, /** @type {HTMLElement} */ dd) => h('div', null, h('dt', { text: t('command.ask.' + key) }), dd)
    const was = line('present', value)
    const dialog = openDialog(t('command.ask'), [
      h('dl', { class: 'secrets' }, line('device', h('dd', { class: 'row' }, h('strong', { text: device }), state)), line('what', h('dd', null, h('strong', { text: what }))), was),
      note,
      typed && h('div', { class: 'field' }, h('label', { for: word.id, text: t('command.ask.typed', { device }) }), word),
      message,
      h('div', { class: 'actions' }, h('button', { type: 'button', autofocus: true, text: t('app.cancel'), on: { click: () => dialog.close() } }), go),
    ], { alert: true, closed: () => { unwatch(); unlink(); resolve(yes) } })

    function allow() {
      go.disabled = isDown(connection.get()) || typed && word.value.trim() !== device
    }

    /** @param {import('./device.js').Row | null} r */
    function show(r) {
      if (!r) return
      there = r.connected
      replace(state, badge(r.state))
      was.hidden = !present()
      setText(value, present())
      note.hidden = there && ttl > 0
      setText(note, ttl === 0 ? t(there ? 'setting.ask' : 'setting.ask.away') : t('command.ask.away', { at: moment(now() + ttl), t: duration(ttl) }))
      setText(go, t(there || ttl === 0 ? 'command.send' : 'command.queue'))
    }

    async function confirm() {
      const told = there
      go.disabled = true
      try {
        row.set((await get(`/devices/${encodeURIComponent(device)}`)).device)
      } catch (error) {
        replace(message, failure(error))
        return allow()
      }
      allow()
      replace(message, there !== told && t('command.ask.changed'))
      if (there !== told || go.disabled || !dialog.open) return
      yes = true
      dialog.close()
    }

    const unlink = connection.subscribe(allow)
    const unwatch = row.subscribe(show)
  })
}
