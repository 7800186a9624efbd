/**
 * A value that tells those who watch it when it changes.
 * @template T
 * @typedef {{get(): T, set(value: T): void, subscribe(f: (value: T) => void): () => void}} Signal
 */

/**
 * Returns a signal. subscribe calls f at once and at each change, and returns what ends that.
 * @template T
 * @param {T} value
 * @returns {Signal<T>}
 */
export function signal(value) {
  /** @type {Set<(value: T) => void>} */
  const watchers = new Set()
  return {
    get: () => value,
    set(next) {
      if (Object.is(next, value)) return
      value = next
      for (const f of [...watchers]) f(value)
    },
    subscribe(f) {
      watchers.add(f)
      f(value)
      return () => { watchers.delete(f) }
    },
  }
}
