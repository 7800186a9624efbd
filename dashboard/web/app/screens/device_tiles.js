// The newest value of each channel. What is old looks old, and is never taken away.
import { ago, setAgo } from '../ages.js'
import { h, replace, setText, svg } from '../dom.js'
import { t } from '../i18n.js'
import { stateIcon, stateWord } from '../states.js'
import { unitText } from '../units.js'

/**
 * @param {(name: string, on: boolean) => void} toggled a channel's chart is wanted, or not
 */
export function tilesPanel(toggled) {
  const list = h('ul', { class: 'metrics' })
  const element = h('section', { 'aria-label': t('device.values') }, list)
  /** @type {Map<number, ReturnType<typeof tile>>} */
  let tiles = new Map()
  return {
    element,
    /** @param {import('../chart.js').Channel[]} channels */
    setChannels(channels) {
      tiles = new Map(channels.map((c) => [c.id, tile(c, toggled)]))
      replace(list, [...tiles.values()].map((one) => one.element))
    },
    /** @param {import('./device.js').Row} row */
    show(row) {
      const values = new Map(row.values?.map((v) => [v.id, v]))
      for (const [id, one] of tiles) one.show(values.get(id), row.state)
    },
    /** @param {Set<number>} shown channels with a chart */
    charted(shown) {
      for (const [id, one] of tiles) one.charted(shown.has(id))
    },
  }
}

/**
 * @param {import('../chart.js').Channel} channel
 * @param {(name: string, on: boolean) => void} toggled
 */
function tile(channel, toggled) {
  const value = h('span', { class: 'metric-value', text: '–' })
  const unit = unitText(channel.unit)
  const when = ago(0)
  const state = h('span', { class: 'badge' })
  const button = h('button', {
    type: 'button', class: 'quiet', 'aria-pressed': 'false', 'aria-label': t('device.chart.of', { name: channel.name }), title: t('device.chart.of', { name: channel.name }),
    on: { click: () => toggled(channel.name, button.getAttribute('aria-pressed') !== 'true') },
  }, svg('svg', { class: 'icon', viewBox: '0 0 16 16', 'aria-hidden': 'true' }, svg('path', { d: 'M2 2v12h12M4.5 10.5l3-4 2.5 2 4-5' })))
  const element = h('li', { class: 'metric' }, h('div', { class: 'metric-head' }, h('h2', { text: channel.name }), button),
    h('p', null, value, unit && h('span', { class: 'unit', text: unit })), h('p', { class: 'metric-foot' }, state, when))
  let shown = ''
  return {
    element,
    /**
     * @param {import('./device.js').Value | undefined} v
     * @param {string} device the device's state
     */
    show(v, device) {
      setText(value, v ? channel.type === 'bool' ? t(v.v ? 'chart.on' : 'chart.off') : v.text : '–')
      value.classList.toggle('long', (v?.text.length ?? 0) > 8)
      setAgo(when, v?.t ?? 0)
      const name = !v ? 'never' : device === 'offline' || device === 'revoked' ? device : v.state
      if (name === shown) return
      shown = name
      element.className = `metric is-${name}`
      state.className = `badge state-${name}`
      replace(state, name !== 'live' && stateIcon(name), name !== 'live' && h('span', { text: v ? stateWord(name) : t('device.novalue') }))
    },
    /** @param {boolean} on */
    charted: (on) => button.setAttribute('aria-pressed', String(on)),
  }
}
