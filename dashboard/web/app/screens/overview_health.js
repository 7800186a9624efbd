// How the hub is: what comes in, what is on disk, what waits to be exported.
import { ago } from '../ages.js'
import { h, replace, setText } from '../dom.js'
import { bytes, duration, moment, number, t } from '../i18n.js'
import { now } from '../live.js'
import { stateIcon } from '../states.js'

export function healthStrip() {
  const ingest = line('health.ingest')
  const ack = line('health.ack')
  const journal = line('health.journal', true)
  const history = line('health.history', true)
  const storage = line('health.storage')
  const exported = line('health.export')
  const letters = line('health.letters')
  const alarms = line('health.alarms')
  const lines = [ingest, ack, storage, journal, history, exported, letters, alarms]
  return {
    element: h('section', { class: 'panel' }, h('header', null, h('h2', { text: t('health.title') }), h('a', { href: '/hub', text: t('health.more') })),
      h('dl', { class: 'health' }, lines.map((l) => l.element))),
    /** @param {any} s the hub's state */
    update(s) {
      const i = s.ingest ?? {}
      ingest.say(t('health.frames', { n: number(i.frames_per_s ?? 0, 1) }), t('health.readings', { n: number(i.readings_per_s ?? 0, 1) }))
      if (typeof i.ack_p50_ms === 'number') ack.say(t('health.ms', { n: number(i.ack_p50_ms, 1) }), typeof i.ack_p99_ms === 'number' ? t('health.p99', { n: number(i.ack_p99_ms, 1) }) : '')
      else ack.say('–', t('health.ack.none'))
      const bad = s.storage && s.storage.state !== 'ok'
      storage.say(t(!bad ? 'health.storage.ok' : s.storage.state === 'slow' ? 'health.storage.slow' : 'health.storage.bad'), bad ? s.storage.error ?? '' : '', bad ? 'alarm' : '')
      limited(journal, s.journal, s.journal?.oldest ? t('health.reaches', { t: moment(s.journal.oldest) }) : '')
      limited(history, s.history, s.history?.oldest ? t('health.reaches', { t: moment(s.history.oldest) }) : '')
      sayExport(exported, s.export)
      const n = s.dead_letters ?? 0
      letters.say(number(n), n > 0 ? h('a', { href: '/hub#dead-letters', text: t('health.letters.look') }) : '', n > 0 ? 'warning' : '')
      const first = s.alarms?.[0]
      alarms.say(number(s.alarms?.length ?? 0), first ? [t('health.alarms.since'), ' ', ago(first.since)] : '', first ? 'alarm' : '')
    },
  }
}

/**
 * @param {string} key
 * @param {boolean} [withMeter]
 */
function line(key, withMeter = false) {
  const icon = h('span')
  const value = h('strong')
  const more = h('span', { class: 'muted' })
  const bar = h('i')
  const meter = withMeter ? h('span', { class: 'meter', 'aria-hidden': 'true' }, bar) : null
  let shown = ''
  let shownSeverity = ''
  return {
    element: h('div', null, h('dt', { text: t(key) }), h('dd', null, icon, value, ' ', more, meter)),
    /**
     * @param {string} text
     * @param {import('../dom.js').Child} [rest]
     * @param {string} [severity]
     */
    say(text, rest = '', severity = '') {
      setText(value, text)
      if (typeof rest !== 'string') {
        // Elements are made anew only when their text changed, so that a focused link stays.
        const key = text + severity
        if (shown !== key) replace(more, rest)
        shown = key
      } else setText(more, rest)
      if (severity !== shownSeverity) replace(icon, severity && stateIcon(severity))
      shownSeverity = severity
    },
    /** @param {number} share 0 to 1 */
    fill(share) {
      bar.style.width = `${Math.min(100, Math.max(0, share * 100))}%`
      meter?.classList.toggle('full', share > 0.9)
    },
  }
}

/**
 * @param {ReturnType<typeof line>} l
 * @param {{bytes: number, max_bytes?: number} | undefined} part
 * @param {string} rest
 */
function limited(l, part, rest) {
  if (!part) return l.say('–')
  const most = part.max_bytes ?? 0
  l.say(bytes(part.bytes), [most > 0 ? t('health.of', { n: bytes(most) }) : '', rest].filter(Boolean).join(' · '))
  l.fill(most > 0 ? part.bytes / most : 0)
}

/**
 * @param {ReturnType<typeof line>} l
 * @param {any} e
 */
function sayExport(l, e) {
  if (!e) return l.say(t('health.export.none'))
  const well = e.state === 'reachable'
  const parts = []
  if (e.waiting_frames > 0) parts.push(t('health.export.waiting', { n: e.waiting_frames }))
  if (e.horizon) parts.push(t(well ? 'health.export.horizon' : 'health.export.horizon.now', { time: moment(e.horizon), t: duration(e.horizon - now()) }))
  if (!well && e.reason) parts.unshift(e.reason)
  const key = 'health.export.' + String(e.state).replaceAll(' ', '_')
  l.say(t(key) === key ? e.state : t(key), parts.join(' · '), well ? '' : 'warning')
}
