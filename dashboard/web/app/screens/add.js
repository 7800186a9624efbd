// Adding a device, in three steps: what it is, its token with something that works, and its first frame.
import { ago } from '../ages.js'
import { post } from '../api.js'
import { now } from '../clock.js'
import { confirm } from '../dialog.js'
import { h, replace, setText } from '../dom.js'
import { attempt, failure, field } from '../form.js'
import { t } from '../i18n.js'
import { hub, subscribe } from '../live.js'
import { can } from '../session.js'
import { credentials } from './add_snippets.js'
import { eventWord } from './device_events.js'

const names = '[A-Za-z0-9._\\-]{1,64}'
const refusals = new Set(['refused', 'tls', 'rejected'])
const shown = 5

/**
 * @param {HTMLElement} root
 * @param {import('../router.js').Location} where
 */
export function mount(root, { query }) {
  /** @type {(() => void)[]} */
  const ends = []
  const first = h('li', { class: 'panel stack' })
  const second = h('li', { class: 'panel stack' })
  const third = h('li', { class: 'panel stack' })
  const steps = [first, second, third]
  root.append(h('div', { class: 'stack add' }, h('h1', { text: t('add.title') }), h('ol', { class: 'stack steps' }, steps)))

  /** @param {number} n the step that is due, from 0 */
  function step(n) {
    for (const [i, item] of steps.entries()) {
      item.classList.toggle('later', i > n)
      if (i === n) item.setAttribute('aria-current', 'step')
      else item.removeAttribute('aria-current')
    }
  }
  /** @param {number} n */
  const heading = (n) => h('h2', { text: t(`add.step${n}`), tabindex: '-1' })

  function ask() {
    const plain = { autocomplete: 'off', autocapitalize: 'none', spellcheck: 'false' }
    const id = field(t('add.id'), { ...plain, name: 'id', required: true, pattern: names, maxlength: 64 }, t('add.id.hint'))
    const kind = field(t('add.kind'), { ...plain, name: 'kind', pattern: names, maxlength: 64, placeholder: 'telemetry' }, t('add.kind.hint'))
    const labels = field(t('add.labels'), { ...plain, name: 'labels', placeholder: 'site=north, floor=2' }, t('add.labels.hint'))
    const message = h('p', { class: 'error', role: 'alert' })
    const form = h('form', {
      class: 'stack', on: {
        /** @param {Event} event */
        submit(event) {
          event.preventDefault()
          const pairs = readLabels(labels.input.value)
          if (pairs === null) return replace(message, t('add.labels.bad'))
          void attempt(form, message, async () => have(await post('/devices', { id: id.input.value.trim(), kind: kind.input.value.trim(), labels: pairs })))
        },
      },
    }, id.element, kind.element, labels.element, message, h('div', null, h('button', { type: 'submit', class: 'primary', text: t('add.submit') })))
    replace(first, heading(1), can('admin') ? form : h('p', { class: 'notice', text: t('add.admin') }))
    if (can('admin')) id.input.focus()
  }

  /** @param {import('./add_snippets.js').Credentials} made */
  function have(made) {
    created(made.id)
    const title = heading(2)
    replace(second, title, credentials(made))
    title.focus()
    wait(made.id)
  }

  /** @param {string} id */
  function created(id) {
    replace(first, heading(1), h('p', null, t('add.created'), ' ', h('strong', { text: id })))
  }

  /**
   * A device that is there already: nobody knows its token any more.
   * @param {string} id
   */
  function known(id) {
    created(id)
    const message = h('p', { class: 'error', role: 'alert' })
    replace(second, heading(2), h('p', { text: t('add.gone') }), h('div', null, h('button', {
      type: 'button', disabled: !can('admin'), text: t('device.rotate'),
      on: {
        async click() {
          if (!await confirm(t('device.rotate.title', { id }), t('device.rotate.text'), t('device.rotate'))) return
          try {
            replace(second, heading(2), credentials(await post(`/devices/${encodeURIComponent(id)}/rotate`)))
          } catch (error) {
            replace(message, failure(error))
          }
        },
      },
    })), message)
    wait(id)
  }

  /**
   * Waits for the first frame, and says what stands in its way.
   * @param {string} id
   */
  function wait(id) {
    step(2)
    const since = now()
    const state = h('p', { role: 'status', text: t('add.waiting') })
    const list = h('ul', { class: 'events', tabindex: 0, 'aria-label': t('add.refused') })
    const trouble = h('div', { class: 'stack', hidden: true }, h('h3', { text: t('add.refused') }), h('p', { class: 'hint', text: t('add.refused.text') }), list)
    const link = h('a', { class: 'button primary', hidden: true, href: `/devices/${encodeURIComponent(id)}`, text: t('add.open', { id }) })
    replace(third, heading(3), state, trouble, h('div', null, link))
    /** @type {Map<string, import('./device_events.js').Event>} */
    const seen = new Map()
    let begun = -1 // when the newest frame had come as we began to wait

    /** @param {import('./device_events.js').Event[]} events */
    function refused(events) {
      const before = seen.size
      for (const e of events) {
        if (refusals.has(e.kind) && e.at >= since - 2000 && (!e.device || e.device === id)) seen.set(`${e.at}:${e.n}`, e)
      }
      if (seen.size === before) return
      trouble.hidden = false
      replace(list, [...seen.values()].sort((a, b) => b.at - a.at).slice(0, shown).map((e) => h('li', { class: 'event' }, ago(e.at),
        h('span', null, h('strong', { text: eventWord(e) }), e.text && `: ${e.text}`, e.address && h('span', { class: 'muted', text: ` (${t('add.from', { address: e.address })})` })))))
    }

    ends.push(hub.subscribe((body) => refused(body?.events ?? [])))
    const feed = subscribe(`/topic/devices/${id}/readings`, {}, (body) => {
      /** @type {import('./device.js').Row | undefined} */
      const row = body.device
      refused(body.events ?? [])
      if (!row) return
      if (begun < 0) begun = row.seen ?? 0
      if ((row.seen ?? 0) > begun || row.state === 'live') {
        setText(state, t('add.arrived'))
        third.classList.add('done')
        trouble.hidden = true
        link.hidden = false
      } else setText(state, t(row.connected ? 'add.connected' : 'add.waiting'))
    })
    ends.push(() => feed.close())
  }

  replace(second, heading(2))
  replace(third, heading(3))
  step(0)
  if (query.device) known(query.device)
  else ask()
  return {
    unmount() {
      for (const end of ends) end()
    },
  }
}

/**
 * Reads labels as people type them, "site=north, floor=2"; null if it is something else.
 * @param {string} text
 */
export function readLabels(text) {
  /** @type {Record<string, string>} */
  const labels = {}
  for (const part of text.split(',').map((p) => p.trim()).filter((p) => p !== '')) {
    const [, name, value] = /^([A-Za-z0-9._-]{1,64})\s*=\s*(\S.*)$/.exec(part) ?? []
    if (!name || !value) return null
    labels[name] = value
  }
  return labels
}
