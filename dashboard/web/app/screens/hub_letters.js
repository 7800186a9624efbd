// Dead letters: frames that could not be stored, and lines that InfluxDB refused.
import { ago } from '../ages.js'
import { del, get, post } from '../api.js'
import { confirm } from '../dialog.js'
import { h, replace, setText } from '../dom.js'
import { failure } from '../form.js'
import { number, t } from '../i18n.js'
import { can } from '../session.js'

/** @typedef {{position: number, device: string, received: number, seq: number, code: number, reason?: string, text: string, lines?: number}} Letter */

const page = 50

/** @param {AbortSignal} signal */
export function lettersPanel(signal) {
  const admin = can('admin')
  const total = h('span', { class: 'chip', text: '–' })
  const body = h('div', { class: 'stack' })
  const message = h('p', { class: 'error', role: 'alert' })
  const said = h('p', { role: 'status' })
  /** @type {Letter[]} */
  let letters = []
  /** @type {Set<number>} */
  const chosen = new Set()
  let known = -1
  let next = ''
  let loading = false

  /** @param {boolean} further */
  async function load(further) {
    if (loading) return
    loading = true
    try {
      const answer = await get('/dead-letters', { signal, query: { cursor: further ? next : '', limit: page } })
      /** @type {Letter[]} */
      const got = answer.dead_letters
      letters = further ? [...letters, ...got] : got
      next = answer.next ?? ''
      for (const p of chosen) if (!letters.some((l) => l.position === p)) chosen.delete(p)
      replace(message)
      draw()
    } catch (error) {
      if (!signal.aborted) replace(message, failure(error))
    } finally {
      loading = false
    }
  }

  /**
   * @param {'drop' | 'replay'} action
   * @param {number[] | null} positions null: all
   */
  async function act(action, positions) {
    const title = positions ? t(`hub.letters.${action}.title`, { n: positions.length }) : t(`hub.letters.${action}.all`)
    if (!await confirm(title, t(`hub.letters.${action}.text`), t('hub.letters.' + action))) return
    try {
      const answer = action === 'drop' ? await del('/dead-letters', { query: positions ? { position: positions } : { all: true } })
        : await post('/dead-letters/replay', positions ? { positions } : { all: true })
      setText(said, action === 'drop' ? t('hub.letters.drop.done', { n: answer.dropped }) : t('hub.letters.replay.done', { n: answer.replayed, refused: answer.refused }))
      chosen.clear()
    } catch (error) {
      replace(message, failure(error))
    }
    await load(false)
  }

  function draw() {
    /** @type {HTMLButtonElement[]} */
    const some = []
    /**
     * @param {'drop' | 'replay'} action
     * @param {boolean} all
     */
    const button = (action, all) => {
      const b = h('button', {
        type: 'button', class: action === 'drop' ? 'danger' : '', disabled: !admin || !all && chosen.size === 0, text: t(`hub.letters.${action}${all ? '.all' : ''}`),
        on: { click: () => void act(action, all ? null : [...chosen]) },
      })
      if (!all && admin) some.push(b)
      return b
    }
    const boxes = letters.map((l) => h('input', {
      type: 'checkbox', checked: chosen.has(l.position), 'aria-label': t('hub.letters.choose', { n: String(l.position) }),
      on: {
        /** @param {Event} e */
        change(e) {
          if (/** @type {HTMLInputElement} */ (e.target).checked) chosen.add(l.position)
          else chosen.delete(l.position)
          for (const b of some) b.disabled = chosen.size === 0
        },
      },
    }))
    replace(body, letters.length === 0 ? h('p', { class: 'muted', text: t('hub.letters.none') }) : [
      h('div', { class: 'scroll-x', tabindex: 0, role: 'group', 'aria-label': t('hub.letters') }, h('table', null,
        h('thead', null, h('tr', null, h('th', { scope: 'col' }, h('span', { class: 'visually-hidden', text: t('hub.letters.chosen') })),
          ['device', 'received', 'why', 'what'].map((key) => h('th', { scope: 'col', class: key, text: t('hub.letters.' + key) })))),
        h('tbody', null, letters.map((l, i) => h('tr', null, h('td', null, boxes[i]),
          h('td', null, h('a', { href: `/devices/${encodeURIComponent(l.device)}`, text: l.device })), h('td', null, ago(l.received)), h('td', { text: l.text || l.reason || '' }),
          h('td', { class: 'nowrap', text: l.lines ? t('hub.letters.lines', { n: l.lines }) : t('hub.letters.frame', { n: l.seq ? number(l.seq) : '?' }) })))))),
      h('div', { class: 'row' }, button('replay', false), button('drop', false), button('replay', true), button('drop', true),
        next && h('button', { type: 'button', class: 'quiet', text: t('hub.letters.more'), on: { click: () => void load(true) } })),
      !admin && h('p', { class: 'hint', text: t('device.tokens.admin') }),
    ])
  }

  return {
    element: h('section', { class: 'panel stack', id: 'dead-letters' }, h('header', null, h('h2', { text: t('hub.letters') }), total),
      h('p', { class: 'hint', text: t('hub.letters.text') }), body, message, said),
    /** @param {number} n there are */
    count(n) {
      if (n === known) return
      const first = known < 0
      known = n
      setText(total, number(n))
      if (first || letters.length < page) void load(false)
    },
  }
}
