// Log in, by password or by a one-time link (/login#CODE).
import { ApiError } from '../api.js'
import { h } from '../dom.js'
import { failure } from '../form.js'
import { t } from '../i18n.js'
import { loginForm, title } from '../loginform.js'
import { navigate } from '../router.js'
import { login } from '../session.js'

/**
 * @param {HTMLElement} root
 * @param {import('../router.js').Location} where
 */
export function mount(root, { query }) {
  // Only a path of this page: "//elsewhere" would be another host.
  const to = /^\/(?![/\\])/.test(query.to ?? '') ? query.to ?? '/' : '/'
  const { form, focus } = loginForm('', () => navigate(to, { replace: true }))
  const message = h('p', { role: 'status', class: 'hint' })
  root.append(h('section', { class: 'panel stack card-narrow still' }, title(t('login.title')), message, form,
    h('p', { class: 'hint' }, t('login.forgotten'), ' ', h('code', { text: 'telemetry-hub user passwd' }))))
  const code = location.hash.slice(1)
  if (code) {
    history.replaceState(null, '', location.pathname + location.search) // a secret does not stay in the address
    message.textContent = t('login.opening')
    form.hidden = true
    login({ link: code }).then(() => navigate(to, { replace: true }), (error) => {
      form.hidden = false
      message.className = 'error'
      message.textContent = error instanceof ApiError && error.status === 401 ? t('login.link.used') : failure(error)
      focus()
    })
  } else focus()
  return { unmount() {} }
}
