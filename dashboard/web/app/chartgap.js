// Why there is nothing in a stretch of a chart, in words.
import { hasText, t } from './i18n.js'

/**
 * @param {{cause: string, text?: string}} gap
 * @param {boolean} [full] with what the hub says about it
 */
export function gapWords(gap, full = false) {
  const key = 'chart.gap.' + gap.cause
  const words = hasText(key) ? t(key) : gap.cause
  return full && gap.text ? `${words}: ${gap.text}` : words
}
