// How the hub does, from the state it tells each second.
import { ago, setAgo } from '../ages.js'
import { h, replace, setText } from '../dom.js'
import { facts } from '../facts.js'
import { bytes, dateTime, duration, moment, number, t } from '../i18n.js'
import { now } from '../live.js'
import { badge } from '../states.js'

/**
 * @param {string} key
 * @param {...import('../dom.js').Child} children
 */
const panel = (key, ...children) => h('section', { class: 'panel' }, h('header', null, h('h2', { text: t(key) })), children)

export function statusPanel() {
  const since = ago(0)
  const list = facts('hub.', ['version', 'since', 'devices', 'ingest', 'ack', 'viewers'])
  return {
    element: panel('hub.status', list.element),
    /** @param {any} s */
    show(s) {
      const { counts: c = {}, ingest: i = {} } = s
      list.set('version', s.version)
      setAgo(since, s.started)
      list.set('since', since)
      list.set('devices', t('hub.devices.of', { live: (c.live ?? 0) + (c.late ?? 0) + (c.stale ?? 0), n: c.total ?? 0 }))
      list.set('ingest', t('hub.rate', { f: number(i.frames_per_s ?? 0, 1), r: number(i.readings_per_s ?? 0, 1) }))
      list.set('ack', i.ack_p50_ms ? t('hub.ack.ms', { p50: number(i.ack_p50_ms, 1), p99: number(i.ack_p99_ms ?? i.ack_p50_ms, 1) }) : t('hub.ack.none'))
      list.set('viewers', number(s.viewers ?? 0))
    },
  }
}

/** @param {string} label */
function fill(label) {
  const text = h('p')
  const meter = h('meter', { min: 0, 'aria-label': label })
  const more = h('p', { class: 'hint' })
  return {
    element: h('div', { class: 'fill' }, h('h3', { text: label }), meter, text, more),
    /**
     * @param {{bytes?: number, max_bytes?: number} | undefined} of
     * @param {string} hint
     */
    show(of, hint) {
      const used = of?.bytes ?? 0
      const most = of?.max_bytes ?? 0
      meter.hidden = !most
      meter.max = most || 1
      meter.value = used
      setText(text, most ? t('hub.of', { used: bytes(used), most: bytes(most) }) : bytes(used))
      setText(more, hint)
    },
  }
}

export function storagePanel() {
  const state = h('p', { class: 'row' })
  const journal = fill(t('hub.journal'))
  const history = fill(t('hub.history'))
  let shown = ''
  return {
    element: panel('hub.storage', state, h('div', { class: 'fills' }, journal.element, history.element)),
    /** @param {any} s */
    show(s) {
      const text = JSON.stringify(s.storage)
      if (text !== shown) {
        shown = text
        const bad = s.storage && s.storage.state !== 'ok'
        replace(state, badge(bad ? 'alarm' : 'live', t(!bad ? 'hub.storage.ok' : s.storage.state === 'slow' ? 'hub.storage.slow' : 'hub.storage.failing')), bad && [ago(s.storage.since), h('span', { text: s.storage.error })])
      }
      journal.show(s.journal, s.journal?.oldest ? t('hub.journal.oldest', { at: moment(s.journal.oldest) }) : t('hub.journal.text'))
      history.show(s.history, s.history?.oldest ? t('hub.history.oldest', { at: moment(s.history.oldest) }) : t('hub.history.text'))
    },
  }
}

export function exportPanel() {
  const state = h('p', { class: 'row' })
  const list = facts('hub.export.', ['waiting', 'oldest', 'rate', 'horizon'])
  const none = h('p', { class: 'muted', text: t('hub.export.none') })
  const oldest = ago(0)
  let shown = ''
  return {
    element: panel('hub.export', none, state, list.element),
    /** @param {any} s */
    show({ export: e }) {
      none.hidden = Boolean(e)
      state.hidden = list.element.hidden = !e
      if (!e) return
      const text = JSON.stringify([e.state, e.reason])
      if (text !== shown) {
        shown = text
        const good = e.state === 'reachable'
        replace(state, badge(good ? 'live' : 'warning', t('hub.export.' + e.state.replace(' ', '_'))), !good && e.since && ago(e.since), e.reason && h('span', { text: e.reason }))
      }
      list.set('waiting', t('hub.export.frames', { n: e.waiting_frames ?? 0, bytes: bytes(e.waiting_bytes ?? 0) }))
      setAgo(oldest, e.oldest ?? 0)
      list.set('oldest', e.waiting_frames && e.oldest ? oldest : undefined)
      list.set('rate', t('hub.export.lines', { n: number(e.frames_per_s, 1), lines: e.lines, refused: e.refused_lines }))
      list.set('horizon', e.horizon ? t('hub.export.until', { at: dateTime(e.horizon), t: duration(e.horizon - now()) }) : t('hub.export.nohorizon'))
    },
  }
}

export function alarmsPanel() {
  const list = h('ul', { class: 'stack' })
  const element = h('section', { class: 'panel alarms', hidden: true, 'aria-label': t('hub.alarms') }, list)
  let shown = '[]'
  return {
    element,
    /** @param {any} s */
    show({ alarms = [] }) {
      const text = JSON.stringify(alarms)
      if (text === shown) return
      shown = text
      element.hidden = alarms.length === 0
      replace(list, alarms.map((/** @type {{since: number, text: string}} */ a) => h('li', null, badge('alarm'), ' ', a.text, ' ', h('span', { class: 'muted' }, '(', ago(a.since), ')'))))
    },
  }
}
