// The points of a chart as a table, for those who can't see it or want the numbers.
import { h, replace } from './dom.js'
import { dateTime, number, t } from './i18n.js'

const rows = 200

/**
 * @param {() => {trace: import('./chartdata.js').Trace, range: [number, number], channel: import('./chart.js').Channel, unit: string, digits: number}} now
 */
export function table(now) {
  const body = h('div', { class: 'scroll-x', tabindex: 0, role: 'group' })
  const details = h('details', {
    class: 'chart-table', on: {
      toggle: () => {
        if (details.open) fill()
        else replace(body)
      },
    },
  }, h('summary', { text: t('chart.table') }), body)

  function fill() {
    const { trace: { points }, range: [from, to], channel, unit, digits } = now()
    body.setAttribute('aria-label', t('chart.table.of', { name: channel.name }))
    const lines = []
    for (let i = points.length - 1; i >= 0 && lines.length < rows; i--) {
      const at = points.at(0, i)
      if (at >= from && at <= to) lines.push(h('tr', null, h('td', { class: 'nowrap', text: dateTime(at) }), [3, 1, 2].map((c) => h('td', { class: 'num', text: number(points.at(c, i), digits) }))))
    }
    replace(body,
      h('table', null,
        h('caption', { text: t('chart.table.caption', { from: dateTime(from), to: dateTime(to), n: lines.length }) }),
        h('thead', null, h('tr', null, h('th', { scope: 'col', text: t('chart.time') }), [`${channel.name}${unit && ` (${unit})`}`, t('chart.min'), t('chart.max')].map((text) => h('th', { scope: 'col', class: 'num', text })))),
        h('tbody', null, lines)),
      h('button', { type: 'button', class: 'quiet', text: t('chart.table.again'), on: { click: fill } }))
  }
  return details
}
