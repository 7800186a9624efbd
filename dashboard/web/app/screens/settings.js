// What the reader chooses for this browser, the own password, and for administrators users and API keys.
import { post } from '../api.js'
import { h } from '../dom.js'
import { attempt, failure, field } from '../form.js'
import { hasText, language, languages, setLanguage, t } from '../i18n.js'
import { ApiError } from '../api.js'
import { can, current } from '../session.js'
import { choose, setting } from '../settings.js'
import { keysPanel, usersPanel } from './settings_access.js'

/**
 * @param {HTMLElement} root
 */
export function mount(root) {
  const session = current.get()
  const users = can('admin') ? usersPanel() : null
  const keys = can('admin') ? keysPanel() : null
  root.append(h('div', { class: 'stack still settings' },
    h('h1', { text: t('nav.settings') }),
    h('div', { class: 'settings-halves' }, appearance(), session?.via === 'key' ? null : password(session?.user ?? '')),
    users?.element, keys?.element, about(session?.version ?? '')))
  return {
    unmount() {
      users?.close()
      keys?.close()
    },
  }
}

function appearance() {
  const zones = [['browser', t('settings.zone.browser', { zone: Intl.DateTimeFormat().resolvedOptions().timeZone })], ['utc', 'UTC']]
  return h('section', { class: 'panel stack' }, h('h2', { text: t('settings.appearance') }), h('p', { class: 'hint', text: t('settings.local') }),
    select('settings.theme', setting('theme'), ['system', 'light', 'dark'].map((v) => [v, t('settings.theme.' + v)]), (v) => choose('theme', v)),
    select('settings.language', language(), languages.map((l) => [l, l === 'ko' ? '한국어' : 'English']), (v) => {
      choose('language', v)
      void setLanguage(/** @type {import('../i18n.js').Language} */ (v))
    }),
    select('settings.zone', setting('zone'), zones, (v) => choose('zone', v)),
    select('settings.list', setting('list'), ['scroll', 'pages'].map((v) => [v, t('settings.list.' + v)]), (v) => choose('list', v)),
    h('label', { class: 'row' }, h('input', {
      type: 'checkbox', checked: setting('keys') === 'on',
      on: { change: (/** @type {Event} */ e) => choose('keys', /** @type {HTMLInputElement} */ (e.target).checked ? 'on' : 'off') },
    }), h('span', { text: t('settings.keys') })))
}

/**
 * @param {string} key
 * @param {string} present
 * @param {string[][]} choices value and text
 * @param {(value: string) => void} chosen
 */
function select(key, present, choices, chosen) {
  const element = h('select', { id: key, on: { change: () => chosen(element.value) } },
    choices.map(([value, text]) => h('option', { value: value ?? '', text: text ?? '', selected: value === present })))
  return h('div', { class: 'field' }, h('label', { for: key, text: t(key) }), element)
}

/**
 * @param {string} user
 */
function password(user) {
  const old = field(t('settings.password.old'), { name: 'old', type: 'password', autocomplete: 'current-password', required: true })
  const fresh = field(t('settings.password.new'), { name: 'new', type: 'password', autocomplete: 'new-password', required: true, minlength: 8 }, t('setup.rule'))
  const again = field(t('setup.repeat'), { name: 'again', type: 'password', autocomplete: 'new-password', required: true })
  const message = h('p', { class: 'error', role: 'alert' })
  const done = h('p', { class: 'ok', role: 'status' })
  const form = h('form', { class: 'stack', on: { submit } },
    h('input', { class: 'visually-hidden', type: 'text', name: 'username', autocomplete: 'username', value: user, tabindex: '-1', 'aria-hidden': 'true', readonly: true }),
    old.element, fresh.element, again.element, message, done, h('div', null, h('button', { type: 'submit', text: t('settings.password.submit') })))
  /** @param {Event} event */
  async function submit(event) {
    event.preventDefault()
    done.textContent = ''
    if (fresh.input.value !== again.input.value) {
      message.textContent = t('setup.differ')
      again.input.focus()
      return
    }
    const ok = await attempt(form, message, () => post('/password', { old: old.input.value, new: fresh.input.value }),
      (error) => error instanceof ApiError && error.status === 403 ? t('settings.password.wrong') : failure(error))
    if (!ok) return
    form.reset()
    done.textContent = t('settings.password.done')
  }
  const session = current.get()
  return h('section', { class: 'panel stack' }, h('h2', { text: t('settings.account') }),
    h('dl', { class: 'pairs' }, h('dt', { text: t('login.user') }), h('dd', { text: user }),
      h('dt', { text: t('settings.role') }), h('dd', { text: roleText(session?.role ?? '') })),
    h('h3', { text: t('settings.password') }), form)
}

/**
 * @param {string} role
 */
function roleText(role) {
  const key = `role.${role}.text`
  return hasText(key) ? `${t('role.' + role)}: ${t(key)}` : role
}

/**
 * @param {string} version
 */
function about(version) {
  return h('section', { class: 'panel stack' }, h('h2', { text: t('settings.about') }),
    h('dl', { class: 'pairs' }, h('dt', { text: 'telemetry-hub' }), h('dd', { text: version || '–' }),
      h('dt', { text: 'uPlot 1.6.32' }), h('dd', { text: 'MIT, © Leon Sorokin' }),
      h('dt', { text: 'STOMP.js 7.5.0' }), h('dd', { text: 'Apache-2.0, © Jeff Mesnil, Jeff Lindsay, Aaron Rauch, Deepak Kumar' })))
}
