/**
 * How long to wait before a further attempt: any time up to a limit that doubles from 0.5 s to 30 s ("full jitter"), so that a
 * thousand viewers do not return to a hub at once.
 * @param {number} attempt 1 for the first repetition
 * @param {() => number} [random]
 * @returns {number} ms
 */
export function backoff(attempt, random = Math.random) {
  return Math.floor(random() * Math.min(30_000, 500 * 2 ** Math.min(attempt - 1, 10)))
}
