// The hub itself: what it does, what it holds, what it refuses, and what it is trusted by.
import { ago } from '../ages.js'
import { get } from '../api.js'
import { copyButton } from '../copy.js'
import { h, replace } from '../dom.js'
import { failure } from '../form.js'
import { dateTime, duration, t } from '../i18n.js'
import { hub, now } from '../live.js'
import { skeleton } from '../loading.js'
import { badge } from '../states.js'
import { eventItem } from './device_events.js'
import { lettersPanel } from './hub_letters.js'
import { alarmsPanel, exportPanel, statusPanel, storagePanel } from './hub_status.js'

/** @typedef {import('./device_events.js').Event} Event */

const refusals = new Set(['refused', 'tls'])
const kept = 50 // refusals shown
const soon = 21 * 86_400_000 // ms before the certificate's end that somebody should know; its own, the hub renews before

/** @param {HTMLElement} root */
export function mount(root) {
  const ended = new AbortController()
  const waiting = skeleton(5, () => location.reload())
  const parts = [alarmsPanel(), statusPanel(), storagePanel(), exportPanel()]
  const refused = refusalsPanel()
  const letters = lettersPanel(ended.signal)
  const data = h('div', { class: 'stack', hidden: true },
    parts.map((p) => p.element), h('div', { class: 'columns' }, refused.element, certificatePanel(ended.signal)), letters.element)
  root.append(h('div', { class: 'stack hub' }, h('h1', { text: t('hub.title') }), waiting, data))
  get('/events', { signal: ended.signal, query: { limit: 1000 } }).then((answer) => refused.add(answer.events), () => {}) // the feed tells of new ones
  const unwatch = hub.subscribe((s) => {
    if (s === null) return
    const first = data.hidden
    waiting.remove()
    data.hidden = false
    for (const part of parts) part.show(s)
    refused.add(s.events ?? [])
    letters.count(s.dead_letters ?? 0)
    if (first && location.hash) document.getElementById(location.hash.slice(1))?.scrollIntoView()
  })
  return {
    unmount() {
      unwatch()
      ended.abort()
    },
  }
}

/** Who was not let in, and why. */
function refusalsPanel() {
  const list = h('ol', { class: 'events', tabindex: 0, 'aria-label': t('hub.refusals') })
  const none = h('p', { class: 'muted', text: t('hub.refusals.none') })
  /** @type {Map<string, Event>} */
  let events = new Map()
  return {
    element: h('section', { class: 'panel' }, h('header', null, h('h2', { text: t('hub.refusals') })), h('p', { class: 'hint', text: t('hub.refusals.text') }), none, list),
    /** @param {Event[]} more */
    add(more) {
      const before = events.size
      for (const e of more) if (refusals.has(e.kind)) events.set(`${e.at}:${e.n}`, e)
      if (events.size === before) return
      const newest = [...events.values()].sort((a, b) => b.at - a.at || b.n - a.n).slice(0, kept)
      events = new Map(newest.map((e) => [`${e.at}:${e.n}`, e]))
      none.hidden = true
      replace(list, newest.map((e) => eventItem(e, true)))
    },
  }
}

/**
 * The certificate that devices know the hub by.
 * @param {AbortSignal} signal
 */
function certificatePanel(signal) {
  const body = h('div', { class: 'stack' }, h('p', { class: 'muted', text: t('app.loading') }))
  get('/certificate', { signal }).then((c) => {
    const left = c.not_after - now()
    replace(body,
      h('p', { text: t(c.ca ? 'hub.certificate.ca' : c.self_signed ? 'hub.certificate.self' : 'hub.certificate.given') }),
      left < soon && h('p', { class: 'notice' }, badge('warning', t(left > 0 ? 'hub.certificate.soon' : 'hub.certificate.over')), ' ', left > 0 ? duration(left) : ago(c.not_after)),
      h('dl', { class: 'secrets' },
        h('div', null, h('dt', { text: t('add.publickey') }), h('dd', { class: 'row' }, h('code', { text: c.public_key }), copyButton(() => c.public_key, t('add.publickey')))),
        h('div', null, h('dt', { text: t('hub.certificate.names') }), h('dd', { text: c.names.join(', ') })),
        h('div', null, h('dt', { text: t('hub.certificate.until') }), h('dd', { text: dateTime(c.not_after) }))),
      h('div', null, h('a', { class: 'button', download: 'telemetry-hub.pem', href: 'data:application/x-pem-file,' + encodeURIComponent(c.ca ?? c.pem), text: t(c.ca ? 'hub.certificate.download.ca' : 'hub.certificate.download') })))
  }, (error) => { if (!signal.aborted) replace(body, h('p', { class: 'error', text: failure(error) })) })
  return h('section', { class: 'panel' }, h('header', null, h('h2', { text: t('hub.certificate') })), body)
}
