// A few devices as cards: newest values and the last minutes as a line.
import { ago, setAgo } from '../ages.js'
import { get } from '../api.js'
import { h, replace, setText } from '../dom.js'
import { isNumber } from '../exact.js'
import { brief, t } from '../i18n.js'
import { now, subscribe } from '../live.js'
import { spark } from '../spark.js'
import { badge } from '../states.js'
import { unitText } from '../units.js'

/** @typedef {{id: number, name: string, unit?: string, type: string, v: any, text: string, t: number, state: string}} Value */
/** @typedef {{id: string, kind: string, state: string, since: number, seen?: number, values?: Value[]}} Row */

const reach = 5 * 60_000

/**
 * @param {number} most
 */
export function deviceCards(most) {
  const element = h('div', { class: 'cards' })
  /** @type {Map<string, ReturnType<typeof card>>} */
  const cards = new Map()
  const ended = new AbortController()
  const subscription = subscribe('/topic/devices', { first: 0, count: most, sort: 'id' }, (body, meta) => {
    /** @type {Row[]} */
    const rows = body.rows ?? []
    for (const row of rows) {
      let c = cards.get(row.id)
      if (!c) cards.set(row.id, c = card(row, ended.signal))
      c.update(row)
    }
    // What came while we were away is only in the history.
    if (meta.resumed !== null) for (const c of cards.values()) void c.recall()
    if (!body.order) return
    const order = /** @type {string[]} */ (body.order)
    for (const id of cards.keys()) if (!order.includes(id)) cards.delete(id)
    replace(element, order.map((id) => cards.get(id)?.element))
  })
  return {
    element,
    close() {
      ended.abort()
      subscription.close()
    },
  }
}

/**
 * The value that is drawn: the first number.
 * @param {Row} row
 */
function drawn(row) {
  return row.values?.find((v) => v.type !== 'string' && v.type !== 'bool')
}

/**
 * @param {Row} first
 * @param {AbortSignal} ended
 */
function card(first, ended) {
  const line = spark(reach)
  const state = h('span')
  const values = h('dl', { class: 'card-values' })
  const seen = ago(first.seen ?? 0)
  const element = h('article', { class: 'panel card' },
    h('header', null, h('h3', null, h('a', { class: 'cover', href: `/devices/${encodeURIComponent(first.id)}`, text: first.id })), state),
    values, line.element, h('footer', { class: 'row spread muted' }, h('span', { text: first.kind }), seen))
  let shownState = ''
  let recalled = 0

  async function recall() {
    recalled = now()
    const channel = drawn(first)
    if (!channel) return
    try {
      const got = await get(`/devices/${encodeURIComponent(first.id)}/readings`,
        { signal: ended, query: { from: Math.round(recalled - reach), to: Math.round(recalled), points: 150, channel: channel.id } })
      const c = got.channels?.[0]
      if (c) line.load(c.t.map((/** @type {number} */ at, /** @type {number} */ i) => [at, c.last[i]]).filter((/** @type {any[]} */ p) => typeof p[1] === 'number'))
    } catch {
      // The line begins with what comes now.
    }
  }

  return {
    element,
    recall,
    /** @param {Row} row */
    update(row) {
      if (row.state !== shownState) {
        replace(state, badge(row.state))
        element.className = `panel card is-${row.state}`
        shownState = row.state
      }
      setAgo(seen, row.seen ?? 0)
      if (!row.seen) setText(seen, t('devices.noframe'))
      if (row.values) first = { ...first, values: row.values }
      showValues(values, row.values ?? [], row.state)
      const number = drawn(row)
      if (number && isNumber(number.v)) line.push(number.t, Number(number.v))
      line.old(row.state !== 'live' && row.state !== 'late')
      if (recalled === 0 && number) void recall()
    },
  }
}

/**
 * @param {HTMLElement} list
 * @param {Value[]} values
 * @param {string} deviceState
 */
function showValues(list, values, deviceState) {
  if (list.children.length !== values.length) {
    replace(list, values.map(() => h('div', null, h('dt'), h('dd', null, h('b'), ' ', h('span', { class: 'muted' })))))
  }
  for (const [i, v] of values.entries()) {
    const entry = list.children[i]
    if (!entry) continue
    const [name, value] = entry.children
    if (!name || !value?.children[0] || !value.children[1]) continue
    setText(name, v.name)
    setText(value.children[0], brief(v))
    value.setAttribute('title', v.text)
    setText(value.children[1], unitText(v.unit))
    entry.classList.toggle('old', deviceState === 'offline' || deviceState === 'stale' || v.state === 'stale')
  }
}
