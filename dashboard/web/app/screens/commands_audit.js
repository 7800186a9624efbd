// Who did what, from where and when. Nobody can change it through the hub.
import { get } from '../api.js'
import { h, replace } from '../dom.js'
import { failure } from '../form.js'
import { dateTime, t } from '../i18n.js'

/** @typedef {{number: number, at: number, by: string, from?: string, action: string, device?: string, command?: string, text?: string}} Entry */

const page = 50

/** @param {HTMLElement} root */
export function auditPanel(root) {
  const ended = new AbortController()
  /** @type {Entry[]} */
  let entries = []
  let device = ''
  let next = 0
  let turn = 0
  const heads = ['at', 'by', 'from', 'action', 'device', 'text'].map((key) => t('audit.' + key))
  const body = h('tbody')
  const table = h('table', { class: 'access' }, h('thead', null, h('tr', null, heads.map((text) => h('th', { scope: 'col', text })))), body)
  const message = h('p', { class: 'error', role: 'alert' })
  const more = h('button', { type: 'button', class: 'quiet', text: t('hub.letters.more'), on: { click: () => void load(next) } })
  root.append(h('section', { class: 'panel stack' },
    h('header', { class: 'row spread' }, h('h2', { text: t('audit') }), h('button', { type: 'button', class: 'quiet', text: t('audit.refresh'), on: { click: () => void load(0) } })),
    h('p', { class: 'hint', text: t('audit.hint') }), table, message, h('div', null, more)))

  /** @param {number} before 0: the newest */
  async function load(before) {
    const mine = ++turn
    try {
      const answer = await get('/audit', { signal: ended.signal, query: { device, limit: page, before: before || undefined } })
      if (mine !== turn) return
      entries = before ? [...entries, ...answer.entries] : answer.entries
      next = answer.next ?? 0
      more.hidden = next === 0
      replace(message)
      replace(body, entries.map((e) => h('tr', null, [dateTime(e.at), e.by, e.from ?? '', e.action,
        e.device && h('a', { href: `/devices/${encodeURIComponent(e.device)}`, text: e.device }), h('span', { text: e.text ?? '', title: e.command ?? '' }),
      ].map((cell, i) => h('td', { dataset: { head: heads[i] ?? '' } }, cell)))))
    } catch (error) {
      if (!ended.signal.aborted && mine === turn) replace(message, failure(error))
    }
  }

  return {
    /** @param {string} of a device; empty for everything */
    show(of) {
      device = of
      void load(0)
    },
    end: () => ended.abort(),
  }
}
