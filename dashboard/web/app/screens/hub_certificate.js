// The certificate that devices know the hub by.
import { ago } from '../ages.js'
import { get } from '../api.js'
import { copyButton } from '../copy.js'
import { h, replace } from '../dom.js'
import { dateTime, duration, t } from '../i18n.js'
import { now } from '../live.js'
import { failure } from '../loginform.js'
import { badge } from '../states.js'

const soon = 30 * 86_400_000 // ms before its end that somebody should know

/** @param {AbortSignal} signal */
export function certificatePanel(signal) {
  const body = h('div', { class: 'stack' }, h('p', { class: 'muted', text: t('app.loading') }))
  get('/certificate', { signal }).then((c) => {
    const left = c.not_after - now()
    replace(body,
      h('p', { text: t(c.self_signed ? 'hub.certificate.self' : 'hub.certificate.given') }),
      left < soon && h('p', { class: 'notice' }, badge('warning', t(left > 0 ? 'hub.certificate.soon' : 'hub.certificate.over')), ' ', left > 0 ? duration(left) : ago(c.not_after)),
      h('dl', { class: 'secrets' },
        h('div', null, h('dt', { text: t('add.fingerprint') }), h('dd', { class: 'row' }, h('code', { text: c.fingerprint }), copyButton(() => c.fingerprint, t('add.fingerprint')))),
        h('div', null, h('dt', { text: t('hub.certificate.until') }), h('dd', { text: dateTime(c.not_after) }))),
      h('div', null, h('a', { class: 'button', download: 'telemetry-hub.pem', href: 'data:application/x-pem-file,' + encodeURIComponent(c.pem), text: t('hub.certificate.download') })))
  }, (error) => { if (!signal.aborted) replace(body, h('p', { class: 'error', text: failure(error) })) })
  return h('section', { class: 'panel' }, h('header', null, h('h2', { text: t('hub.certificate') })), body)
}
