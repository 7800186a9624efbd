// The device's books: what became of every frame it has made.
import { h, setText } from '../dom.js'
import { number, t } from '../i18n.js'

const entries = ['frames', 'readings', 'duplicates', 'rejected', 'holes', 'lost']
const bad = new Set(['rejected', 'holes', 'lost'])

export function booksPanel() {
  /** @type {Map<string, HTMLElement>} */
  const cells = new Map()
  const rows = entries.map((name) => {
    const cell = h('td', { class: 'num', text: '–' })
    cells.set(name, cell)
    return h('tr', null, h('th', { scope: 'row' }, t('device.books.' + name), h('p', { class: 'hint', text: t(`device.books.${name}.text`) })), cell)
  })
  const element = h('section', { class: 'panel' }, h('header', null, h('h2', { text: t('device.books') })),
    h('table', { class: 'books' }, h('tbody', null, rows)))
  return {
    element,
    /** @param {Record<string, number>} books */
    show(books) {
      for (const [name, cell] of cells) {
        const n = books[name] ?? 0
        setText(cell, number(n))
        cell.classList.toggle('some', n > 0 && bad.has(name))
      }
    },
  }
}
