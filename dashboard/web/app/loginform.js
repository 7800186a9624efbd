// The form for user name and password, on the login page and in the dialog over a page whose session has ended.
import { ApiError } from './api.js'
import { h, replace } from './dom.js'
import { duration, t } from './i18n.js'
import { login } from './session.js'

/**
 * @param {string} label
 * @param {Record<string, any>} props of the input
 * @param {string} [hint]
 */
export function field(label, props, hint) {
  const input = h('input', { ...props, id: 'field-' + props.name, 'aria-describedby': hint ? `hint-${props.name}` : null })
  const element = h('div', { class: 'field' }, h('label', { for: input.id, text: label }), input,
    hint && h('p', { class: 'hint', id: `hint-${props.name}`, text: hint }))
  return { element, input }
}

/**
 * The heading of a page that stands alone, with the name of the hub it is of.
 * @param {string} text
 */
export function title(text) {
  return h('div', null, h('p', { class: 'muted', text: `telemetry-hub · ${location.hostname}` }), h('h1', { text }))
}

/**
 * What went wrong, as people should read it.
 * @param {unknown} error
 */
export function failure(error) {
  if (!(error instanceof ApiError)) return String(error)
  if (error.status === 0) return t('app.noanswer')
  if (error.status === 429) return t('login.wait', { t: duration((error.retryAfter || 1) * 1000) })
  return error.hint ? `${error.message}. ${error.hint}` : error.message
}

/**
 * Runs what a form does, with its button off and its failure shown.
 * @param {HTMLFormElement} form
 * @param {HTMLElement} message
 * @param {() => Promise<unknown>} work
 * @param {(error: unknown) => string} [describe]
 */
export async function attempt(form, message, work, describe = failure) {
  const buttons = form.querySelectorAll('button')
  for (const b of buttons) b.disabled = true
  replace(message)
  try {
    await work()
    return true
  } catch (error) {
    replace(message, describe(error))
    return false
  } finally {
    for (const b of buttons) b.disabled = false
  }
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
