import { h, setText } from './dom.js'
import { t } from './i18n.js'

/**
 * A button that copies a text.
 * @param {() => string} text
 * @param {string} what its name
 */
export function copyButton(text, what) {
  const word = h('span', { text: t('app.copy') })
  const said = h('span', { class: 'visually-hidden', role: 'status' })
  return h('span', null, h('button', {
    type: 'button', 'aria-label': `${t('app.copy')}: ${what}`,
    on: {
      async click() {
        setText(word, t(await copy(text()) ? 'app.copied' : 'add.copy.failed'))
        setText(said, word.textContent ?? '')
        setTimeout(() => {
          setText(word, t('app.copy'))
          setText(said, '')
        }, 3000)
      },
    },
  }, word), said)
}

/** @param {string} text */
async function copy(text) {
  try {
    await navigator.clipboard.writeText(text)
    return true
  } catch {
    return false // not allowed: it can still be selected
  }
}
