// The form for user name and password, on the login page and in the dialog over a page whose session has ended.
import { ApiError } from './api.js'
import { openDialog } from './dialog.js'
import { h } from './dom.js'
import { attempt, failure, field } from './form.js'
import { t } from './i18n.js'
import { current, login } from './session.js'

/**
 * The heading of a page that stands alone, with the name of the hub it is of.
 * @param {string} text
 */
export function title(text) {
  return h('div', null, h('p', { class: 'muted', text: `telemetry-hub · ${location.hostname}` }), h('h1', { text }))
}

/**
 * @param {string} user
 * @param {() => void} done
 */
export function loginForm(user, done) {
  const name = field(t('login.user'), { name: 'username', autocomplete: 'username', required: true, value: user, autocapitalize: 'none', spellcheck: 'false' })
  const password = field(t('login.password'), { name: 'password', type: 'password', autocomplete: 'current-password', required: true })
  const message = h('p', { class: 'error', role: 'alert' })
  const form = h('form', { class: 'stack', on: { submit } }, name.element, password.element, message,
    h('button', { type: 'submit', class: 'primary', text: t('login.submit') }))
  /** @param {Event} event */
  async function submit(event) {
    event.preventDefault()
    const ok = await attempt(form, message, () => login({ user: name.input.value.trim(), password: password.input.value }),
      (error) => error instanceof ApiError && error.status === 401 ? t('login.wrong') : failure(error))
    if (ok) return done()
    password.input.select()
    password.input.focus()
  }
  return { form, focus: () => (user ? password : name).input.focus() }
}

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
