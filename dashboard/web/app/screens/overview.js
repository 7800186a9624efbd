// What an operator sees first: how many devices are in which state, which are in trouble since when, and how the hub is.
import { ago } from '../ages.js'
import { h, replace, setText } from '../dom.js'
import { moment, number, t } from '../i18n.js'
import { hub, retryNow } from '../live.js'
import { empty, skeleton } from '../loading.js'
import { can } from '../session.js'
import { deviceStates, reason, stateIcon, stateWord } from '../states.js'
import { deviceCards } from './overview_cards.js'
import { healthStrip } from './overview_health.js'

const mostCards = 12

/**
 * @param {HTMLElement} root
 */
export function mount(root) {
  const subtitle = h('p', { class: 'muted' })
  const body = h('div', { class: 'stack' }, skeleton(5, retryNow))
  root.append(h('div', { class: 'stack' }, h('div', { class: 'row spread' }, h('h1', { text: t('nav.overview') }), subtitle), body))

  /** @type {ReturnType<typeof build> | null} */
  let parts = null
  const end = hub.subscribe((state) => {
    if (state === null) return
    setText(subtitle, t('overview.subtitle', { n: state.counts.total, viewers: state.viewers ?? 1 }))
    if (state.counts.total === 0) {
      parts?.close()
      parts = null
      replace(body, ...alarms(state.alarms), onboarding())
      return
    }
    if (parts === null) {
      parts = build()
      replace(body, parts.element)
    }
    parts.update(state)
  })
  return {
    unmount() {
      end()
      parts?.close()
    },
  }
}

function onboarding() {
  return h('section', { class: 'panel' }, empty(t('overview.empty'), t(can('admin') ? 'overview.empty.text' : 'overview.empty.viewer'),
    can('admin') && h('a', { class: 'button primary', href: '/add', text: t('nav.add') })))
}

/**
 * @param {{since: number, text: string}[]} list
 */
function alarms(list) {
  return list.map((a) => h('section', { class: 'alarm' }, stateIcon('alarm'), h('p', null, h('strong', { text: t('overview.alarm') }), ' ', a.text),
    h('span', { class: 'muted' }, ago(a.since))))
}

function build() {
  const alarmList = h('div', { class: 'stack', hidden: true })
  const counts = countTiles()
  const attention = attentionList()
  const health = healthStrip()
  const cardArea = h('section', { class: 'stack', hidden: true })
  /** @type {ReturnType<typeof deviceCards> | null} */
  let cards = null
  let shownAlarms = ''
  return {
    element: h('div', { class: 'stack' }, alarmList, counts.element, h('div', { class: 'overview-halves' }, h('div', { class: 'stack' }, attention.element, cardArea), health.element)),
    /** @param {any} state */
    update(state) {
      const text = JSON.stringify(state.alarms ?? [])
      if (text !== shownAlarms) {
        shownAlarms = text
        replace(alarmList, alarms(state.alarms ?? []))
        alarmList.hidden = !alarmList.firstChild
      }
      counts.update(state.counts)
      attention.update(state.attention ?? [], state.counts.attention)
      health.update(state)
      const few = state.counts.total <= mostCards
      cardArea.hidden = !few
      if (few && cards === null) {
        cards = deviceCards(mostCards)
        replace(cardArea, h('h2', { text: t('overview.devices') }), cards.element)
      } else if (!few && cards !== null) {
        cards.close()
        cards = null
      }
    },
    close() {
      cards?.close()
      cards = null
    },
  }
}

function countTiles() {
  const tiles = ['attention', ...deviceStates, 'all'].map((state) => {
    const count = h('strong', { class: 'count' })
    const link = h('a', { class: `tile state-${state === 'attention' ? 'alarm' : state}`, href: state === 'all' ? '/devices' : `/devices?state=${state}` },
      count, h('span', { class: 'badge' }, state !== 'all' && stateIcon(state === 'attention' ? 'alarm' : state),
        h('span', { class: 'badge-word', text: stateWord(state) })))
    return { state, link, count }
  })
  return {
    element: h('nav', { class: 'tiles', 'aria-label': t('overview.counts') }, tiles.map((tile) => tile.link)),
    /** @param {Record<string, number>} counts */
    update(counts) {
      for (const { state, link, count } of tiles) {
        const n = counts[state === 'all' ? 'total' : state] ?? 0
        setText(count, number(n))
        link.classList.toggle('none', n === 0)
        // A state that hardly ever occurs takes no room while it does not.
        link.hidden = n === 0 && state === 'revoked'
      }
    },
  }
}

/** @typedef {{id: string, severity: string, reason: string, since: number, detail?: string}} Trouble */

function attentionList() {
  const list = h('ul', { class: 'troubles' })
  const more = h('p', { class: 'hint' })
  const well = h('p', { class: 'row well' }, stateIcon('live'), h('span', { text: t('overview.well') }))
  const total = h('span', { class: 'muted' })
  let shown = ''
  return {
    element: h('section', { class: 'panel attention' }, h('header', null, h('h2', { text: t('state.attention') }), total), list, well, more),
    /**
     * @param {Trouble[]} troubles
     * @param {number} all devices with a trouble
     */
    update(troubles, all) {
      const text = JSON.stringify([troubles, all])
      if (text === shown) return
      shown = text
      well.hidden = troubles.length > 0
      setText(total, all > 0 ? t('overview.attention.count', { n: all }) : '')
      patch(list, troubles)
      const devices = new Set(troubles.map((x) => x.id)).size
      replace(more, all > devices && h('a', { href: '/devices?state=attention', text: t('overview.attention.all', { n: all }) }))
      more.hidden = !more.firstChild
    },
  }
}

/**
 * Keeps the entries that stay, so that a link does not vanish under the pointer.
 * @param {HTMLElement} list
 * @param {Trouble[]} troubles
 */
function patch(list, troubles) {
  /** @type {Map<string, Element>} */
  const old = new Map([...list.children].map((e) => [/** @type {HTMLElement} */ (e).dataset.key ?? '', e]))
  const entries = troubles.map((x) => {
    const key = JSON.stringify(x)
    return old.get(key) ?? trouble(x, key)
  })
  for (const [i, entry] of entries.entries()) if (list.children[i] !== entry) list.insertBefore(entry, list.children[i] ?? null)
  while (list.children.length > entries.length) list.lastChild?.remove()
}

/**
 * @param {Trouble} x
 * @param {string} key
 */
function trouble(x, key) {
  const length = ago(x.since, 'for')
  return h('li', { dataset: { key }, class: `severity-${x.severity}` },
    stateIcon(x.severity), h('span', { class: 'visually-hidden', text: stateWord(x.severity) }),
    h('a', { href: `/devices/${encodeURIComponent(x.id)}`, text: x.id }),
    h('span', { class: 'trouble-reason', text: reason(x) }),
    h('span', { class: 'trouble-since' }, x.since ? [t('overview.since', { time: moment(x.since) }), ' · ', length] : t('overview.since.unknown')))
}
