// Viewers without a browser, as many as wanted, in a process of their own: bench/viewers.mjs starts it.
//
//   node bench/crowd.mjs URL DEVICE VIEWERS DEAF KEY...
//
// Each speaks STOMP over WebSocket and subscribes to the hub's state, to a window of 50 devices and to the readings of
// DEVICE. The first DEAF of them never read a byte after that; whom the hub puts out comes back, and does the same again.
// Runs at the lowest priority, until its standard input ends, and prints once a second, as JSON, what it has seen in all.
import os from 'node:os'
import WebSocket from 'ws'
import { sleep } from './measure.mjs'

const [url, device, viewers, deaf, ...keys] = process.argv.slice(2)
const seen = { open: 0, messages: 0, bytes: 0, putOut: 0, lost: 0, dropped: 0 }

const frame = (command, headers) => `${command}\n${Object.entries(headers).map(([k, v]) => `${k}:${v}`).join('\n')}\n\n\0`

/** Opens one viewer; resolves when it has subscribed. */
function view(n) {
  const deafened = n < Number(deaf)
  const ws = new WebSocket(url, ['v12.stomp'], { rejectUnauthorized: false, perMessageDeflate: false, headers: { Authorization: 'Bearer ' + keys[n % keys.length] } })
  return new Promise((resolve) => {
    let socket
    let timer
    let reading = true
    ws.on('error', () => {}) // 'close' follows
    ws.on('upgrade', (response) => {
      socket = response.socket
      socket.on('close', () => {
        clearInterval(timer)
        resolve()
        if (timer) seen.open--
        if (deafened && timer) seen.putOut++
        else seen.lost++
        setTimeout(() => void view(n), 500)
      })
    })
    ws.on('open', () => ws.send(frame('CONNECT', { 'accept-version': '1.2', host: 'hub', 'heart-beat': '5000,0' })))
    ws.on('message', (data) => {
      seen.messages++
      seen.bytes += data.length
      if (data.includes('\ndropped:')) seen.dropped++
      if (timer || !reading) return
      if (!data.toString().startsWith('CONNECTED')) return
      const first = (n % 10) * 50
      ws.send(frame('SUBSCRIBE', { id: '1', destination: '/topic/hub' }))
      ws.send(frame('SUBSCRIBE', { id: '2', destination: '/topic/devices', sort: 'id', first, count: 50 }))
      ws.send(frame('SUBSCRIBE', { id: '3', destination: `/topic/devices/${device}/readings` }))
      timer = setInterval(() => ws.readyState === WebSocket.OPEN && ws.send('\n'), 4000)
      seen.open++
      resolve()
      if (!deafened) return
      reading = false
      socket.pause()
      ws.pause()
    })
  })
}

os.setPriority(19)
process.stdin.on('end', () => process.exit())
process.stdin.resume()
setInterval(() => console.log(JSON.stringify({ ...seen, cpu: process.cpuUsage().user + process.cpuUsage().system })), 1000)
for (let n = 0; n < Number(viewers); n++) {
  await view(n)
  if (n % 10 === 9) await sleep(20)
}
