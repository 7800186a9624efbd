// Words, numbers and times in the reader's language and time zone.
import { now } from './clock.js'
import { Exact, isNumber } from './exact.js'
import { setting } from './settings.js'
import { signal } from './signal.js'

/** @typedef {'en' | 'ko'} Language */
/** @typedef {Record<string, string>} Texts */

/** @type {Record<Language, () => Promise<{default: Texts}>>} */
const files = { en: () => import('../lang/en.js'), ko: () => import('../lang/ko.js') }

/** @type {import('./signal.js').Signal<Language>} */
const current = signal('en')
/** @type {Texts} */
let texts = {}

export const languages = /** @type {Language[]} */ (Object.keys(files))

export function language() {
  return current.get()
}

/** The language to begin with: what was chosen here, else the first of the browser's that we have. */
export function preferredLanguage() {
  const wanted = [setting('language'), ...navigator.languages].map((l) => l.slice(0, 2))
  return languages.find((l) => l === wanted.find((w) => languages.includes(/** @type {Language} */ (w)))) ?? 'en'
}

/**
 * Loads a language and makes it the present one.
 * @param {Language} next
 */
export async function setLanguage(next) {
  texts = (await files[next]()).default
  formats.clear()
  if (typeof document !== 'undefined') document.documentElement.lang = next
  current.set(next)
}

/**
 * Calls f when the language changes, not at once.
 * @param {(language: Language) => void} f
 */
export function onLanguage(f) {
  let first = true
  return current.subscribe((l) => {
    if (!first) f(l)
    first = false
  })
}

/**
 * Returns the text of a key. `{name}` stands for an argument; `{n:device|devices}` for the word that goes with the number n.
 * @param {string} key
 * @param {Record<string, string | number>} [args]
 */
export function t(key, args = {}) {
  return fillIn(texts[key] ?? key, args, current.get())
}

/**
 * Says whether there is a text for a key.
 * @param {string} key
 */
export function hasText(key) {
  return key in texts
}

/**
 * @param {string} text
 * @param {Record<string, string | number>} args
 * @param {Language} lang
 */
export function fillIn(text, args, lang) {
  return text.replace(/\{(\w+)(?::([^|}]*)\|([^}]*))?\}/g, (all, name, one, other) => {
    const value = args[name]
    if (value === undefined) return all
    if (other !== undefined) return new Intl.PluralRules(lang).select(Number(value)) === 'one' ? one : other
    return typeof value === 'number' ? number(value) : value
  })
}

/** @type {Map<string, Intl.NumberFormat | Intl.DateTimeFormat>} */
const formats = new Map()

/**
 * A number as people write it.
 * @param {import('./exact.js').Num} v
 * @param {number} [digits] at most so many after the point
 */
export function number(v, digits = 3) {
  const key = `n${digits}`
  let f = /** @type {Intl.NumberFormat | undefined} */ (formats.get(key))
  if (!f) formats.set(key, f = new Intl.NumberFormat(current.get(), { maximumFractionDigits: digits }))
  return f.format(/** @type {number} */ (v instanceof Exact ? v.text : v)) // which takes all digits of a text
}

/**
 * A reading where there is little room: six digits tell it. What is shorter, or no number, stays as it is.
 * @param {{v: any, text: string}} value
 */
export function brief({ v, text }) {
  if (text.length <= 8 || !isNumber(v)) return text
  v = Number(v)
  return Math.abs(v) >= 1e6 ? v.toExponential(4).replace('e+', 'e') : String(Number(v.toPrecision(6)))
}

/**
 * @param {number} n bytes
 */
export function bytes(n) {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB']
  let i = 0
  while (n >= 1024 && i < units.length - 1) {
    n /= 1024
    i++
  }
  return `${number(n, n < 10 && i > 0 ? 1 : 0)} ${units[i]}`
}

/**
 * The parts of a moment in the chosen time zone.
 * @param {number} ms
 */
function parts(ms) {
  const key = setting('zone') === 'utc' ? 'utc' : 'local'
  let f = /** @type {Intl.DateTimeFormat | undefined} */ (formats.get(key))
  if (!f) {
    f = new Intl.DateTimeFormat('en-CA', {
      timeZone: key === 'utc' ? 'UTC' : undefined, hourCycle: 'h23', numberingSystem: 'latn', calendar: 'gregory',
      year: 'numeric', month: '2-digit', day: '2-digit', hour: '2-digit', minute: '2-digit', second: '2-digit',
    })
    formats.set(key, f)
  }
  /** @type {Record<string, string>} */
  const p = {}
  for (const { type, value } of f.formatToParts(ms)) p[type] = value
  return { date: `${p.year}-${p.month}-${p.day}`, time: `${p.hour}:${p.minute}:${p.second}` }
}

/**
 * The time of day, "14:02:11".
 * @param {number} ms
 */
export function time(ms) {
  return ms ? parts(ms).time : '–'
}

/**
 * Day and time, "2026-03-04 14:02:11".
 * @param {number} ms
 */
export function dateTime(ms) {
  if (!ms) return '–'
  const p = parts(ms)
  return `${p.date} ${p.time}`
}

/**
 * The time of day today, "14:02:11"; on other days the date and the minute, "2026-03-04 14:02".
 * @param {number} ms
 */
export function moment(ms) {
  if (!ms) return '–'
  const p = parts(ms)
  return p.date === parts(now()).date ? p.time : `${p.date} ${p.time.slice(0, 5)}`
}

/**
 * A length of time, "42 s", "5 min", "2 h 10 min", "3 d 4 h".
 * @param {number} ms
 */
export function duration(ms) {
  const s = Math.max(0, Math.round(ms / 1000))
  if (ms > 0 && ms < 1000) return t('time.ms', { n: Math.round(ms) })
  if (s < 60) return t('time.s', { n: s })
  if (s < 3600) return s < 600 && s % 60 ? t('time.mins', { m: Math.floor(s / 60), s: s % 60 }) : t('time.min', { n: Math.floor(s / 60) })
  const [big, small, one, two] = s < 86400 ? [3600, 60, 'time.h', 'time.hmin'] : [86400, 3600, 'time.d', 'time.dh']
  const rest = Math.floor((s % big) / small)
  return rest ? t(two, { a: Math.floor(s / big), b: rest }) : t(one, { n: Math.floor(s / big) })
}

/**
 * How long ago a moment was, "12 s ago"; "just now" below a second and for the future.
 * @param {number} ms hub time
 */
export function age(ms) {
  if (!ms) return '–'
  const ago = now() - ms
  return ago < 1000 ? t('time.now') : t('time.ago', { t: duration(ago) })
}
