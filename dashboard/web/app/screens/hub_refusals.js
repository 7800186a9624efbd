// Who was not let in, and why.
import { h, replace } from '../dom.js'
import { t } from '../i18n.js'
import { eventItem } from './device_events.js'

/** @typedef {import('./device_events.js').Event} Event */

const kinds = new Set(['refused', 'tls'])
const kept = 50

export function refusalsPanel() {
  const list = h('ol', { class: 'events' })
  const none = h('p', { class: 'muted', text: t('hub.refusals.none') })
  /** @type {Map<string, Event>} */
  let events = new Map()
  return {
    element: h('section', { class: 'panel' }, h('header', null, h('h2', { text: t('hub.refusals') })), h('p', { class: 'hint', text: t('hub.refusals.text') }), none, list),
    /** @param {Event[]} more */
    add(more) {
      const before = events.size
      for (const e of more) if (kinds.has(e.kind)) events.set(`${e.at}:${e.n}`, e)
      if (events.size === before) return
      const newest = [...events.values()].sort((a, b) => b.at - a.at || b.n - a.n).slice(0, kept)
      events = new Map(newest.map((e) => [`${e.at}:${e.n}`, e]))
      none.hidden = true
      replace(list, newest.map((e) => eventItem(e, true)))
    },
  }
}
