// The device's tokens: what lets it in.
import { ago } from '../ages.js'
import { del, post } from '../api.js'
import { confirm, openDialog } from '../dialog.js'
import { h, replace } from '../dom.js'
import { failure } from '../form.js'
import { dateTime, t } from '../i18n.js'
import { navigate } from '../router.js'
import { can } from '../session.js'

/**
 * @param {string} id
 * @param {() => void} changed
 */
export function tokensPanel(id, changed) {
  const body = h('div', { class: 'stack' })
  const message = h('p', { class: 'error', role: 'alert' })
  const admin = can('admin')
  const path = `/devices/${encodeURIComponent(id)}`
  /**
   * @param {string} action
   * @param {() => Promise<void>} work
   */
  const button = (action, work) => h('button', {
    type: 'button', class: action === 'rotate' ? '' : 'danger', disabled: !admin, text: t('device.' + action),
    on: {
      async click() {
        if (!await confirm(t(`device.${action}.title`, { id }), t(`device.${action}.text`), t('device.' + action))) return
        replace(message)
        try {
          await work()
        } catch (error) {
          replace(message, failure(error))
        }
        changed()
      },
    },
  })
  const revoke = button('revoke', () => post(`${path}/revoke`))
  const actions = h('div', { class: 'row' },
    button('rotate', async () => {
      const { credentials } = await import('./add_snippets.js')
      const made = await post(`${path}/rotate`)
      // It is shown once: a click beside it must not take it away.
      const dialog = openDialog(t('device.token.new'), [credentials(made), h('div', { class: 'actions' },
        h('button', { type: 'button', class: 'primary', text: t('app.close'), on: { click: () => dialog.close() } }))], { must: true })
    }), revoke, button('remove', async () => {
      await del(path)
      navigate('/devices')
    }))
  const element = h('section', { class: 'panel stack' }, h('h2', { text: t('device.tokens') }), body, actions, !admin && h('p', { class: 'hint', text: t('device.tokens.admin') }), message)
  return {
    element,
    /** @param {import('./device.js').Detail} detail */
    show({ revoked, tokens }) {
      revoke.hidden = revoked
      const text = JSON.stringify([revoked, tokens])
      if (body.dataset.text === text) return
      body.dataset.text = text
      replace(body,
        revoked && h('p', { class: 'notice', text: t('device.revoked') }),
        h('ul', { class: 'stack' }, tokens.map((token) => h('li', null,
          t('device.token.created'), ' ', ago(token.created), ', ',
          token.first_used ? [t('device.token.used'), ' ', ago(token.first_used)] : t('device.token.unused'),
          token.expires ? `, ${t('device.token.expires', { at: dateTime(token.expires) })}` : ''))))
    },
  }
}
