// Puts the page together: language, session, frame, screens.
import { whenExpired } from './api.js'
import { h, replace } from './dom.js'
import { buildFrame } from './frame.js'
import { onLanguage, preferredLanguage, setLanguage, t } from './i18n.js'
import { listenToKeys } from './keys.js'
import * as live from './live.js'
import { navigate, reload, route, start } from './router.js'
import { current, load } from './session.js'
import { settings } from './settings.js'

route('/', () => import('./screens/overview.js'))
route('/devices', () => import('./screens/devices.js'))
route('/devices/{id}', () => import('./screens/device.js'))
route('/commands', () => import('./screens/commands.js'))
route('/add', () => import('./screens/add.js'))
route('/hub', () => import('./screens/hub.js'))
route('/settings', () => import('./screens/settings.js'))
route('/login', () => import('./screens/login.js'))
route('/setup', () => import('./screens/setup.js'))

/** Screens that need no session. */
const open = ['/login', '/setup']

await setLanguage(preferredLanguage())
settings.subscribe((s) => {
  const { dataset } = document.documentElement
  if (s.theme === 'light' || s.theme === 'dark') dataset.theme = s.theme
  else delete dataset.theme
})

whenExpired(async () => (await import('./loginform.js')).ask(current.get()?.user ?? ''))

const frame = buildFrame()
current.subscribe((session) => {
  frame.session(session)
  if (session !== null) live.start()
})

/** Waits for the hub if it must, and goes where there is something to do. */
async function begin() {
  for (let pause = 500; ; pause = Math.min(pause * 2, 10_000)) {
    const found = await load()
    if (found === 'ok') break
    if (found !== 'down') {
      if (!open.includes(location.pathname)) {
        const to = location.pathname + location.search
        history.replaceState(null, '', found === 'setup' ? '/setup' : '/login' + (to === '/' ? '' : '?to=' + encodeURIComponent(to)))
      } else if (found === 'setup' && location.pathname === '/login') history.replaceState(null, '', '/setup')
      break
    }
    replace(frame.screen, h('div', { class: 'empty', role: 'status' }, h('h1', { text: t('app.noanswer') }), h('p', { text: t('live.connecting') })))
    await new Promise((resolve) => setTimeout(resolve, pause))
  }
  replace(frame.screen)
  start(frame.screen, frame.shown)
}

listenToKeys(navigate)
onLanguage(() => {
  frame.relabel()
  reload()
})
await begin()
