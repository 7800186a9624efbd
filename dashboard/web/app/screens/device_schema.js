// What the device says it measures.
import { h, replace } from '../dom.js'
import { duration, number, t } from '../i18n.js'

export function schemaPanel() {
  const body = h('div', { class: 'scroll-x', tabindex: 0, role: 'group', 'aria-label': t('device.schema') })
  const element = h('details', { class: 'panel' }, h('summary', null, h('h2', { text: t('device.schema') })), body)
  return {
    element,
    /** @param {import('./device.js').Schema} schema */
    show(schema) {
      const titles = ['channel', 'name', 'type', 'unit', 'scale', 'interval', 'writable']
      replace(body,
        h('table', null,
          h('thead', null, h('tr', null, titles.map((key) => h('th', { scope: 'col', text: t('device.schema.' + key) })))),
          h('tbody', null, schema.channels.map((c) => h('tr', null, [
            String(c.id), c.name, c.type, c.unit ?? '', c.scale ? `× 10^${number(c.scale)}` : '', c.interval_ms ? duration(c.interval_ms) : t('device.schema.irregular'),
            c.writable ? t('device.yes') : '',
          ].map((text) => h('td', { text })))))),
        h('p', { class: 'hint' }, t('device.schema.hash'), ' ', h('code', { text: schema.hash })))
    },
  }
}
