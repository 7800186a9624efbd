// The device's charts and what is chosen for them: which channels, which time. Both are in the address.
import { address } from '../api.js'
import { gapWords } from '../chart.js'
import { Charts } from '../charts.js'
import { ends, formatView, parseView, windows } from '../chartscale.js'
import { now } from '../clock.js'
import { h, replace, setText } from '../dom.js'
import { failure } from '../form.js'
import { dateTime, duration, moment, number, t } from '../i18n.js'
import { connection } from '../live.js'
import { setQuery } from '../router.js'
import { setting } from '../settings.js'

const most = 8 // charts shown unless asked for
const none = '-' // in the address: no chart at all

/**
 * @param {string} device
 * @param {Record<string, string>} query
 * @param {(ids: Set<number>) => void} charted tells which channels have a chart
 */
export function chartsPanel(device, query, charted) {
  /** @type {import('../chart.js').Channel[]} */
  let channels = []
  let wanted = query.m ?? ''
  let failed = ''
  const time = () => connection.get().paused?.since ?? now()
  const charts = new Charts({
    device, now: time,
    viewed: (view) => {
      mark()
      setQuery(formatView(view))
    },
    loading: (phase, error) => {
      status.dataset.phase = phase
      failed = phase === 'failed' ? failure(error) : ''
      say()
      if (phase === 'idle') listGaps()
    },
    limited: (hertz) => setText(slow, hertz ? t('chart.limited', { n: number(hertz, 1) }) : ''),
  })

  const spans = windows.map(([name, ms], i) => h('button', {
    type: 'button', 'aria-pressed': 'false', 'aria-keyshortcuts': String(i + 1), text: duration(ms), dataset: { w: name },
    on: { click: () => charts.choose({ span: ms, from: 0, to: 0 }) },
  }))
  /**
   * @param {string} key
   * @param {string} sign
   * @param {() => void} click
   */
  const tool = (key, sign, click) => h('button', { type: 'button', class: 'square', 'aria-label': t('chart.' + key), title: t('chart.' + key), text: sign, on: { click } })
  const back = h('button', { type: 'button', class: 'primary', text: t('chart.live'), hidden: true, on: { click: () => charts.choose({ span: 300_000, from: 0, to: 0 }) } })
  const from = h('input', { type: 'datetime-local', step: 1, id: 'chart-from', required: true })
  const to = h('input', { type: 'datetime-local', step: 1, id: 'chart-to', required: true })
  const wrong = h('p', { class: 'error', role: 'alert' })
  const range = h('details', { class: 'chart-range', on: { toggle: fill } }, h('summary', { text: t('chart.range') }),
    h('form', { class: 'row', on: { submit: apply } }, h('label', { for: from.id, text: t('chart.from') }), from, h('label', { for: to.id, text: t('chart.to') }), to,
      h('button', { type: 'submit', text: t('chart.apply') }), wrong))
  const status = h('p', { class: 'chart-status muted', role: 'status' })
  const slow = h('span', { class: 'chip limited' })
  const csv = h('a', { class: 'button', download: true, text: t('chart.csv'), href: '#', on: { click: link, focus: link, pointerenter: link } })
  const gaps = h('div', { class: 'chart-gaps' })
  const oldText = h('span')
  const old = h('p', { class: 'row notice', hidden: true }, oldText, h('button', {
    type: 'button', text: t('chart.old.show'), on: { click: () => charts.choose({ span: 0, from: newest - 240_000, to: newest + 60_000 }) },
  }))
  let newest = 0
  const element = h('section', { class: 'stack chart-panel', 'aria-label': t('chart.title') },
    h('div', { class: 'row chart-tools' },
      h('div', { class: 'segments', role: 'group', 'aria-label': t('chart.window') }, spans),
      h('div', { class: 'row' }, tool('earlier', '←', () => charts.move(-0.5, 1)), tool('later', '→', () => charts.move(0.5, 1)),
        tool('closer', '+', () => charts.move(0, 0.5)), tool('wider', '−', () => charts.move(0, 2)), back),
      range, csv, slow, status),
    old, charts.element, gaps)
  charts.setView(parseView(query))
  mark()

  function mark() {
    const { view } = charts
    for (const [i, button] of spans.entries()) button.setAttribute('aria-pressed', String(windows[i]?.[1] === view.span))
    back.hidden = view.span > 0
    say()
  }

  function say() {
    const { view } = charts
    const shown = view.span > 0 ? '' : t('chart.shown', { from: moment(view.from), to: moment(view.to) })
    setText(status, failed ? t('chart.failed', { why: failed }) : shown)
  }

  /** The fields begin with what is shown. */
  function fill() {
    const [a, b] = ends(charts.view, time())
    from.value = dateTime(a).replace(' ', 'T')
    to.value = dateTime(b).replace(' ', 'T')
  }

  /** @param {SubmitEvent} event */
  function apply(event) {
    event.preventDefault()
    const view = { span: 0, from: readTime(from.value), to: readTime(to.value) }
    const good = view.to - view.from >= 1000
    replace(wrong, !good && t('chart.order'))
    if (good) charts.choose(view)
  }

  /** The link is for what is shown when it is used. */
  function link() {
    const [a, b] = ends(charts.view, time())
    csv.href = address('/readings.csv', { device, from: Math.floor(a), to: Math.ceil(b), channel: [...charts.charts.keys()] })
  }

  function listGaps() {
    const list = charts.known.filter((g) => g.cause !== 'unknown').reverse()
    replace(gaps, list.length > 0 && h('details', null, h('summary', { text: t('chart.gaps', { n: list.length }) }),
      h('ul', null, list.slice(0, 20).map((g) => h('li', { text: `${moment(g.from)} – ${moment(g.to)} (${duration(g.to - g.from)}): ${gapWords(g, true)}` })))))
  }

  /** Which channels have a chart, after the address or, if it says nothing, the first ones. */
  function chosen() {
    if (wanted === none) return []
    const names = wanted.split(',')
    const found = wanted ? channels.filter((c) => names.includes(nameOf(c))) : channels.slice(0, most)
    return found.length || wanted === '' ? found : channels.slice(0, most)
  }

  function choose() {
    const list = chosen()
    charts.setChannels(list)
    charted(new Set(list.map((c) => c.id)))
  }

  /** @param {KeyboardEvent} event */
  function key(event) {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || setting('keys') === 'off') return
    if (event.target instanceof Element && event.target.closest('input, textarea, select, dialog')) return
    const span = windows[Number(event.key) - 1]
    if (!span) return
    event.preventDefault()
    charts.choose({ span: span[1], from: 0, to: 0 })
  }
  document.addEventListener('keydown', key)

  let wasLive = true
  return {
    element,
    add: charts.add.bind(charts),
    reload: charts.reload.bind(charts),
    /** @param {import('../chart.js').Channel[]} list */
    setChannels(list) {
      channels = list
      choose()
    },
    /**
     * @param {string} name
     * @param {boolean} on
     */
    toggle(name, on) {
      const list = channels.filter((c) => c.name === name ? on : chosen().includes(c))
      const usual = channels.slice(0, most)
      wanted = list.length === 0 ? none : list.length === usual.length && list.every((c, i) => c === usual[i]) ? '' : list.map(nameOf).join(',')
      setQuery({ m: wanted })
      choose()
    },
    /** @param {Record<string, string>} next */
    query(next) {
      if ((next.m ?? '') !== wanted) {
        wanted = next.m ?? ''
        choose()
      }
      charts.setView(parseView(next))
      mark()
    },
    /** @param {import('./device.js').Row} row */
    show(row) {
      newest = 0
      for (const v of row.values ?? []) newest = Math.max(newest, v.t)
      charts.addTexts(row.values ?? [])
      const [from] = ends(charts.view, time())
      old.hidden = charts.view.span === 0 || newest === 0 || newest >= from
      if (!old.hidden) setText(oldText, t('chart.old', { at: moment(newest) }))
      if (wasLive) charts.open = row.state === 'offline' && row.seen ? { from: row.seen, to: 0, cause: 'offline' } : null
    },
    /**
     * @param {import('../live.js').Connection} c
     */
    connection(c) {
      const broken = c.phase === 'reconnecting' || c.phase === 'lost' || c.phase === 'expired'
      if (broken && c.asOf) charts.open = { from: c.asOf, to: 0, cause: 'page' }
      else if (!broken && !wasLive) {
        charts.open = null
        charts.reload()
      }
      wasLive = !broken
    },
    destroy() {
      document.removeEventListener('keydown', key)
      charts.destroy()
    },
  }
}

/**
 * A channel's name in the address; its number, where the name does not go there.
 * @param {{id: number, name: string}} channel
 */
function nameOf(channel) {
  return /[,#]|^-$/.test(channel.name) ? `#${channel.id}` : channel.name
}

/**
 * The moment that dateTime writes so, in the zone chosen for the page.
 * @param {string} text as of an input for day and time
 */
function readTime(text) {
  const guess = Date.parse(text + 'Z')
  const offset = Date.parse(dateTime(guess).replace(' ', 'T') + 'Z') - guess
  return guess - offset
}
