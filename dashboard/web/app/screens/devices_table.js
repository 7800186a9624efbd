// The table of devices. Only the rows in sight exist; the rest is room above and below them.
import { h, replace } from '../dom.js'
import { t } from '../i18n.js'
import { setting } from '../settings.js'
import { deviceRow, pendingRow } from './devices_row.js'

/** @typedef {import('./devices_row.js').Row} Row */

/** What rows can be sorted by, as the hub takes it. */
export const sorts = ['id', 'state', '-seen', 'seen', 'kind']

const margin = 4 // rows kept ready above and below what is in sight
const step = 4 // rows by which what is kept ready moves: most frames of a scroll change nothing
const ahead = 15 // rows asked for above and below

/** Columns: key, and by what the column sorts, at first and when pressed again. @type {[string, string, string][]} */
const columns = [['state', 'state', '-state'], ['device', 'id', '-id'], ['readings', '', ''], ['seen', '-seen', 'seen'], ['kind', 'kind', '-kind'], ['firmware', '', '']]

/**
 * @param {{sort: (sort: string) => void, needs: (first: number, count: number) => void}} outside
 */
export function deviceTable(outside) {
  const heads = columns.map(([key, up, down]) => {
    const th = h('th', { role: 'columnheader', scope: 'col', class: `col-${key}` })
    const name = t('devices.col.' + key)
    if (up) th.append(h('button', { type: 'button', class: 'sort', text: name, on: { click: () => outside.sort(th.dataset.sorted === up ? down : up) } }))
    else th.append(name)
    return { th, up, down }
  })
  const above = room()
  const below = room()
  const body = h('tbody', { role: 'rowgroup' })
  const element = h('table', { role: 'table', class: 'device-table', 'aria-label': t('nav.devices') },
    h('thead', { role: 'rowgroup' }, h('tr', { role: 'row', 'aria-rowindex': 1 }, heads.map((x) => x.th))), above.element, body, below.element)

  /** @type {string[]} */
  let order = []
  let first = 0 // of order
  let matched = history.state?.top ? 1e5 : 0
  let paged = false
  let fresh = false // order is of the present search
  /** @type {Map<string, Row>} */
  const rows = new Map()
  /** @type {Map<string, import('./devices_row.js').ShownRow>} */
  const mounted = new Map()
  let wanted = -1 // the row that is to be focused once it is there
  let asked = { first: 0, count: 0 }
  let built = { start: 0, end: 0 } // rows in the document
  let stale = true // those rows may have to look otherwise than they do
  let height = 0 // of a row, px, unless stale
  let frame = 0
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer

  function rowHeight() {
    if (!stale) return height
    const rem = parseFloat(getComputedStyle(document.documentElement).fontSize)
    return height = Math.round(rem * (matchMedia('(max-width: 640px)').matches ? 6.6 : 3))
  }

  /** The rows in sight. */
  function sight() {
    const height = rowHeight()
    const top = above.element.getBoundingClientRect().top
    const from = Math.max(0, Math.floor(-top / height))
    return { from: Math.min(from, Math.max(0, matched - 1)), count: Math.ceil(innerHeight / height) + 1 }
  }

  function render() {
    frame = 0
    const now = sight()
    const start = paged ? first : Math.max(0, step * Math.floor((now.from - margin) / step))
    const end = paged ? first + order.length : Math.min(matched, step * Math.ceil((now.from + now.count + margin) / step))
    if (stale || start !== built.start || end !== built.end) build(start, end)
    if (wanted >= 0) focus(wanted)
    if (!paged) ask(false, now)
  }

  /**
   * Puts the rows from start to end into the document.
   * @param {number} start
   * @param {number} end
   */
  function build(start, end) {
    const height = rowHeight()
    stale = false
    built = { start, end }
    element.style.setProperty('--row', `${height}px`)
    element.setAttribute('aria-rowcount', String(matched + 1))
    above.set(paged ? 0 : start * height)
    below.set(paged ? 0 : Math.max(0, matched - end) * height)
    /** @type {Set<string>} */
    const used = new Set()
    const held = focused()
    for (let i = start; i < end; i++) {
      const id = order[i - first]
      const row = id === undefined ? undefined : rows.get(id)
      const key = row ? row.id : `#${i}` // no id begins with #
      used.add(key)
      let shown = mounted.get(key)
      if (!shown) mounted.set(key, shown = row ? deviceRow(row) : pendingRow())
      if (row) shown.update(row)
      shown.element.setAttribute('aria-rowindex', String(i + 2))
      const there = body.children[i - start] ?? null
      if (there !== shown.element) body.insertBefore(shown.element, there)
    }
    for (const [key, shown] of mounted) {
      if (used.has(key)) continue
      shown.element.remove()
      mounted.delete(key)
    }
    if (held && document.activeElement !== held && held.isConnected) held.focus({ preventScroll: true })
  }

  function soon() {
    if (frame === 0) frame = requestAnimationFrame(render)
  }

  function changed() {
    stale = true
    soon()
  }

  /**
   * Asks for the rows around those in sight if they are not on their way.
   * @param {boolean} anyway
   * @param {{from: number, count: number}} [insight] the rows in sight
   */
  function ask(anyway, { from, count } = sight()) {
    const enough = asked.first <= Math.max(0, from - margin) && asked.first + asked.count >= Math.min(matched, from + count + margin)
    if (enough && !anyway) return
    clearTimeout(timer)
    timer = setTimeout(() => {
      const now = sight()
      asked = { first: Math.max(0, now.from - ahead), count: Math.min(200, now.count + 2 * ahead) }
      outside.needs(asked.first, asked.count)
    }, anyway ? 0 : 120)
  }

  function focused() {
    const active = document.activeElement
    return active instanceof HTMLElement && body.contains(active) ? active : null
  }

  /**
   * Moves the focus to a row, which may have to be scrolled to and loaded first.
   * @param {number} index
   */
  function focus(index) {
    const id = order[index - first]
    const shown = id === undefined ? undefined : mounted.get(id)
    wanted = shown ? -1 : index
    const height = rowHeight()
    const y = above.element.getBoundingClientRect().top + scrollY + index * height
    const under = paged ? 0 : 140 // what is fixed at the top
    if (shown) shown.link?.focus({ preventScroll: !paged })
    if (paged) return
    if (y - under < scrollY) scrollTo(0, y - under)
    else if (y + height + 70 > scrollY + innerHeight) scrollTo(0, y + height + 70 - innerHeight)
  }

  /** @param {KeyboardEvent} event */
  function key(event) {
    if ((event.key !== 'j' && event.key !== 'k') || event.ctrlKey || event.metaKey || event.altKey || setting('keys') === 'off') return
    if (event.target instanceof Element && event.target.closest('input, textarea, select, dialog')) return
    const row = focused()?.closest('tr')
    const now = row ? Number(row.getAttribute('aria-rowindex')) - 2 : wanted >= 0 ? wanted : event.key === 'j' ? sight().from - 1 : 1
    const last = paged ? first + order.length - 1 : matched - 1
    focus(Math.min(last, Math.max(paged ? first : 0, now + (event.key === 'j' ? 1 : -1))))
    event.preventDefault()
  }

  addEventListener('scroll', soon, { passive: true })
  addEventListener('resize', changed)
  document.addEventListener('keydown', key)
  return {
    element,
    ask,
    /**
     * Takes a message of /topic/devices.
     * @param {{first: number, matched: number, order?: string[], rows?: Row[]}} message
     * @param {boolean} snapshot
     */
    receive(message, snapshot) {
      if (snapshot) fresh = true
      else if (!fresh) return
      matched = message.matched ?? matched
      for (const row of message.rows ?? []) rows.set(row.id, row)
      if (message.order) {
        order = message.order
        first = message.first ?? first
        const kept = new Set(order)
        for (const id of rows.keys()) if (!kept.has(id)) rows.delete(id)
      }
      changed()
    },
    /** Another search begins; its rows are not those shown. */
    reset() {
      fresh = false
    },
    /** @param {{sort: string, paged: boolean}} how */
    show(how) {
      paged = how.paged
      for (const { th, up, down } of heads) {
        const sorted = up && (how.sort === up || how.sort === down) ? how.sort : ''
        th.dataset.sorted = sorted
        if (sorted) th.setAttribute('aria-sort', sorted.startsWith('-') ? 'descending' : 'ascending')
        else th.removeAttribute('aria-sort')
      }
      changed()
    },
    close() {
      clearTimeout(timer)
      cancelAnimationFrame(frame)
      removeEventListener('scroll', soon)
      removeEventListener('resize', changed)
      document.removeEventListener('keydown', key)
      replace(body)
    },
  }
}

/** Room that takes the place of rows. */
function room() {
  const cell = h('td') // alone in its row: a cell of all columns would keep the width of those that are hidden
  const element = h('tbody', { 'aria-hidden': 'true', class: 'room' }, h('tr', null, cell))
  return {
    element,
    /** @param {number} height px */
    set(height) {
      cell.style.height = `${height}px`
    },
  }
}
