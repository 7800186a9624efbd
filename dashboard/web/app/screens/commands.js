// All commands, and for administrators who did what. What is looked for is in the address.
import { ago } from '../ages.js'
import { get } from '../api.js'
import { argsText, cancelButton, commandBadge, commandStates, explanation, isOpen, stateWords, times } from '../commands.js'
import { h, replace } from '../dom.js'
import { failure } from '../form.js'
import { dateTime, t } from '../i18n.js'
import { connection, follow } from '../live.js'
import { skeleton } from '../loading.js'
import { setQuery } from '../router.js'
import { can } from '../session.js'

/** @typedef {import('../commands.js').Command} Command */

const page = 50
const soon = 2_000 // ms between two looks while something is under way
const later = 10_000 // ms

/**
 * @param {HTMLElement} root
 * @param {import('../router.js').Location} where
 */
export function mount(root, where) {
  let query = sound(where.query)
  const ended = new AbortController()
  const { signal } = ended
  /** @type {Command[]} */
  let commands = []
  let next = ''
  let turn = 0
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let typing

  const device = h('input', {
    type: 'search', 'aria-label': t('commands.device'), placeholder: t('commands.device'), autocomplete: 'off', spellcheck: 'false', value: query.device,
    on: {
      input() {
        clearTimeout(typing)
        typing = setTimeout(() => setQuery({ device: device.value.trim() }), 300)
      },
    },
  })
  const state = h('select', { 'aria-label': t('devices.filter'), on: { change: () => setQuery({ state: state.value }) } },
    ['', 'pending', ...commandStates].map((s) => h('option', { value: s, text: s === '' ? t('state.all') : s === 'pending' ? t('commands.pending') : stateWords(s) })))
  const message = h('p', { class: 'error', role: 'alert' })
  const none = h('p', { class: 'muted', hidden: true, text: t('commands.none') })
  const body = h('tbody')
  const heads = ['when', 'device', 'what', 'state', 'by', ''].map((key) => ({ key, text: key && t('commands.' + key) }))
  const table = h('table', { class: 'access command-table', hidden: true },
    h('thead', null, h('tr', null, heads.map(({ text }) => h('th', { scope: 'col' }, text || h('span', { class: 'visually-hidden', text: t('access.actions') }))))), body)
  const more = h('button', { type: 'button', class: 'quiet', hidden: true, text: t('hub.letters.more'), on: { click: () => void load(true) } })
  const waiting = skeleton(6, () => void load(false))
  const audit = can('admin') ? auditPanel() : null
  root.append(h('div', { class: 'stack' }, h('h1', { text: t('nav.commands') }), h('div', { class: 'row toolbar' }, device, state),
    waiting, h('section', { class: 'panel stack', 'aria-label': t('nav.commands') }, none, table, message, h('div', null, more)), audit?.element))

  /** @param {boolean} further the page behind those that are here */
  async function load(further) {
    const mine = ++turn
    clearTimeout(timer)
    try {
      const answer = await get('/commands', { signal, query: {
        device: query.device, state: query.state, limit: further ? page : Math.max(page, Math.min(commands.length, 1000)), cursor: further ? next : undefined } })
      if (mine !== turn) return
      commands = further ? [...commands, ...answer.commands] : answer.commands
      next = answer.next ?? ''
      waiting.hidden = true
      replace(message)
      draw()
    } catch (error) {
      if (signal.aborted || mine !== turn) return
      waiting.hidden = true
      replace(message, failure(error))
    }
    plan()
  }

  function plan() {
    clearTimeout(timer)
    timer = setTimeout(() => {
      if (document.hidden || connection.get().paused) plan()
      else void load(false)
    }, commands.some((c) => isOpen(c.state)) ? soon : later)
  }

  /** @type {Map<string, {text: string, element: HTMLTableRowElement}>} */
  let rows = new Map()
  function draw() {
    const old = rows
    rows = new Map(commands.map((c) => {
      const text = JSON.stringify(c)
      const known = old.get(c.id)
      return [c.id, known?.text === text ? known : { text, element: row(c) }]
    }))
    const wanted = [...rows.values()].map((r) => r.element)
    if (wanted.length !== body.childElementCount || wanted.some((e, i) => e !== body.children[i])) body.replaceChildren(...wanted)
    table.hidden = wanted.length === 0
    none.hidden = wanted.length > 0
    more.hidden = !next
  }

  /** @param {Command} c */
  function row(c) {
    const cells = [
      ago(c.created),
      h('a', { class: 'nowrap', href: `/devices/${encodeURIComponent(c.device)}`, text: c.device }),
      h('span', null, h('strong', { text: c.name }), ' ', argsText(c.args)),
      h('div', null, h('div', { class: 'row' }, commandBadge(c.state), times(c)), h('p', { class: 'hint', text: explanation(c) })),
      h('span', null, c.by, c.from && h('span', { class: 'muted', text: ` ${c.from}` })),
      c.state === 'queued' && can('operator') && cancelButton(c, () => void load(false), (error) => replace(message, failure(error))),
    ]
    return h('tr', null, cells.map((cell, i) => h('td', { dataset: { head: heads[i]?.text ?? '' } }, cell)))
  }

  // Own commands are told at once; those of others are seen at the next look.
  const own = follow('/user/queue/commands', (body) => { if (body.kind === 'update' && body.commands.length > 0) void load(false) })
  audit?.show(query.device)
  state.value = query.state
  void load(false)

  return {
    /** @param {import('../router.js').Location} to */
    update(to) {
      const old = query
      query = sound(to.query)
      if (document.activeElement !== device) device.value = query.device
      state.value = query.state
      if (old.device === query.device && old.state === query.state) return
      commands = []
      if (old.device !== query.device) audit?.show(query.device)
      void load(false)
    },
    unmount() {
      ended.abort()
      clearTimeout(timer)
      clearTimeout(typing)
      own.close()
      audit?.end()
    },
  }
}

/**
 * What the hub takes of an address that anybody may have written.
 * @param {Record<string, string>} query
 */
function sound({ device = '', state = '' }) {
  return { device: device.slice(0, 80), state: state === 'pending' || commandStates.some((s) => s === state) ? state : '' }
}

/** @typedef {{number: number, at: number, by: string, from?: string, action: string, device?: string, command?: string, text?: string}} Entry */

/** Who did what, from where and when. Nobody can change it through the hub. */
function auditPanel() {
  const ended = new AbortController()
  /** @type {Entry[]} */
  let entries = []
  let device = ''
  let next = ''
  let turn = 0
  const heads = ['at', 'by', 'from', 'action', 'device', 'text'].map((key) => t('audit.' + key))
  const body = h('tbody')
  const table = h('table', { class: 'access' }, h('thead', null, h('tr', null, heads.map((text) => h('th', { scope: 'col', text })))), body)
  const message = h('p', { class: 'error', role: 'alert' })
  const more = h('button', { type: 'button', class: 'quiet', text: t('hub.letters.more'), on: { click: () => void load(next) } })
  const element = h('section', { class: 'panel stack' },
    h('header', { class: 'row spread' }, h('h2', { text: t('audit') }), h('button', { type: 'button', class: 'quiet', text: t('audit.refresh'), on: { click: () => void load('') } })),
    h('p', { class: 'hint', text: t('audit.hint') }), table, message, h('div', null, more))

  /** @param {string} cursor empty: the newest */
  async function load(cursor) {
    const mine = ++turn
    try {
      const answer = await get('/audit', { signal: ended.signal, query: { device, limit: page, cursor } })
      if (mine !== turn) return
      entries = cursor ? [...entries, ...answer.entries] : answer.entries
      next = answer.next ?? ''
      more.hidden = !next
      replace(message)
      replace(body, entries.map((e) => h('tr', null, [h('span', { class: 'nowrap', text: dateTime(e.at) }), e.by, e.from ?? '', e.action,
        e.device && h('a', { class: 'nowrap', href: `/devices/${encodeURIComponent(e.device)}`, text: e.device }), h('span', { text: e.text ?? '', title: e.command ?? '' }),
      ].map((cell, i) => h('td', { dataset: { head: heads[i] ?? '' } }, cell)))))
    } catch (error) {
      if (!ended.signal.aborted && mine === turn) replace(message, failure(error))
    }
  }

  return {
    element,
    /** @param {string} of a device; empty for everything */
    show(of) {
      device = of
      void load('')
    },
    end: () => ended.abort(),
  }
}
