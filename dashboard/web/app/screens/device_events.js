// What happened to the device, newest first.
import { get } from '../api.js'
import { h, replace } from '../dom.js'
import { dateTime, hasText, moment, t } from '../i18n.js'

/** @typedef {{n: number, at: number, device?: string, kind: string, text?: string, address?: string}} Event */

const kept = 100
const drawEvery = 500 // ms
const speakEvery = 5_000 // ms, so that a flapping device does not talk without end

/**
 * An event's kind in words.
 * @param {Event} event
 */
export function eventWord(event) {
  const key = 'event.' + event.kind
  return hasText(key) ? t(key) : event.kind
}

/**
 * @param {Event} event
 * @param {boolean} [withDevice]
 */
export function eventItem(event, withDevice = false) {
  return h('li', { class: `event event-${event.kind}` },
    h('time', { class: 'nowrap muted', text: moment(event.at), title: dateTime(event.at), datetime: new Date(event.at).toISOString() }),
    h('span', null, h('strong', { text: eventWord(event) }), withDevice && event.device && [' ', h('a', { href: `/devices/${encodeURIComponent(event.device)}`, text: event.device })],
      event.text && ` – ${event.text}`, event.address && h('span', { class: 'muted', text: ` (${event.address})` })))
}

/** @param {string} device */
export function eventsPanel(device) {
  const list = h('ol', { class: 'events', tabindex: 0, 'aria-label': t('device.events') })
  const none = h('p', { class: 'muted', text: t('device.events.none') })
  const spoken = h('div', { class: 'visually-hidden', role: 'log', 'aria-live': 'polite', 'aria-label': t('device.events') })
  const element = h('section', { class: 'panel' }, h('header', null, h('h2', { text: t('device.events') })), none, list, spoken)
  const ended = new AbortController()
  /** @type {Map<string, Event>} */
  const events = new Map()
  /** @type {Event[]} */
  let unspoken = []
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let drawing
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let speaking
  const since = Date.now()

  function draw() {
    drawing = undefined
    const newest = [...events.values()].sort((a, b) => b.at - a.at || b.n - a.n).slice(0, kept)
    events.clear()
    for (const e of newest) events.set(key(e), e)
    none.hidden = newest.length > 0
    replace(list, newest.map((e) => eventItem(e)))
  }

  function speak() {
    speaking = undefined
    const newest = unspoken.at(-1)
    if (!newest) return
    const text = unspoken.length === 1 ? `${eventWord(newest)} ${newest.text ?? ''}` : t('device.events.many', { n: unspoken.length, newest: eventWord(newest) })
    unspoken = []
    replace(spoken, h('p', { text }))
  }

  /** @param {Event[]} list */
  function add(list) {
    for (const e of list) {
      if (events.has(key(e))) continue
      events.set(key(e), e)
      if (Date.now() - since > 2000) unspoken.push(e) // not what there was before
    }
    drawing ??= setTimeout(draw, drawEvery)
    if (unspoken.length) speaking ??= setTimeout(speak, speakEvery)
  }

  get('/events', { signal: ended.signal, query: { device, limit: kept } }).then((answer) => add(answer.events), () => {}) // those of the feed are there anyway
  return {
    element, add,
    destroy() {
      ended.abort()
      clearTimeout(drawing)
      clearTimeout(speaking)
    },
  }
}

/** Numbers begin anew when the hub does. @param {Event} e */
function key(e) {
  return `${e.at}:${e.n}`
}
