// Hub time: every message from the hub says when it was sent.

let offset = 0 // ms to add to this machine's clock
let known = false

/** The hub's present time in ms since 1970, as well as it is known. */
export function now() {
  return Date.now() + offset
}

/**
 * Learns from a message of the hub. The fastest message is the best witness: a slow one only lags.
 * @param {number} sent hub time, ms
 */
export function observe(sent) {
  const seen = sent - Date.now()
  if (!known || seen > offset || seen < offset - 2000) offset = seen
  else offset += (seen - offset) * 0.02
  known = true
}
