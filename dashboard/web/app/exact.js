// Numbers with more digits than a float holds. The hub sends all of them (integers above 2^53, and decimals of that length), and
// JSON.parse would round them.

/** Such a number: it counts as the nearest float, and is written with all its digits. */
export class Exact {
  /** @param {string} text */
  constructor(text) {
    this.text = text
    this.near = Number(text)
  }

  valueOf() {
    return this.near
  }

  toString() {
    return this.text
  }
}

/** @typedef {number | Exact} Num */

/**
 * @param {unknown} v
 * @returns {v is Num}
 */
export const isNumber = (v) => typeof v === 'number' || v instanceof Exact

/**
 * JSON.parse, with an Exact for each number that would lose digits.
 * @param {string} text
 * @returns {any}
 */
export function parse(text) {
  if (!/\d[\d.]{15}/.test(text)) return JSON.parse(text)
  // Strings are matched whole, so that what stands in them is left alone. No key of the hub's is U+0000.
  const marked = text.replace(/"(?:[^"\\]|\\.)*"|-?\d[\d.]{15,}(?![\d.eE])/g, (token) => token[0] === '"' || String(Number(token)) === token ? token : `{"\\u0000":"${token}"}`)
  return JSON.parse(marked, (_, v) => v?.['\0'] ? new Exact(v['\0']) : v)
}

/**
 * Whether a is less than b, where only the digits that a float has lost may tell.
 * @param {Num} a
 * @param {Num} b
 */
export function less(a, b) {
  if (a < b || b < a || !(a instanceof Exact || b instanceof Exact)) return a < b
  const [x = '', y = ''] = [a, b].map((v) => String(v).split('.')[1])
  const digits = Math.max(x.length, y.length)
  return units(a, digits) < units(b, digits)
}

/**
 * @param {Num} v
 * @param {number} digits after the point
 */
function units(v, digits) {
  const [whole = '', part = ''] = (v instanceof Exact || v % 1 ? String(v) : String(BigInt(v))).split('.')
  return BigInt(whole + part.padEnd(digits, '0'))
}
