import { h, replace, setText } from './dom.js'
import { t } from './i18n.js'

/**
 * A list of facts, each a name and a value; those without value are not shown.
 * @param {string} prefix of the names' keys
 * @param {string[]} names
 */
export function facts(prefix, names) {
  const rows = new Map(names.map((name) => {
    const value = h('dd')
    return [name, { value, element: h('div', { hidden: true }, h('dt', { text: t(prefix + name) }), value) }]
  }))
  return {
    element: h('dl', { class: 'facts' }, [...rows.values()].map((row) => row.element)),
    /**
     * @param {string} name
     * @param {string | Node | undefined} value
     */
    set(name, value) {
      const row = rows.get(name)
      if (!row) return
      row.element.hidden = !value
      if (typeof value === 'string') setText(row.value, value)
      else if (value && value !== row.value.firstChild) replace(row.value, value)
    },
  }
}
