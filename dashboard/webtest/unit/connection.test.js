import assert from 'node:assert/strict'
import { afterEach, beforeEach, mock, test } from 'node:test'
import { backoff } from '../../web/app/backoff.js'
import { Client } from '../../web/app/connection.js'

const start = 1_700_000_000_000

/** A way to the hub that does what the test says. */
class Link {
  constructor(events) {
    this.events = events
    this.subs = new Map()
    this.closed = false
  }

  subscribe(id, destination, params) { this.subs.set(id, { destination, params }) }

  unsubscribe(id) { this.subs.delete(id) }

  close() { this.closed = true }

  /** Sends a message to every subscription of a destination. */
  say(destination, body = {}, headers = {}) {
    for (const [id, s] of this.subs) {
      if (s.destination === destination) this.events.message(id, { epoch: 'e', offset: '7', ...headers }, JSON.stringify({ now: Date.now(), ...body }))
    }
  }

  hub() { this.say('/topic/hub') }
}

let sockets, streams, client, answer, logins, loggedIn

beforeEach(() => {
  mock.timers.enable({ apis: ['setInterval', 'setTimeout', 'Date'], now: start })
  mock.method(Math, 'random', () => 0.5)
  sockets = []
  streams = []
  answer = 'down'
  logins = 0
  client = new Client({
    socket: (events) => { sockets.push(new Link(events)); return sockets.at(-1) },
    stream: (events) => { streams.push(new Link(events)); return streams.at(-1) },
    probe: async () => answer,
    expired: () => { logins++; return new Promise((resolve) => { loggedIn = resolve }) },
  })
  client.subscribe('/topic/hub', {}, () => {})
  client.start()
})

afterEach(() => {
  client.stop()
  mock.timers.reset()
  mock.restoreAll()
})

const phase = () => client.connection.get().phase
const settled = async () => { for (let i = 0; i < 10; i++) await Promise.resolve() }

/** Lets time pass in small steps; the hub speaks each second on what is given. */
function pass(ms, link) {
  for (let i = 0; i < ms; i += 250) {
    mock.timers.tick(250)
    if (link && Date.now() % 1000 === 0) link.hub()
  }
}

/** Connects the socket that is tried, or the next one. */
function connect(meanwhile) {
  while (sockets.at(-1).closed) pass(250, meanwhile)
  const s = sockets.at(-1)
  s.events.opened()
  s.hub()
  return s
}

test('waiting grows to a limit and is never the same for all', () => {
  assert.deepEqual([1, 2, 3, 4, 20, 2000].map((n) => backoff(n, () => 0.999999)), [499, 999, 1999, 3999, 29999, 29999])
  assert.equal(backoff(5, () => 0), 0)
})

test('live as long as the hub speaks', () => {
  assert.equal(phase(), 'connecting')
  const s = connect()
  assert.equal(phase(), 'live')
  pass(30_000, s)
  assert.equal(phase(), 'live')
  assert.equal(sockets.length, 1)
})

test('an open connection that says nothing is not live', () => {
  const s = connect()
  pass(2_250)
  assert.equal(phase(), 'live')
  pass(500)
  assert.equal(phase(), 'reconnecting')
  assert.equal(client.connection.get().asOf, start)
  s.hub()
  assert.equal(phase(), 'live')
  pass(8_000)
  assert.ok(s.closed, 'it is given up')
  assert.ok(sockets.length > 1)
})

test('a closed connection shows within three seconds, but a blip does not', () => {
  connect().events.over(false)
  assert.equal(phase(), 'live')
  pass(750)
  assert.equal(phase(), 'live')
  pass(750)
  assert.equal(phase(), 'reconnecting')
})

test('subscriptions go on where they were, and the outage is told', () => {
  const got = []
  const sub = client.subscribe('/topic/devices', { q: '', first: 0, sort: undefined }, (body, meta) => got.push(meta))
  const s = connect()
  s.say('/topic/devices', { kind: 'snapshot' })
  s.events.over(false)
  pass(5_000)
  const next = connect()
  assert.deepEqual([...next.subs.values()], [
    { destination: '/topic/hub', params: { epoch: 'e', offset: '7' } },
    { destination: '/topic/devices', params: { first: '0', epoch: 'e', offset: '7' } },
  ])
  assert.equal(phase(), 'live')
  assert.equal(client.connection.get().restored.missing, 5_000)
  next.say('/topic/devices', { kind: 'update' }, { resumed: 'false', missed: 'unknown' })
  assert.deepEqual(got.map((m) => [m.snapshot, m.resumed, m.missed]), [[true, null, 0], [false, false, -1]])
  sub.update({ first: 50 })
  assert.deepEqual([...next.subs.values()].at(-1), { destination: '/topic/devices', params: { first: '50' } })
  sub.close()
  assert.equal(next.subs.size, 1)
})

test('lost after a minute, and never given up', () => {
  connect().events.over(false)
  for (let i = 0; i < 65_000 / 250; i++) {
    pass(250)
    for (const link of [...sockets, ...streams]) if (!link.closed) link.events.over(false)
  }
  assert.equal(phase(), 'lost')
  const tries = sockets.length
  pass(40_000)
  assert.ok(sockets.length > tries)
  connect()
  assert.equal(phase(), 'live')
})

test('without a WebSocket for five seconds, server-sent events do it until there is one', () => {
  pass(5_000)
  assert.equal(streams.length, 1)
  streams[0].events.opened()
  streams[0].hub()
  assert.equal(phase(), 'fallback')
  pass(20_000, streams[0])
  assert.equal(phase(), 'fallback')
  assert.ok(sockets.length > 2, 'the WebSocket is still tried')
  const s = connect(streams[0])
  assert.equal(phase(), 'live')
  assert.ok(streams[0].closed && !s.closed)
  assert.equal(s.subs.size, 1)
})

test('a hub that is back by server-sent events is asked for a WebSocket at once', () => {
  connect().events.over(false)
  while (streams.length === 0 || streams.at(-1).closed || !sockets.at(-1).closed) {
    pass(250)
    if (!sockets.at(-1).closed) sockets.at(-1).events.over(false)
  }
  const tries = sockets.length
  streams.at(-1).events.opened()
  streams.at(-1).hub()
  assert.equal(phase(), 'fallback')
  pass(250)
  assert.equal(sockets.length, tries + 1)
})

test('an ended session asks for a login and then goes on', async () => {
  const s = connect()
  answer = 'login'
  s.events.over(true)
  await settled()
  assert.equal(phase(), 'expired')
  pass(120_000)
  assert.deepEqual([logins, sockets.length], [1, 1])
  answer = 'ok'
  loggedIn()
  await settled()
  assert.equal(sockets.length, 2)
  connect()
  assert.equal(phase(), 'live')
})

test('a hub that is away does not end the session', async () => {
  connect().events.over(true)
  await settled()
  assert.equal(logins, 0)
})

test('a subscription that the hub refuses is not tried for ever', () => {
  client.subscribe('/topic/nothing', {}, () => {})
  const s = connect()
  const [id] = [...s.subs].find(([, sub]) => sub.destination === '/topic/nothing')
  s.events.over(true, id)
  pass(2_000)
  assert.deepEqual([...connect().subs.values()].map((sub) => sub.destination), ['/topic/hub'])
})

test('paused: what comes waits, and then comes in order', () => {
  const got = []
  client.subscribe('/topic/devices', {}, (body) => got.push(body.n))
  const s = connect()
  s.say('/topic/devices', { n: 1 })
  client.pause()
  assert.equal(phase(), 'paused')
  for (const n of [2, 3]) s.say('/topic/devices', { n })
  assert.deepEqual(got, [1])
  pass(250)
  assert.equal(client.connection.get().paused.count, 2)
  client.resume()
  assert.deepEqual(got, [1, 2, 3])
  assert.equal(phase(), 'live')
})

test('paused: what is urgent comes all the same', () => {
  const got = []
  client.subscribe('/topic/devices/a/commands', {}, (body) => got.push(body.n), true)
  const s = connect()
  client.pause()
  s.say('/topic/devices/a/commands', { n: 1 })
  assert.deepEqual(got, [1])
  assert.equal(client.connection.get().paused.count, 0)
})

test('what is sent goes over the present connection, if that can', async () => {
  assert.equal(client.send('/app/a', { n: 1 }, 'r'), null, 'there is none')
  const sent = []
  const s = connect()
  assert.equal(client.send('/app/a', { n: 1 }, 'r'), null, 'it can only receive')
  s.send = async (...args) => { sent.push(args) }
  await client.send('/app/a', { n: 1 }, 'r')
  assert.deepEqual(sent, [['/app/a', '{"n":1}', 'r']])
})

test('paused for too long: the present state is asked for instead', () => {
  const got = []
  client.subscribe('/topic/devices', {}, (body) => got.push(body.n))
  const s = connect()
  client.pause()
  const long = 'x'.repeat(1 << 20)
  for (let n = 0; n < 6; n++) s.say('/topic/devices', { n, long })
  assert.deepEqual(got, [])
  client.resume()
  assert.deepEqual([...s.subs.values()], [{ destination: '/topic/hub', params: {} }, { destination: '/topic/devices', params: {} }])
  s.say('/topic/devices', { n: 7 })
  assert.deepEqual(got, [7])
})

test('a pause does not hide that the hub is gone', () => {
  connect()
  client.pause()
  pass(3_000)
  assert.equal(phase(), 'reconnecting')
})

test('messages left out by the hub are said', () => {
  const s = connect()
  s.say('/topic/hub', {}, { dropped: '3' })
  pass(250)
  assert.equal(client.connection.get().degraded, true)
  pass(11_000, s)
  assert.equal(client.connection.get().degraded, false)
})

test('retry now, at most once a second', () => {
  connect().events.over(false)
  pass(1_500)
  const before = sockets.length
  for (let i = 0; i < 5; i++) client.retryNow()
  assert.equal(sockets.length, before + 1)
  pass(1_000)
  client.retryNow()
  assert.ok(sockets.length >= before + 2)
})

test('after the machine has slept, the hub gets a moment to speak', () => {
  const s = connect()
  mock.timers.setTime(start + 3_600_000)
  mock.timers.tick(250)
  assert.notEqual(phase(), 'reconnecting')
  s.hub()
  assert.equal(phase(), 'live')
})
