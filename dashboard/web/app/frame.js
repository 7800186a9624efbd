// What is around every screen: navigation, the state of the connection, and the banner that says when nothing here is live.
import { h, replace, setText, svg } from './dom.js'
import { duration, moment, t, time } from './i18n.js'
import { help, togglePause } from './keys.js'
import { connection, hub, retryNow } from './live.js'
import { logout } from './session.js'

/** @type {{path: string, key: string, icon: string, match: RegExp}[]} */
const places = [
  { path: '/', key: 'overview', icon: 'M2 8l6-5.5L14 8M4 7v6.5h8V7', match: /^\/$/ },
  { path: '/devices', key: 'devices', icon: 'M2 3h12v4H2zM2 9.5h12v4H2zM4.5 5h.1M4.5 11.5h.1', match: /^\/devices/ },
  { path: '/commands', key: 'commands', icon: 'M2 4l4 4-4 4M8 12.5h6', match: /^\/commands/ },
  { path: '/add', key: 'add', icon: 'M8 3v10M3 8h10', match: /^\/add/ },
  { path: '/hub', key: 'hub', icon: 'M1.5 8.5H5l2-5 3 9 1.6-4h3', match: /^\/hub/ },
  { path: '/settings', key: 'settings', icon: 'M2 4.5h6M12 4.5h2M10 2.7v3.6M2 11.5h2M8 11.5h6M6 9.7v3.6', match: /^\/settings/ },
]

/**
 * Builds the frame into the document.
 */
export function buildFrame() {
  const screen = h('main', { id: 'screen', tabindex: '-1' })
  const links = places.map((p) => ({
    ...p, words: h('span'),
    link: h('a', { href: p.path }, svg('svg', { class: 'icon', viewBox: '0 0 16 16', 'aria-hidden': 'true' }, svg('path', { d: p.icon }))),
  }))
  for (const l of links) l.link.append(l.words)
  const nav = h('nav', null, links.map((l) => l.link))
  const skip = h('a', { class: 'skip', href: '#screen' })
  const chip = h('span', { class: 'chip' })
  const limited = h('span', { class: 'chip limited', hidden: true })
  const pauseButton = h('button', { type: 'button', class: 'quiet', on: { click: togglePause } })
  const helpButton = h('button', { type: 'button', class: 'quiet', text: '?', on: { click: help } })
  const who = h('span', { class: 'who' })
  const out = h('button', { type: 'button', class: 'quiet', on: { click: () => void leave() } })
  const header = h('header', { class: 'top', hidden: true },
    h('a', { class: 'brand', href: '/', 'aria-label': 'telemetry-hub' }, logo(), h('span', { text: 'telemetry-hub' })), nav,
    h('div', { class: 'tools' }, limited, chip, pauseButton, helpButton, who, out))
  const bannerText = h('span')
  const bannerMore = h('span')
  const bannerButton = h('button', { type: 'button' })
  const banner = h('section', { class: 'banner', hidden: true }, h('p', null, bannerText, ' ', bannerMore), bannerButton)
  // Only changes of state are spoken, not the seconds that pass.
  const spoken = h('p', { class: 'visually-hidden', role: 'status' })
  const news = h('p', { class: 'visually-hidden', role: 'status' })
  document.body.replaceChildren(skip, header, banner, screen, spoken, news)
  sayChanges(news)

  async function leave() {
    await logout()
    location.assign('/login')
  }

  function relabel() {
    setText(skip, t('app.skip'))
    nav.setAttribute('aria-label', t('nav.main'))
    for (const l of links) setText(l.words, t('nav.' + l.key))
    banner.setAttribute('aria-label', t('live.region'))
    helpButton.setAttribute('aria-label', t('help.title'))
    setText(out, t('nav.logout'))
    limited.title = t('live.degraded.hint')
    setText(limited, t('live.degraded'))
    show()
  }

  let spokenPhase = ''
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer
  function show() {
    const c = connection.get()
    clearTimeout(timer)
    const broken = c.phase === 'reconnecting' || c.phase === 'lost'
    document.body.dataset.phase = c.phase
    chip.className = `chip phase-${c.phase}`
    setText(chip, t('live.' + c.phase))
    chip.title = c.phase === 'fallback' ? t('live.fallback.hint') : ''
    limited.hidden = !c.degraded
    setText(pauseButton, t(c.paused ? 'live.resume' : 'live.pause'))
    pauseButton.setAttribute('aria-keyshortcuts', 'p')
    const justBack = (c.phase === 'live' || c.phase === 'fallback') && c.restored !== null && Date.now() - c.restored.at < 8_000 ? c.restored : null
    banner.hidden = header.hidden || !(broken || c.paused || justBack)
    banner.className = 'banner ' + (c.phase === 'lost' ? 'lost' : broken ? 'broken' : c.paused ? 'paused' : 'back')
    bannerButton.hidden = !(broken || c.paused)
    if (broken) {
      const wait = c.nextAt - Date.now()
      const n = c.attempt + (c.nextAt ? 1 : 0)
      const until = wait > 0 ? duration(Math.ceil(wait / 1000) * 1000) : t('time.now')
      setText(bannerText, c.phase === 'lost' ? t('live.banner.lost', { since: duration(Date.now() - c.heardAt), n, t: until })
        : wait > 0 ? t('live.banner', { n, t: until }) : t('live.banner.now', { n }))
      setText(bannerMore, c.asOf ? t('live.asof', { time: moment(c.asOf) }) : t('live.nodata'))
      setText(bannerButton, t('live.retry'))
      bannerButton.onclick = retryNow
    } else if (c.paused) {
      setText(bannerText, t('live.paused.banner', { time: time(c.paused.since), n: c.paused.count }))
      setText(bannerMore, '')
      setText(bannerButton, t('live.resume'))
      bannerButton.onclick = togglePause
    } else if (justBack) {
      setText(bannerText, t('live.back', { t: duration(justBack.missing) }))
      setText(bannerMore, '')
    }
    const state = broken || c.paused ? c.phase : justBack ? 'back' : ''
    if (state !== spokenPhase) {
      spokenPhase = state
      setText(spoken, state === '' ? '' : `${bannerText.textContent} ${bannerMore.textContent}`)
    }
    if (broken || c.paused || justBack) timer = setTimeout(show, 500)
  }
  connection.subscribe(show)
  relabel()

  let first = true
  return {
    screen,
    relabel,
    /** @param {import('./session.js').Session | null} session */
    session(session) {
      header.hidden = session === null
      document.body.classList.toggle('alone', session === null)
      who.textContent = session?.user ?? ''
      show()
    },
    /**
     * Called by the router when a screen is there.
     * @param {string} path
     * @param {unknown} failed
     */
    shown(path, failed) {
      for (const l of links) {
        if (l.match.test(path)) l.link.setAttribute('aria-current', 'page')
        else l.link.removeAttribute('aria-current')
      }
      if (failed) replace(screen, failedScreen(failed))
      const heading = screen.querySelector('h1')
      document.title = heading ? `${heading.textContent} · telemetry-hub` : 'telemetry-hub'
      if (!first && !screen.contains(document.activeElement)) {
        heading?.setAttribute('tabindex', '-1')
        heading?.focus({ preventScroll: true })
      }
      first = false
    },
  }
}

/**
 * Has it said how many devices have fallen silent, at most every five seconds.
 * @param {HTMLElement} element
 */
function sayChanges(element) {
  /** @type {Record<string, number> | null} */
  let said = null
  let at = 0
  hub.subscribe((state) => {
    if (state === null || Date.now() - at < 5_000) return
    at = Date.now()
    const parts = []
    for (const kind of ['offline', 'stale']) {
      const more = state.counts[kind] - (said?.[kind] ?? state.counts[kind])
      if (more > 0) parts.push(t('spoken.' + kind, { n: more }))
    }
    said = state.counts
    if (parts.length > 0) setText(element, parts.join('. '))
  })
}

/** @param {unknown} failed */
function failedScreen(failed) {
  const lost = failed instanceof Error && failed.message === 'not found'
  return h('div', { class: 'empty' },
    h('h1', { text: t(lost ? 'app.notfound' : 'app.failed') }),
    h('p', { text: lost ? t('app.notfound.hint') : String(failed) }),
    lost ? h('a', { class: 'button', href: '/', text: t('app.home') })
      : h('button', { type: 'button', text: t('app.retry'), on: { click: () => location.reload() } }))
}

function logo() {
  return svg('svg', { class: 'logo', viewBox: '0 0 16 16', 'aria-hidden': 'true' },
    svg('rect', { width: 16, height: 16, rx: 3 }), svg('path', { d: 'M2 9h3l2-5 3 8 1.5-3H14' }))
}
