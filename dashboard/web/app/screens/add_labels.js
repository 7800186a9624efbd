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
