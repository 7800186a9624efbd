// One device: what it is, its newest values, its charts, what happened to it, and its books.
import { ApiError, get } from '../api.js'
import { h, replace } from '../dom.js'
import { failure } from '../form.js'
import { t } from '../i18n.js'
import { connection, subscribe } from '../live.js'
import { empty, skeleton } from '../loading.js'
import { chartsPanel } from './device_charts.js'
import { eventsPanel } from './device_events.js'
import { booksPanel, headerPanel, schemaPanel } from './device_facts.js'
import { tilesPanel } from './device_tiles.js'
import { tokensPanel } from './device_tokens.js'

/**
 * @typedef {{id: number, name: string, unit?: string, type: string, v: unknown, text: string, t: number, state: string, expect: number}} Value
 * @typedef {{id: string, kind: string, labels?: Record<string, string>, state: string, since: number, connected: boolean, seen?: number,
 *   skew_ms?: number, firmware?: string, model?: string, rejected?: number, holes?: number, lost?: number, values?: Value[]}} Row
 * @typedef {{hash: string, channels: import('../chart.js').Channel[], commands?: import('./device_controls.js').Spec[]}} Schema
 * @typedef {{created: number, revoked: boolean, tokens: {created: number, first_used?: number, expires?: number}[],
 *   presence: {address?: string, since?: number}, books: Record<string, number>}} Detail
 */

const refresh = 10_000 // ms between two looks at the books

/**
 * @param {HTMLElement} root
 * @param {import('../router.js').Location} where
 */
export function mount(root, { params, query }) {
  const id = params.id ?? ''
  const path = `/devices/${encodeURIComponent(id)}`
  const ended = new AbortController()
  /** @type {Row | null} */
  let row = null
  /** @type {Schema | null} */
  let schema = null

  const header = headerPanel(id)
  const tiles = tilesPanel((name, on) => charts.toggle(name, on))
  const charts = chartsPanel(id, query, (shown) => tiles.charted(shown))
  const events = eventsPanel(id)
  const place = h('div', { hidden: true })
  /** @type {ReturnType<typeof import('./device_commands.js').commandsPanel> | null} */
  let commands = null
  const books = booksPanel()
  const schemas = schemaPanel()
  const tokens = tokensPanel(id, () => void look())
  const waiting = skeleton(6, () => location.reload())
  const never = h('section', { class: 'panel', hidden: true })
  const data = h('div', { class: 'stack', hidden: true }, never, tiles.element, charts.element, place,
    h('div', { class: 'columns' }, events.element, h('div', { class: 'stack' }, books.element, tokens.element)), schemas.element)
  root.append(h('div', { class: 'stack device' }, header.element, waiting, data))

  const feed = subscribe(`/topic/devices/${id}/readings`, {}, (body, meta) => {
    if (body.kind === 'removed') return gone()
    if (body.device) merge(body.device, meta.snapshot)
    if (body.schema) setSchema(body.schema)
    if (body.points) charts.add(body.points)
    if (body.backlog || meta.missed !== 0 || meta.snapshot) charts.reload()
    if (body.events?.length) {
      events.add(body.events)
      charts.reload() // an event may begin or end a gap
      void look()
    }
    show()
  })

  /**
   * @param {Row} next values only where they changed, except in a snapshot
   * @param {boolean} whole
   */
  function merge(next, whole) {
    const values = new Map((whole ? [] : row?.values ?? []).map((v) => [v.id, v]))
    for (const v of next.values ?? []) values.set(v.id, v)
    row = { ...next, values: [...values.values()].sort((a, b) => a.id - b.id) }
  }

  /** @param {Schema | null} next */
  function setSchema(next) {
    if (!next || next.hash === schema?.hash) return
    schema = next
    const known = new Set(next.channels.map((c) => c.id))
    if (row) row.values = row.values?.filter((v) => known.has(v.id)) ?? []
    schemas.show(next)
    tiles.setChannels(next.channels)
    charts.setChannels(next.channels)
    if (next.commands?.length || next.channels.some((c) => c.writable)) void control()
    else commands?.setSchema(next)
  }

  /** Only a device that can be told something needs what tells it. */
  async function control() {
    try {
      const { commandsPanel } = await import('./device_commands.js')
      if (ended.signal.aborted || !schema) return
      commands ??= commandsPanel(id)
      commands.setSchema(schema)
      if (row) commands.show(row)
      replace(place, commands.element)
    } catch (error) {
      replace(place, h('p', { class: 'error', role: 'alert', text: failure(error) }))
    }
    place.hidden = false
  }

  function show() {
    if (row === null) return
    waiting.remove()
    data.hidden = false
    const silent = row.state === 'never'
    if (never.hidden === silent) {
      never.hidden = !silent
      replace(never, silent && empty(t('device.never'), t('device.never.text'), h('a', { class: 'button', href: `/add?device=${encodeURIComponent(id)}`, text: t('device.never.action') })))
      for (const part of [tiles.element, charts.element, schemas.element]) part.hidden = silent
    }
    header.show(row)
    tiles.show(row)
    charts.show(row)
    commands?.show(row)
  }

  let looking = false
  /** Asks for what does not come by itself. */
  async function look() {
    if (looking || document.hidden || connection.get().paused) return
    looking = true
    try {
      const detail = await get(path, { signal: ended.signal })
      if (row === null) merge(detail.device, true)
      setSchema(detail.schema ?? null)
      header.detail(detail)
      books.show(detail.books)
      tokens.show(detail)
      show()
    } catch (error) {
      if (ended.signal.aborted) return
      if (error instanceof ApiError && error.status === 404) return gone()
      if (row === null) replace(waiting, h('p', { class: 'error', role: 'alert', text: failure(error) }))
    } finally {
      looking = false
    }
  }

  function gone() {
    stop()
    replace(root, h('div', { class: 'empty' }, h('h1', { text: t('device.gone') }), h('p', { text: t('device.gone.text', { id }) }),
      h('a', { class: 'button', href: '/devices', text: t('device.all') })))
  }

  const timer = setInterval(() => void look(), refresh)
  const unwatch = connection.subscribe((c) => {
    charts.connection(c)
    header.asOf(c.phase === 'reconnecting' || c.phase === 'lost' || c.phase === 'expired' ? c.asOf : 0)
  })
  void look()

  function stop() {
    ended.abort()
    clearInterval(timer)
    unwatch()
    feed.close()
    charts.destroy()
    commands?.destroy()
    events.destroy()
  }

  return {
    /** @param {import('../router.js').Location} next */
    update: (next) => charts.query(next.query),
    unmount: stop,
  }
}
