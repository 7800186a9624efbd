// The page's addresses. A screen is a module with mount(root, location), which returns what ends and may update it.

/** @typedef {{params: Record<string, string>, query: Record<string, string>}} Location */
/** @typedef {{update?: (location: Location) => void, unmount: () => void}} Mounted */
/** @typedef {{mount: (root: HTMLElement, location: Location) => Mounted | Promise<Mounted>}} Screen */

/** @type {{pattern: string, load: () => Promise<Screen>}[]} */
const routes = []
/** @type {HTMLElement | null} */
let root = null
/** @type {(path: string, failed: unknown) => void} */
let onShown = () => {}
/** @type {{pattern: string, params: string, mounted: Mounted} | null} */
let shown = null
let turn = 0

/**
 * Has a screen shown at the addresses of a pattern such as /devices/{id}.
 * @param {string} pattern
 * @param {() => Promise<Screen>} load
 */
export function route(pattern, load) {
  routes.push({ pattern, load })
}

/**
 * Compares a path with a pattern; returns its parameters, or null.
 * @param {string} pattern
 * @param {string} path
 * @returns {Record<string, string> | null}
 */
export function match(pattern, path) {
  const want = pattern.split('/')
  const have = path.replace(/(.)\/$/, '$1').split('/')
  if (want.length !== have.length) return null
  /** @type {Record<string, string>} */
  const params = {}
  for (const [i, part] of want.entries()) {
    const got = have[i] ?? ''
    if (!part.startsWith('{')) {
      if (part !== got) return null
      continue
    }
    try {
      params[part.slice(1, -1)] = decodeURIComponent(got)
    } catch {
      return null
    }
    if (got === '') return null
  }
  return params
}

/**
 * The parameters behind the question mark of an address.
 * @param {string} search
 */
export function parseQuery(search) {
  return /** @type {Record<string, string>} */ (Object.fromEntries(new URLSearchParams(search)))
}

/** The present address's query parameters. */
export function query() {
  return parseQuery(location.search)
}

/**
 * Returns an address with some query parameters changed; empty ones are taken away.
 * @param {string} path
 * @param {Record<string, string>} old
 * @param {Record<string, string | number | null | undefined>} change
 */
export function withQuery(path, old, change) {
  const search = new URLSearchParams(old)
  for (const [name, value] of Object.entries(change)) {
    if (value === null || value === undefined || value === '') search.delete(name)
    else search.set(name, String(value))
  }
  const text = search.toString()
  return path + (text && '?' + text)
}

/**
 * Changes query parameters of the present address; the screen is told by its update.
 * @param {Record<string, string | number | null | undefined>} change
 * @param {{replace?: boolean}} [options]
 */
export function setQuery(change, options = { replace: true }) {
  navigate(withQuery(location.pathname, query(), change), options)
}

/**
 * Goes to an address of this page.
 * @param {string} url
 * @param {{replace?: boolean}} [options]
 */
export function navigate(url, options = {}) {
  const same = url === location.pathname + location.search
  if (options.replace || same) history.replaceState(history.state, '', url)
  else {
    history.replaceState({ ...history.state, top: scrollY }, '')
    history.pushState(null, '', url)
  }
  void show(options.replace || same ? null : 0)
}

/**
 * Shows the screen of the present address.
 * @param {number | null} top where to scroll to, null for staying
 */
async function show(top) {
  if (root === null) return
  const mine = ++turn
  const path = location.pathname
  for (const { pattern, load } of routes) {
    const params = match(pattern, path)
    if (params === null) continue
    const where = { params, query: query() }
    const key = JSON.stringify(params)
    if (shown?.pattern === pattern && shown.mounted.update && (shown.params === key || top === null)) {
      shown.params = key
      shown.mounted.update(where)
      return
    }
    let failed = null
    try {
      const screen = await load()
      if (mine !== turn) return
      leave()
      const mounted = await screen.mount(root, where)
      if (mine !== turn) return mounted.unmount()
      shown = { pattern, params: key, mounted }
    } catch (error) {
      if (mine !== turn) return
      failed = error
    }
    onShown(path, failed)
    if (top !== null) scrollTo(0, top)
    return
  }
  leave()
  onShown(path, new Error('not found'))
}

function leave() {
  shown?.mounted.unmount()
  shown = null
  root?.replaceChildren()
}

/** Shows the present screen anew, as after a change of language. */
export function reload() {
  leave()
  void show(null)
}

/**
 * Begins to show screens in an element and to follow links.
 * @param {HTMLElement} element
 * @param {(path: string, failed: unknown) => void} shownAt called after each change of screen
 */
export function start(element, shownAt) {
  root = element
  onShown = shownAt
  history.scrollRestoration = 'manual'
  addEventListener('popstate', () => void show(history.state?.top ?? 0))
  document.addEventListener('click', (event) => {
    const link = event.target instanceof Element ? event.target.closest('a') : null
    if (!link || event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return
    if (link.origin !== location.origin || link.target || link.hasAttribute('download') || link.getAttribute('href')?.startsWith('#')) return
    if (!routes.some(({ pattern }) => match(pattern, link.pathname))) return
    event.preventDefault()
    navigate(link.pathname + link.search + link.hash)
  })
  void show(null)
}
