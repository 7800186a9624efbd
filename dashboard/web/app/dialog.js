import { h } from './dom.js'
import { t } from './i18n.js'

/**
 * Opens a modal dialog. Escape and a click beside it close it, unless it must be answered.
 * @param {string} title
 * @param {import('./dom.js').Child} content
 * @param {{must?: boolean, alert?: boolean, closed?: () => void}} [options]
 * @returns {HTMLDialogElement} close() ends it
 */
export function openDialog(title, content, options = {}) {
  const heading = h('h2', { id: 'dialog-title', text: title })
  const shut = options.must ? null
    : h('button', { type: 'button', class: 'quiet close', 'aria-label': t('app.close'), text: '✕', on: { click: () => dialog.close() } })
  const dialog = h('dialog', {
    'aria-labelledby': heading.id, role: options.alert ? 'alertdialog' : null,
    on: {
      /** @param {Event} e */
      cancel: (e) => { if (options.must) e.preventDefault() },
      /** @param {MouseEvent} e */
      click: (e) => { if (e.target === dialog && !options.must) dialog.close() },
      close: () => {
        dialog.remove()
        options.closed?.()
      },
    },
  }, h('div', { class: 'dialog-body' }, h('header', null, heading, shut), content))
  document.body.append(dialog)
  dialog.showModal()
  return dialog
}

/**
 * Asks before something that can't be taken back; Enter does not confirm by itself.
 * @param {string} title
 * @param {string} text
 * @param {string} action the word on the button
 * @returns {Promise<boolean>}
 */
export function confirm(title, text, action) {
  return new Promise((resolve) => {
    let yes = false
    const dialog = openDialog(title, [
      h('p', { text }),
      h('div', { class: 'actions' },
        h('button', { type: 'button', autofocus: true, text: t('app.cancel'), on: { click: () => dialog.close() } }),
        h('button', { type: 'button', class: 'danger', text: action, on: { click: () => { yes = true; dialog.close() } } })),
    ], { alert: true, closed: () => resolve(yes) })
  })
}
