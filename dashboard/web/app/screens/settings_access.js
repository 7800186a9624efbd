// Who may do what: users and API keys, for administrators.
import { del, get, patch, post } from '../api.js'
import { ago } from '../ages.js'
import { confirm, openDialog } from '../dialog.js'
import { h, replace } from '../dom.js'
import { attempt, failure, field } from '../form.js'
import { dateTime, t } from '../i18n.js'
import { skeleton } from '../loading.js'
import { current } from '../session.js'

const roles = ['viewer', 'operator', 'admin']

/** @typedef {{name: string, role: string, created: number, last_used?: number}} Entry */

/**
 * A panel with a list that is loaded, and loaded again after each change.
 * @param {string} key of its texts
 * @param {string} path
 * @param {string[]} heads
 * @param {(entry: Entry, act: (work: () => Promise<unknown>) => Promise<boolean>) => import('../dom.js').Child[]} row the cells
 * @param {(load: () => Promise<void>) => HTMLElement} form
 */
function listPanel(key, path, heads, row, form) {
  const ended = new AbortController()
  const message = h('p', { class: 'error', role: 'alert' })
  const body = h('tbody')
  const table = h('table', { class: 'access', hidden: true }, h('thead', null, h('tr', null, heads.map((x) => h('th', { scope: 'col', text: t(x) })), h('th', null, h('span', { class: 'visually-hidden', text: t('access.actions') })))), body)
  const waiting = skeleton(2, () => void load())
  const none = h('p', { class: 'hint', hidden: true, text: t(key + '.none') })

  async function load() {
    try {
      const list = /** @type {Record<string, Entry[]>} */ (await get(path, { signal: ended.signal, query: { limit: 1000 } }))[key] ?? []
      replace(message)
      replace(body, list.map((e) => h('tr', null, row(e, act).map((c, i) => h('td', { dataset: { head: heads[i] ? t(heads[i]) : '' } }, c)))))
      table.hidden = list.length === 0
      none.hidden = list.length > 0
    } catch (error) {
      if (!ended.signal.aborted) replace(message, failure(error))
    }
    waiting.hidden = true
  }

  /** @param {() => Promise<unknown>} work */
  async function act(work) {
    replace(message)
    let fine = true
    try {
      await work()
    } catch (error) {
      replace(message, failure(error))
      fine = false
    }
    const said = [...message.childNodes]
    await load()
    replace(message, said)
    return fine
  }
  void load()
  return {
    element: h('section', { class: 'panel stack' }, h('h2', { text: t(key) }), h('p', { class: 'hint', text: t(key + '.text') }), waiting, none, table, message, form(load)),
    close: () => ended.abort(),
  }
}

/**
 * @param {string} role
 * @param {string} label
 * @param {(role: string) => void} [chosen]
 */
function roleSelect(role, label, chosen) {
  const element = h('select', { 'aria-label': label, on: { change: () => chosen?.(element.value) } },
    roles.map((r) => h('option', { value: r, text: t('role.' + r), selected: r === role })))
  return element
}

/**
 * @param {string} text
 * @param {string} name of what it is about
 * @param {() => void} click
 * @param {string} [kind]
 */
function action(text, name, click, kind = '') {
  return h('button', { type: 'button', class: kind, text, 'aria-label': `${text}: ${name}`, on: { click } })
}

export function usersPanel() {
  return listPanel('users', '/users', ['access.name', 'access.role', 'access.created'], (u, act) => {
    const path = '/users/' + encodeURIComponent(u.name)
    const own = current.get()?.user === u.name
    return [
      own ? [u.name, ' ', h('span', { class: 'chip', text: t('users.you') })] : u.name,
      roleSelect(u.role, `${t('access.role')}: ${u.name}`, (role) => void act(() => patch(path, { role }))),
      dateTime(u.created),
      own ? null : h('div', { class: 'row' },
        action(t('users.password'), u.name, () => newPassword(u.name, path)),
        action(t('access.remove'), u.name, async () => {
          if (await confirm(t('users.remove', { name: u.name }), t('users.remove.text'), t('access.remove'))) void act(() => del(path))
        }, 'danger')),
    ]
  }, (load) => {
    const name = field(t('login.user'), { name: 'user-name', required: true, autocomplete: 'off', autocapitalize: 'none', spellcheck: 'false' })
    const password = field(t('login.password'), { name: 'user-password', type: 'password', required: true, minlength: 8, autocomplete: 'new-password' }, t('setup.rule'))
    const role = roleSelect('viewer', t('access.role'))
    return addForm(t('users.add'), [name.element, password.element, labelled(role)], async () => {
      await post('/users', { name: name.input.value.trim(), password: password.input.value, role: role.value })
      await load()
    })
  })
}

export function keysPanel() {
  return listPanel('apikeys', '/apikeys', ['access.name', 'access.role', 'access.created', 'access.used'], (k, act) => [
    k.name, t('role.' + k.role), dateTime(k.created), k.last_used ? ago(k.last_used) : t('access.unused'),
    action(t('access.remove'), k.name, async () => {
      if (await confirm(t('apikeys.remove', { name: k.name }), t('apikeys.remove.text'), t('access.remove'))) void act(() => del('/apikeys/' + encodeURIComponent(k.name)))
    }, 'danger'),
  ], (load) => {
    const name = field(t('access.name'), { name: 'key-name', required: true, autocomplete: 'off', autocapitalize: 'none', spellcheck: 'false' })
    const role = roleSelect('viewer', t('access.role'))
    return addForm(t('apikeys.add'), [name.element, labelled(role)], async () => {
      const made = await post('/apikeys', { name: name.input.value.trim(), role: role.value })
      await load()
      showKey(made.name, made.key)
    })
  })
}

/**
 * @param {HTMLSelectElement} role
 */
function labelled(role) {
  return h('label', { class: 'field' }, h('span', { class: 'label', text: t('access.role') }), role)
}

/**
 * @param {string} title
 * @param {HTMLElement[]} fields
 * @param {() => Promise<void>} add
 */
function addForm(title, fields, add) {
  const message = h('p', { class: 'error', role: 'alert' })
  const form = h('form', { class: 'stack' }, h('div', { class: 'add-fields' }, fields), message, h('div', null, h('button', { type: 'submit', text: title })))
  const details = h('details', null, h('summary', { text: title }), form)
  form.addEventListener('submit', async (event) => {
    event.preventDefault()
    if (!await attempt(form, message, add)) return
    form.reset()
    details.open = false
  })
  return details
}

/**
 * @param {string} user
 * @param {string} path
 */
function newPassword(user, path) {
  const password = field(t('settings.password.new'), { name: 'set', type: 'password', required: true, minlength: 8, autocomplete: 'new-password' }, t('setup.rule'))
  const message = h('p', { class: 'error', role: 'alert' })
  const form = h('form', { class: 'stack' }, h('p', { text: t('users.password.text') }), password.element, message,
    h('div', { class: 'actions' }, h('button', { type: 'submit', class: 'primary', text: t('app.save') })))
  form.addEventListener('submit', async (event) => {
    event.preventDefault()
    if (await attempt(form, message, () => patch(path, { password: password.input.value }))) dialog.close()
  })
  const dialog = openDialog(t('users.password.title', { name: user }), form)
  password.input.focus()
}

/**
 * The hub keeps only a hash: this is the one time a key can be read.
 * @param {string} name
 * @param {string} key
 */
function showKey(name, key) {
  const copy = h('button', {
    type: 'button', class: 'primary', text: t('app.copy'),
    on: {
      click: async () => {
        await navigator.clipboard.writeText(key)
        copy.textContent = t('app.copied')
      },
    },
  })
  openDialog(t('apikeys.made', { name }), [
    h('p', { text: t('apikeys.made.text') }), h('pre', { class: 'snippet', tabindex: '0', text: key }),
    h('p', { class: 'hint' }, t('apikeys.use'), ' ', h('code', { text: 'Authorization: Bearer …' })), h('div', { class: 'actions' }, copy)], { must: false })
}
