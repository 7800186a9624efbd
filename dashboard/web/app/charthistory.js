// Asks the hub for the history that the charts show: one request at a time, the newest wish wins, and what is drawn stays
// until the answer is there.
import { get } from './api.js'

/**
 * @typedef {{from: number, to: number, step_ms: number, min_gap_ms: number, channels: import('./chartdata.js').History[],
 *   gaps: import('./chartdata.js').Gap[]}} Answer
 * @typedef {{from: number, to: number, points: number, channels: number[]}} Wish
 * @typedef {'idle' | 'loading' | 'failed'} Phase
 */

const between = 3_000 // ms between two reloads that nobody asked for
const again = 5_000 // ms after a failure

export class HistoryLoader {
  /**
   * @param {string} device
   * @param {() => Wish | null} wish what is to be seen at the moment
   * @param {(answer: Answer) => void} loaded
   * @param {(phase: Phase, error: unknown) => void} told
   */
  constructor(device, wish, loaded, told) {
    this.device = device
    this.wish = wish
    this.loaded = loaded
    this.told = told
    /** @type {AbortController | null} */
    this.running = null
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.timer = undefined
    this.due = Infinity
    this.last = 0
    this.ended = false
  }

  /** The reader wants to see something else. */
  now(delay = 0) {
    this.at(Date.now() + delay)
  }

  /** What is shown may have holes that the hub can fill by now. */
  soon() {
    this.at(Math.max(this.last + between, Date.now() + 300), true)
  }

  /**
   * @param {number} due
   * @param {boolean} [patient] an earlier or later plan stands
   */
  at(due, patient = false) {
    if (this.ended || (patient && this.due !== Infinity)) return
    this.due = due
    clearTimeout(this.timer)
    this.timer = setTimeout(() => void this.load(), Math.max(0, due - Date.now()))
  }

  async load() {
    this.due = Infinity
    const wish = this.wish()
    if (!wish) return
    this.running?.abort()
    const mine = this.running = new AbortController()
    this.last = Date.now()
    this.told('loading', null)
    try {
      const { from, to, points, channels } = wish
      const answer = /** @type {Answer} */ (await get(`/devices/${encodeURIComponent(this.device)}/readings`, {
        signal: mine.signal, query: { from: Math.floor(from), to: Math.ceil(to), points, channel: channels },
      }))
      if (this.running !== mine || this.ended) return
      this.loaded(answer)
      this.told('idle', null)
    } catch (error) {
      if (this.running !== mine || this.ended) return
      this.told('failed', error)
      this.at(Date.now() + again, true)
    }
  }

  end() {
    this.ended = true
    clearTimeout(this.timer)
    this.running?.abort()
  }
}
