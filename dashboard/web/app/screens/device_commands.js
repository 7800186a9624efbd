// What the device can be told, and how far that got. Nothing here looks done before the device says so.
import { ApiError, del, get, put } from '../api.js'
import { argsText, cancelButton, commandBadge, explanation, isFailure, isOpen, stateWords, submit, times, valueText } from '../commands.js'
import { h, replace, setText } from '../dom.js'
import { failure } from '../form.js'
import { duration, t, time } from '../i18n.js'
import { connection, follow, isDown, now } from '../live.js'
import { can, current } from '../session.js'
import { signal } from '../signal.js'
import { unitText } from '../units.js'
import { ask, commandControl, settingControl, unitOf } from './device_controls.js'

/** @typedef {import('../commands.js').Command} Command */
/** @typedef {import('./device_controls.js').Spec} Spec */
/** @typedef {import('./device_controls.js').Setting} Setting */

const lives = [10_000, 30_000, 60_000, 300_000, 3_600_000, 86_400_000] // ms
const usual = 30_000 // ms
const kept = 20 // settled commands shown
const spokenEvery = 400 // ms

/** @param {string} device */
export function commandsPanel(device) {
  const path = `/devices/${encodeURIComponent(device)}`
  const row = signal(/** @type {import('./device.js').Row | null} */ (null))
  /** @type {import('./device.js').Schema} */
  let schema = { hash: '', channels: [] }
  /** @type {Map<string, Command>} */
  const commands = new Map()
  /** What was sent from here: it can be sent again. @type {Map<string, import('../commands.js').Order>} */
  const orders = new Map()
  /** @type {Map<string, Setting>} */
  const settings = new Map()
  /** @type {Map<string, {text: string, element: HTMLLIElement}>} */
  const items = new Map()
  /** @type {Map<string, ReturnType<typeof commandControl>>} */
  let controls = new Map()
  /** @type {Map<number, {name: string} & ReturnType<typeof settingControl>>} */
  let knobs = new Map()
  /** @type {Map<string, string>} */
  const unspoken = new Map()
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let speaking
  let known = false

  const why = h('p', { class: 'notice', id: 'commands-why' })
  const away = h('p', { class: 'notice', text: t('command.away') })
  const life = h('select', { id: 'command-ttl' }, lives.map((ms) => h('option', { value: ms, text: duration(ms), selected: ms === usual })))
  const forms = h('div', { class: 'controls' })
  const knobForms = h('div', { class: 'controls' })
  const knobPart = h('div', { class: 'stack' }, h('h3', { text: t('setting.title') }), knobForms)
  const formPart = h('div', { class: 'stack' }, h('div', { class: 'row spread' }, h('h3', { text: t('command.title') }),
    h('p', { class: 'row' }, h('label', { for: life.id, text: t('command.ttl') }), life)), forms)
  const message = h('p', { class: 'error', role: 'alert' })
  const list = h('ol', { class: 'command-list' })
  const none = h('p', { class: 'muted', text: t('command.none') })
  const log = h('div', { class: 'visually-hidden', role: 'log', 'aria-live': 'polite', 'aria-label': t('command.log') })
  const alarm = h('div', { class: 'visually-hidden', role: 'alert' })
  const element = h('section', { class: 'columns commands', 'aria-label': t('nav.commands') },
    h('div', { class: 'panel stack' }, h('h2', { text: t('command.control') }), why, away, knobPart, formPart, message),
    h('div', { class: 'panel stack' }, h('header', { class: 'row spread' }, h('h2', { text: t('command.log') }),
      h('a', { href: `/commands?device=${encodeURIComponent(device)}`, text: t('command.all') })), none, list, log, alarm))

  /** @param {Command} c */
  const unit = (c) => unitOf(schema.commands?.find((s) => s.name === c.name), schema.channels)

  /**
   * Takes what is known of a command now.
   * @param {Command} c
   */
  function take(c) {
    const old = commands.get(c.id)
    if (old?.number && (!c.number || old.changed > c.changed)) return // it says less than we know
    commands.set(c.id, c)
    if (!isOpen(c.state) && c.state !== 'not_accepted') orders.delete(c.id)
    if (known && old?.state !== c.state) {
      unspoken.set(c.id, c.state)
      speaking ??= setTimeout(speak, spokenEvery)
    }
  }

  /** Tells those who can't see it what has changed. */
  function speak() {
    speaking = undefined
    for (const [id, state] of unspoken) {
      const c = commands.get(id)
      if (!c) continue
      const text = [`${c.name} ${argsText(c.args, unit(c))}: ${stateWords(state)}.`, explanation(c)].join(' ')
      if (isFailure(state)) setText(alarm, text)
      else {
        log.append(h('p', { text }))
        if (log.childElementCount > kept) log.firstChild?.remove()
      }
    }
    unspoken.clear()
  }

  function draw() {
    const newest = [...commands.values()].sort((a, b) => b.created - a.created || (b.number ?? 0) - (a.number ?? 0))
    let settled = 0
    for (const c of newest) {
      if (isOpen(c.state) || c.state === 'not_accepted' || ++settled <= kept) continue
      forgotten(c.id)
    }
    const shown = newest.filter((c) => commands.has(c.id))
    none.hidden = shown.length > 0
    const wanted = shown.map(item)
    if (wanted.length !== list.childElementCount || wanted.some((e, i) => e !== list.children[i])) list.replaceChildren(...wanted)
    for (const [name, one] of controls) one.mark(shown.find((c) => c.name === name))
    drawKnobs()
  }

  /** @param {string} id of a command that is not to be seen here any longer */
  function forgotten(id) {
    commands.delete(id)
    items.delete(id)
  }

  function drawKnobs() {
    const values = new Map(row.get()?.values?.map((v) => [v.id, v]))
    for (const [id, knob] of knobs) knob.show(settings.get(knob.name), values.get(id))
  }

  /** @param {Command} c */
  function item(c) {
    const text = JSON.stringify([c, can('operator')])
    const old = items.get(c.id)
    if (old?.text === text) return old.element
    const fresh = h('li', { class: 'command' }, h('div', { class: 'row' }, commandBadge(c.state), h('strong', { text: c.name }), h('span', { text: argsText(c.args, unit(c)) }), times(c)),
      h('p', { class: 'hint', text: explanation(c) }), c.by && h('p', { class: 'hint', text: t('command.by', { name: c.by, at: time(c.created) }) }), h('div', { class: 'row' }, actions(c)))
    // The element stays, and with it the place to which a reader has come.
    const element = old?.element ?? fresh
    if (old) element.replaceChildren(...fresh.childNodes)
    items.set(c.id, { text, element })
    return element
  }

  /** @param {Command} c */
  function actions(c) {
    if (!can('operator')) return null
    if (c.state === 'queued') return cancelButton(c, (done) => { take(done); draw() }, complain)
    if (c.state === 'not_accepted') {
      const order = orders.get(c.id)
      return order && h('button', { type: 'button', text: t('command.again'), on: { click: () => void give(order) } })
    }
    if (c.state !== 'unknown') return null
    const found = h('span', { class: 'hint', role: 'status' })
    const spec = schema.commands?.find((s) => s.name === c.name)
    return [h('button', { type: 'button', text: t('command.check'), on: { click: () => void check(c, found) } }),
      c.idempotent && spec && h('button', { type: 'button', text: t('command.again'), on: { click: () => void start(spec, c.args ?? {}) } }), found]
  }

  /**
   * Has a late answer come? If not, the readings have to tell.
   * @param {Command} c
   * @param {HTMLElement} found
   */
  async function check(c, found) {
    try {
      const [command, detail] = await Promise.all([get('/commands/' + c.id), get(path)])
      const present = presently(c.name, c.args ?? {}, detail.device.values)
      setText(found, [t(detail.device.connected ? 'command.check.there' : 'command.check.away', { at: time(now()) }), present && t('command.check.value', { value: present })].filter(Boolean).join(' '))
      if (command.state === c.state) return
      take(command)
      draw()
    } catch (error) {
      setText(found, failure(error))
    }
  }

  /** @param {unknown} error */
  function complain(error) {
    replace(message, failure(error))
  }

  /**
   * The present value of what a command is about: the channels that have the names of its arguments, or its own ("set_speed": speed).
   * @param {string} name
   * @param {Record<string, unknown>} args
   * @param {import('./device.js').Value[]} [values]
   */
  function presently(name, args, values = row.get()?.values ?? []) {
    return values.filter((v) => v.name === name.replace(/^set_/, '') || v.name in args).map((v) => `${v.name} ${v.text} ${unitText(v.unit)}`.trim()).join(', ')
  }

  /**
   * Asks if that is due, and sends.
   * @param {Spec} spec
   * @param {Record<string, unknown>} args
   */
  async function start(spec, args) {
    replace(message)
    const ttl_ms = Number(life.value)
    if (spec.confirm !== 'none' || !row.get()?.connected) {
      const what = `${spec.name} ${argsText(args, unitOf(spec, schema.channels))}`.trim()
      if (!await ask({ device, what, present: () => presently(spec.name, args), typed: spec.confirm === 'typed', ttl: ttl_ms, row })) return
    }
    life.value = String(usual) // a long life is for one command
    // What nobody has confirmed may have arrived: it is the same one that is meant.
    const text = JSON.stringify(args)
    const lost = [...orders.values()].find((o) => o.name === spec.name && JSON.stringify(o.args) === text && commands.get(o.id)?.state === 'not_accepted')
    await give(lost ?? { id: crypto.randomUUID(), name: spec.name, args, ttl_ms })
  }

  /**
   * Gives an order to the hub; the same one again counts once.
   * @param {import('../commands.js').Order} order
   */
  async function give(order) {
    const { id, name, args, ttl_ms } = order
    const spec = schema.commands?.find((s) => s.name === name)
    orders.set(id, order)
    const draft = (/** @type {string} */ state, /** @type {Partial<Command>} */ more = {}) => {
      take({ id, device, name, args, state, created: commands.get(id)?.created ?? now(), deadline: now() + ttl_ms, changed: now(), idempotent: spec?.idempotent ?? false, ...more })
      draw()
    }
    draft('sending')
    try {
      const command = await submit(device, order)
      if (command) {
        take(command)
        draw()
      } else if (commands.get(id)?.state === 'sending') draft('accepted')
    } catch (error) {
      if (commands.get(id)?.state !== 'sending') return // the hub has told by itself
      if (error instanceof ApiError && error.status) draft('refused', { text: error.message, hint: error.hint })
      else draft('not_accepted')
    }
  }

  /**
   * @param {import('../chart.js').Channel} channel
   * @param {unknown} value
   */
  async function desire(channel, value) {
    replace(message)
    const unit = unitText(channel.unit)
    const present = () => {
      const v = row.get()?.values?.find((v) => v.id === channel.id)
      return v ? `${v.text} ${unit}`.trim() : ''
    }
    if (!await ask({ device, what: `${channel.name} = ${valueText(value, unit)}`, present, typed: false, ttl: 0, row })) return
    try {
      const answer = await put(`${path}/settings/${encodeURIComponent(channel.name)}`, { value })
      const told = settings.get(channel.name)
      if (told && (told.set ?? 0) >= answer.set) return // what became of it is known already
      settings.set(channel.name, answer)
      drawKnobs()
    } catch (error) {
      complain(error)
    }
  }

  /** @param {import('../chart.js').Channel} channel */
  async function forget(channel) {
    replace(message)
    try {
      await del(`${path}/settings/${encodeURIComponent(channel.name)}`)
      settings.delete(channel.name)
      drawKnobs()
    } catch (error) {
      complain(error)
    }
  }

  /** Says why nothing can be sent, if so. */
  function allow() {
    const r = row.get()
    const reason = !can('operator') ? 'command.no.role' : r?.state === 'revoked' ? 'command.no.revoked'
      : isDown(connection.get()) ? 'command.no.hub' : ''
    setText(why, reason && t(reason))
    why.hidden = !reason
    away.hidden = reason !== '' || !r || r.connected
    for (const one of [...controls.values(), ...knobs.values()]) {
      one.button.disabled = reason !== ''
      if (one.keeps) one.keeps.disabled = reason !== ''
    }
  }

  const feed = follow(`/topic/devices/${device}/commands`, (body) => {
    if (body.kind === 'snapshot') {
      const here = new Set(body.commands.map((/** @type {Command} */ c) => c.id))
      for (const [id, c] of commands) if (c.number && !here.has(id)) forgotten(id)
      settings.clear()
    }
    for (const c of body.commands ?? []) take(c)
    for (const s of body.settings ?? []) {
      if (s.status === 'cleared') settings.delete(s.channel)
      else settings.set(s.channel, s)
    }
    if (!known || body.commands?.length || body.settings?.length) {
      known = true
      draw()
    }
  })
  // A refusal comes to whoever has sent it.
  const own = follow('/user/queue/commands', (body) => {
    for (const c of body.commands ?? []) {
      const mine = commands.get(c.id)
      if (c.state !== 'refused' || !mine || mine.number) continue
      take({ ...mine, state: 'refused', text: c.text, hint: c.hint, changed: now() })
      draw()
    }
  })
  const unwatch = [connection.subscribe(allow), current.subscribe(allow), row.subscribe(allow)]

  return {
    element,
    /** @param {import('./device.js').Schema} next */
    setSchema(next) {
      schema = next
      controls = new Map((next.commands ?? []).map((spec) => [spec.name, commandControl(spec, (args) => start(spec, args))]))
      knobs = new Map(next.channels.filter((c) => c.writable).map((c) => [c.id, { name: c.name, ...settingControl(c, (value) => desire(c, value), () => forget(c)) }]))
      replace(forms, [...controls.values()].map((one) => one.element))
      replace(knobForms, [...knobs.values()].map((one) => one.element))
      formPart.hidden = controls.size === 0
      knobPart.hidden = knobs.size === 0
      items.clear()
      allow()
      draw()
    },
    /** @param {import('./device.js').Row} next */
    show(next) {
      row.set(next)
      drawKnobs()
    },
    destroy() {
      for (const end of unwatch) end()
      clearTimeout(speaking)
      feed.close()
      own.close()
    },
  }
}
