// What a reader chose, kept in this browser only.
import { signal } from './signal.js'

/**
 * theme: system, light, dark; language: empty for the browser's; zone: browser, utc; keys: single-key shortcuts, on or off;
 * list: how long lists are shown, scroll or pages.
 * @typedef {{theme: string, language: string, zone: string, keys: string, list: string}} Settings
 */

/** @type {Settings} */
const defaults = { theme: 'system', language: '', zone: 'browser', keys: 'on', list: 'scroll' }
const prefix = 'telemetry-hub.'

/** Changes whenever a setting does. */
export const settings = signal(load())

function load() {
  const s = { ...defaults }
  for (const name of /** @type {(keyof Settings)[]} */ (Object.keys(defaults))) s[name] = stored(name) ?? s[name]
  return s
}

/**
 * A browser that keeps nothing for us is no reason to fail.
 * @param {string} name
 */
function stored(name) {
  try {
    return localStorage.getItem(prefix + name)
  } catch {
    return null
  }
}

/**
 * @param {keyof Settings} name
 */
export function setting(name) {
  return settings.get()[name]
}

/**
 * @param {keyof Settings} name
 * @param {string} value
 */
export function choose(name, value) {
  try {
    localStorage.setItem(prefix + name, value)
  } catch {
    // It holds until the page is left.
  }
  settings.set({ ...settings.get(), [name]: value })
}
