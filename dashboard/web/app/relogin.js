// The dialog over a page whose session has ended.
import { openDialog } from './dialog.js'
import { h } from './dom.js'
import { t } from './i18n.js'
import { loginForm } from './loginform.js'
import { current } from './session.js'

/**
 * Returns when somebody has logged in again. If that is somebody else, the page begins anew: it showed what the other may see.
 * @param {string} user
 * @returns {Promise<void>}
 */
export function ask(user) {
  return new Promise((resolve) => {
    const { form, focus } = loginForm(user, () => {
      dialog.close()
      if (user && current.get()?.user !== user) location.reload()
      else resolve()
    })
    const dialog = openDialog(t('login.again'), [h('p', { text: t('login.again.text') }), form], { must: true })
    focus()
  })
}
