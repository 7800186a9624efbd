// All devices: a table that loads what is in sight, for ten and for ten thousand. The address holds what is searched, filtered and sorted.
import { h, replace, setText } from '../dom.js'
import { number, t } from '../i18n.js'
import { hub, retryNow, subscribe } from '../live.js'
import { empty, skeleton } from '../loading.js'
import { setQuery } from '../router.js'
import { can } from '../session.js'
import { choose, setting } from '../settings.js'
import { deviceStates, stateIcon, stateWord } from '../states.js'
import { deviceTable, sorts } from './devices_table.js'

const perPage = 50

/** @typedef {Record<string, string>} Query */

/**
 * @param {HTMLElement} root
 * @param {import('../router.js').Location} where
 */
export function mount(root, where) {
  let query = sound(where.query)
  const paged = () => setting('list') === 'pages'
  let matched = -1
  let total = 0

  const count = h('p', { class: 'muted' })
  const spoken = h('p', { class: 'visually-hidden', role: 'status' })
  const search = searchField((q) => setQuery({ q, page: null }))
  const filter = stateFilter((state) => setQuery({ state, page: null }))
  const sortSelect = h('select', { class: 'narrow-only', 'aria-label': t('devices.sort'), on: { change: () => setQuery({ sort: sortSelect.value === 'id' ? null : sortSelect.value, page: null }) } },
    sorts.map((s) => h('option', { value: s, text: t('devices.sort.' + s.replace('-', 'down.')) })))
  const mode = h('button', { type: 'button', class: 'quiet wide-only', on: { click: switchMode } })
  const table = deviceTable({
    sort: (sort) => setQuery({ sort: sort === 'id' ? null : sort, page: null }),
    needs: (first, n) => { if (!paged()) request(first, n) },
  })
  const pager = pages((page) => {
    setQuery({ page: page > 1 ? page : null }, { replace: false })
    scrollTo(0, 0)
  })
  const nothing = h('div', { hidden: true })
  const waiting = skeleton(8, retryNow)
  const listPanel = h('section', { class: 'panel list', 'aria-label': t('nav.devices') }, table.element, pager.element)
  const screen = h('div', { class: 'stack devices' },
    h('div', { class: 'row spread' }, h('h1', { text: t('nav.devices') }), h('div', { class: 'row' }, count, mode)),
    h('div', { class: 'row toolbar' }, search.element, filter.element, filter.select, sortSelect), spoken, waiting, listPanel, nothing)
  root.append(screen)

  /** @type {ReturnType<typeof subscribe> | null} */
  let subscription = null

  /**
   * @param {any} body
   */
  function receive(body) {
    waiting.hidden = true
    listPanel.hidden = false
    const before = matched
    matched = body.matched ?? matched
    total = body.total ?? total
    table.receive(body, body.kind === 'snapshot')
    if (matched !== before) say()
    pager.show(Number(query.page) || 1, Math.ceil(matched / perPage), paged())
  }

  function say() {
    setText(count, matched === total ? t('devices.count', { n: total }) : t('devices.matched', { n: matched, total }))
    listPanel.hidden = matched === 0
    nothing.hidden = matched !== 0
    if (matched !== 0) return
    const filtered = query.q || query.state || query.label
    replace(nothing, h('section', { class: 'panel' }, filtered
      ? empty(t('devices.nomatch'), t('devices.nomatch.text', { total }), h('button', { type: 'button', text: t('devices.clear'), on: { click: clear } }))
      : empty(t('overview.empty'), t(can('admin') ? 'overview.empty.text' : 'overview.empty.viewer'),
        can('admin') && h('a', { class: 'button primary', href: '/add', text: t('nav.add') }))))
  }

  function clear() {
    setQuery({ q: null, state: null, label: null, page: null })
    search.set('')
  }

  /**
   * @param {number} first
   * @param {number} n
   */
  function request(first, n) {
    const p = { q: query.q, state: query.state, sort: query.sort ?? 'id', label: query.label, first, count: n }
    if (subscription) subscription.update(p)
    else subscription = subscribe('/topic/devices', p, receive)
  }

  function switchMode() {
    choose('list', paged() ? 'scroll' : 'pages')
    setQuery({ page: null })
    apply()
  }

  function apply() {
    search.set(query.q ?? '')
    filter.set(query.state ?? '')
    sortSelect.value = query.sort ?? 'id'
    setText(mode, t(paged() ? 'devices.scroll' : 'devices.pages'))
    table.show({ sort: query.sort ?? 'id', paged: paged() })
    if (paged()) request(((Number(query.page) || 1) - 1) * perPage, perPage)
    else table.ask(true)
  }

  const endHub = hub.subscribe((state) => { if (state) filter.count(state.counts) })
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let speech
  if (!history.state?.top) listPanel.hidden = true
  else waiting.hidden = true
  apply()
  if (location.hash === '#search') {
    history.replaceState(history.state, '', location.pathname + location.search)
    search.focus()
  }
  return {
    /** @param {import('../router.js').Location} next */
    update(next) {
      const changed = JSON.stringify(sound(next.query)) !== JSON.stringify(query)
      query = sound(next.query)
      if (!changed) return
      table.reset()
      if (scrollY > 0) scrollTo(0, 0)
      apply()
      clearTimeout(speech)
      speech = setTimeout(() => setText(spoken, t('devices.matched', { n: Math.max(0, matched), total })), 1500)
    },
    unmount() {
      clearTimeout(speech)
      endHub()
      subscription?.close()
      table.close()
    },
  }
}

/**
 * What the hub takes of an address that anybody may have written.
 * @param {Query} query
 * @returns {Query}
 */
function sound({ q, state, sort, label, page }) {
  /** @type {Query} */
  const kept = {}
  if (q) kept.q = q.slice(0, 80)
  if (label) kept.label = label.slice(0, 80)
  if (state === 'attention' || deviceStates.some((s) => s === state)) kept.state = state ?? ''
  if (/^-?(id|state|seen|kind)$/.test(sort ?? '')) kept.sort = sort ?? ''
  if (Number(page) > 1) kept.page = String(Math.floor(Number(page)))
  return kept
}

/**
 * @param {(q: string) => void} changed
 */
function searchField(changed) {
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer
  const input = h('input', {
    type: 'search', 'aria-label': t('help.search'), placeholder: t('devices.search'), autocomplete: 'off', spellcheck: 'false', 'aria-keyshortcuts': '/',
    on: {
      input: () => {
        clearTimeout(timer)
        timer = setTimeout(() => changed(input.value.trim()), 200)
      },
      /** @param {KeyboardEvent} e */
      keydown: (e) => { if (e.key === 'Escape' && !input.value) input.blur() },
    },
  })
  return {
    element: input,
    focus: () => input.focus(),
    /** @param {string} q */
    set(q) {
      if (document.activeElement !== input || q === '') input.value = q
    },
  }
}

/**
 * @param {(state: string | null) => void} chosen
 */
function stateFilter(chosen) {
  let present = ''
  const buttons = ['', 'attention', ...deviceStates].map((state) => {
    const count = h('span', { class: 'muted' })
    const icon = state === '' ? null : stateIcon(state === 'attention' ? 'alarm' : state)
    const button = h('button', { type: 'button', on: { click: () => chosen(state === present ? null : state || null) } },
      icon, h('span', { text: stateWord(state || 'all') }), count)
    return { state, button, count }
  })
  const options = buttons.map((b) => h('option', { value: b.state, text: stateWord(b.state || 'all') }))
  const select = h('select', { class: 'narrow-only', 'aria-label': t('devices.filter'), on: { change: () => chosen(select.value || null) } }, options)
  return {
    element: h('div', { class: 'row wide-only filter', role: 'group', 'aria-label': t('devices.filter') }, buttons.map((b) => b.button)),
    select,
    /** @param {string} state */
    set(state) {
      present = state
      select.value = state
      for (const b of buttons) b.button.setAttribute('aria-pressed', String(b.state === state))
    },
    /** @param {Record<string, number>} counts */
    count(counts) {
      for (const [i, b] of buttons.entries()) {
        const n = counts[b.state || 'total'] ?? 0
        const option = options[i]
        if (option) setText(option, `${stateWord(b.state || 'all')} (${number(n)})`)
        setText(b.count, number(n))
        b.button.hidden = n === 0 && b.state !== '' && b.state !== present
      }
    },
  }
}

/**
 * @param {(page: number) => void} turn
 */
function pages(turn) {
  let page = 1
  const back = h('button', { type: 'button', text: t('devices.previous'), on: { click: () => turn(page - 1) } })
  const text = h('span')
  const on = h('button', { type: 'button', text: t('devices.next'), on: { click: () => turn(page + 1) } })
  const element = h('nav', { class: 'row pager', 'aria-label': t('devices.pager'), hidden: true }, back, text, on)
  return {
    element,
    /**
     * @param {number} now
     * @param {number} all
     * @param {boolean} used
     */
    show(now, all, used) {
      page = now
      element.hidden = !used || all < 2
      setText(text, t('devices.page', { n: now, all: Math.max(1, all) }))
      back.disabled = now <= 1
      on.disabled = now >= all
    },
  }
}
