// A STOMP client that knows nothing of this hub: @stomp/stompjs as it is published, in Node.
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { after, before, test } from 'node:test'
import { Client } from '@stomp/stompjs'
import { WebSocket } from 'ws'
import { Hub, until } from '../harness.mjs'

let hub, sim, key
before(async () => {
  hub = await Hub.start()
  sim = hub.simulate(await hub.devices(['room-1']), 1, '--profile', 'office')
  key = (await hub.cli('apikey', 'add', 'script', '--role', 'operator')).trim()
})
after(async () => { await sim?.stop(); await hub?.stop() })

const connect = (passcode) => new Client({
  webSocketFactory: () => new WebSocket(hub.url.replace('https', 'wss') + '/v1/live', ['v12.stomp', 'v11.stomp', 'v10.stomp'], { rejectUnauthorized: false }),
  connectHeaders: { login: 'script', passcode }, reconnectDelay: 0, heartbeatIncoming: 1000, heartbeatOutgoing: 1000,
})

test('subscribes, is kept up to date, sends a command, leaves', async () => {
  const client = connect(key)
  const devices = [], commands = [], receipts = []
  client.onConnect = () => {
    client.subscribe('/topic/devices', (m) => devices.push({ headers: m.headers, body: JSON.parse(m.body) }))
    client.subscribe('/topic/devices/room-1/commands', (m) => commands.push(JSON.parse(m.body)))
  }
  client.activate()
  await until('a snapshot, and what changed since', () => devices.some((m) => m.body.kind === 'snapshot') && devices.some((m) => m.body.kind === 'update' && m.body.rows.length > 0))
  assert.equal(devices[0].body.kind, 'snapshot')
  const [first, second] = devices
  assert.equal(first.headers.epoch, second.headers.epoch)
  assert.ok(Number(second.headers.offset) > Number(first.headers.offset))

  const id = randomUUID()
  client.watchForReceipt('given', () => receipts.push('given'))
  client.publish({ destination: '/app/devices/room-1/commands', headers: { receipt: 'given' }, body: JSON.stringify({ id, name: 'blink', args: {}, ttl_ms: 30_000 }) })
  await until('the receipt', () => receipts.length === 1)
  await until('the result', () => commands.some((m) => m.commands?.some((c) => c.id === id && c.state === 'succeeded')))

  const heard = devices.length
  await until('heart-beats and messages go on', () => devices.length > heard + 3)
  await client.deactivate() // waits for the receipt of DISCONNECT
  assert.equal(client.connected, false)
})

test('goes on where it was, and is told whether it missed anything', async () => {
  const messages = []
  const once = async (headers) => {
    const client = connect(key)
    client.onConnect = () => client.subscribe('/topic/hub', (m) => messages.push(m), headers)
    const before = messages.length
    client.activate()
    await until('a message', () => messages.length > before)
    await client.deactivate()
    return messages[before].headers
  }
  const { epoch, offset } = await once({})
  assert.equal((await once({ epoch, offset })).resumed, 'true')
  assert.equal((await once({ epoch: 'of-another-hub', offset })).resumed, 'false')
})

test('with a wrong key it is told so, once', async () => {
  const client = connect('thk_wrong')
  let told
  client.onStompError = (frame) => { told = frame }
  client.activate()
  await until('an error', () => told)
  assert.ok(told.headers.message)
  await client.deactivate()
})
