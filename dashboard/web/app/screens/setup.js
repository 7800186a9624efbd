// The first administrator, made with the link that the hub printed (/setup#CODE).
import { ApiError, post } from '../api.js'
import { h } from '../dom.js'
import { attempt, failure, field } from '../form.js'
import { t } from '../i18n.js'
import { title } from '../loginform.js'
import { navigate } from '../router.js'
import { current, load } from '../session.js'

/**
 * @param {HTMLElement} root
 */
export function mount(root) {
  const code = location.hash.slice(1)
  history.replaceState(null, '', location.pathname) // a secret does not stay in the address
  const card = h('section', { class: 'panel stack card-narrow still' })
  root.append(card)
  if (current.get() !== null) navigate('/', { replace: true })
  else if (code) card.append(...newAdmin(code))
  else {
    card.append(title(t('setup.nolink')), h('p', { text: t('setup.nolink.text') }),
      h('pre', { class: 'snippet', text: 'telemetry-hub user add NAME --role admin' }),
      h('a', { class: 'button', href: '/login', text: t('login.title') }))
  }
  return { unmount() {} }
}

/**
 * @param {string} link
 */
function newAdmin(link) {
  const name = field(t('login.user'), { name: 'username', autocomplete: 'username', required: true, autocapitalize: 'none', spellcheck: 'false' })
  const password = field(t('login.password'), { name: 'password', type: 'password', autocomplete: 'new-password', required: true, minlength: 8 }, t('setup.rule'))
  const again = field(t('setup.repeat'), { name: 'repeat', type: 'password', autocomplete: 'new-password', required: true })
  const message = h('p', { class: 'error', role: 'alert' })
  const form = h('form', { class: 'stack', on: { submit } }, name.element, password.element, again.element, message,
    h('button', { type: 'submit', class: 'primary', text: t('setup.submit') }))
  /** @param {Event} event */
  async function submit(event) {
    event.preventDefault()
    if (password.input.value !== again.input.value) {
      message.textContent = t('setup.differ')
      again.input.focus()
      return
    }
    const done = await attempt(form, message, async () => {
      await post('/setup', { link, user: name.input.value.trim(), password: password.input.value }, { anonymous: true })
      await load()
    }, (error) => {
      if (error instanceof ApiError && error.status === 401) return t('setup.badlink')
      if (error instanceof ApiError && error.status === 409) return t('setup.done')
      return failure(error)
    })
    if (done) navigate('/', { replace: true })
  }
  queueMicrotask(() => name.input.focus())
  return [title(t('setup.title')), h('p', { text: t('setup.text') }), form]
}
