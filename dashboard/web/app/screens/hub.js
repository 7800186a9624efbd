// The hub itself: what it does, what it holds, what it refuses, and what it is trusted by.
import { get } from '../api.js'
import { h } from '../dom.js'
import { t } from '../i18n.js'
import { hub } from '../live.js'
import { skeleton } from '../loading.js'
import { certificatePanel } from './hub_certificate.js'
import { lettersPanel } from './hub_letters.js'
import { refusalsPanel } from './hub_refusals.js'
import { alarmsPanel, exportPanel, statusPanel, storagePanel } from './hub_status.js'

/** @param {HTMLElement} root */
export function mount(root) {
  const ended = new AbortController()
  const waiting = skeleton(5, () => location.reload())
  const parts = [alarmsPanel(), statusPanel(), storagePanel(), exportPanel()]
  const refusals = refusalsPanel()
  const letters = lettersPanel(ended.signal)
  const data = h('div', { class: 'stack', hidden: true },
    parts.map((p) => p.element), h('div', { class: 'columns' }, refusals.element, certificatePanel(ended.signal)), letters.element)
  root.append(h('div', { class: 'stack hub' }, h('h1', { text: t('hub.title') }), waiting, data))
  get('/events', { signal: ended.signal, query: { limit: 1000 } }).then((answer) => refusals.add(answer.events), () => {}) // the feed tells of new ones
  const unwatch = hub.subscribe((s) => {
    if (s === null) return
    const first = data.hidden
    waiting.remove()
    data.hidden = false
    for (const part of parts) part.show(s)
    refusals.add(s.events ?? [])
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
