// Fields of forms, and what went wrong with one.
import { ApiError } from './api.js'
import { h, replace } from './dom.js'
import { duration, t } from './i18n.js'

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
