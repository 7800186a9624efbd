// Elements that say how long ago something was, and keep saying it rightly.
import { h, setText } from './dom.js'
import { age, dateTime, duration } from './i18n.js'
import { now } from './clock.js'

/** @type {ReturnType<typeof setInterval> | undefined} */
let timer

/**
 * An element with the age of a moment, "12 s ago"; the moment itself is its tooltip.
 * @param {number} ms hub time; 0 for none
 * @param {'ago' | 'for'} [kind] "for" gives the length alone, "12 s"
 */
export function ago(ms, kind = 'ago') {
  timer ??= setInterval(tick, 1000)
  const element = h('time', { class: 'nowrap', dataset: { kind } })
  setAgo(element, ms)
  return element
}

/**
 * Changes the moment of an element made by ago.
 * @param {HTMLElement} element
 * @param {number} ms
 */
export function setAgo(element, ms) {
  if (!ms) {
    delete element.dataset.moment
    element.removeAttribute('datetime')
    element.title = ''
    setText(element, '–')
    return
  }
  if (element.dataset.moment !== String(ms)) {
    element.dataset.moment = String(ms)
    element.title = dateTime(ms)
    element.setAttribute('datetime', new Date(ms).toISOString())
  }
  say(element)
}

/** @param {HTMLElement} element */
function say(element) {
  const ms = Number(element.dataset.moment)
  setText(element, element.dataset.kind === 'for' ? duration(now() - ms) : age(ms))
}

function tick() {
  if (document.hidden) return
  for (const element of /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll('time[data-moment]'))) say(element)
}
