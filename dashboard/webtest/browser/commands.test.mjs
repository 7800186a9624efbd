// Commands from the page to the device and back: every state, and what must not happen.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { Browser, Hub, findings, login, picture, until } from '../harness.mjs'

let hub, browser, ada, eve, credentials, sim
before(async () => {
  [hub, browser] = await Promise.all([Hub.start(), Browser.start()])
  ada = await hub.user('ada', 'admin')
  eve = await hub.user('eve', 'viewer')
  credentials = await hub.devices(['room-1', 'room-2'])
  sim = hub.simulate(credentials, 2, '--profile', 'office')
})
after(async () => { await sim?.stop(); await browser?.stop(); await hub?.stop() })

/** Opens a device's screen and waits until it can be told something. */
async function open(device, options, user = ada) {
  const page = await browser.page(options)
  await login(page, hub, user)
  await page.goto(`${hub.url}/devices/${device}`)
  await page.getByRole('form', { name: 'blink' }).waitFor()
  return page
}

const control = (page, name) => page.getByRole('form', { name, exact: true })
const send = (page, name) => control(page, name).getByRole('button').first()
/** The newest command of a name in the list of what was sent. */
const sent = (page, name) => page.locator('.command').filter({ has: page.getByText(name, { exact: true }) }).first()
const state = (page, name, word, timeout = 15_000) => sent(page, name).getByText(word, { exact: true }).waitFor({ timeout })
const records = async (device, name) => JSON.parse(await hub.cli('command', 'list', device, '--format', 'json')).filter((c) => c.name === name)
const connected = (page, is) => page.getByText(/The device is not connected\. A command waits/).waitFor({ state: is ? 'hidden' : 'visible', timeout: 30_000 })

test('a command goes to the device, and each state is seen', async () => {
  const page = await open('room-1')
  await page.evaluate(() => {
    globalThis.seen = []
    new MutationObserver(() => {
      const word = document.querySelector('.command .badge')?.textContent
      if (word && globalThis.seen.at(-1) !== word) globalThis.seen.push(word)
    }).observe(document.body, { subtree: true, childList: true, characterData: true })
  })
  await send(page, 'blink').click()
  await state(page, 'blink', 'Succeeded')
  await sent(page, 'blink').getByText('blinked 3 times').waitFor()
  const seen = await page.evaluate(() => globalThis.seen)
  assert.equal(seen[0], 'Sending', seen.join())
  assert.equal(seen.at(-1), 'Succeeded', seen.join())
  await page.getByRole('log', { name: 'Sent' }).getByText(/blink : Succeeded|blink: Succeeded/).waitFor({ state: 'attached' })

  await send(page, 'fail').click()
  await state(page, 'fail', 'Failed')
  await control(page, 'fail').getByText('failed on purpose').waitFor()
  await page.getByRole('alert').filter({ hasText: /fail.*Failed/ }).waitFor({ state: 'attached' })

  // Twice answered is once done.
  await send(page, 'answer_twice').click()
  await state(page, 'answer_twice', 'Succeeded')
  assert.equal((await records('room-1', 'answer_twice')).length, 1)
  await picture(page, 'commands-states')
  assert.deepEqual(await findings(page), [])
  assert.deepEqual(browser.problems, [])
})

test('what is asked for first: device, value and present value; Enter does not send', async () => {
  const page = await open('room-1')
  await control(page, 'set_setpoint').getByLabel('celsius').fill('40')
  await send(page, 'set_setpoint').click()
  assert.equal(await page.getByRole('alertdialog').count(), 0, 'out of range')
  await control(page, 'set_setpoint').getByLabel('celsius').fill('22')
  await send(page, 'set_setpoint').click()
  const dialog = page.getByRole('alertdialog')
  await dialog.getByText('room-1').waitFor()
  await dialog.getByText(/set_setpoint celsius = 22\s°C/).waitFor()
  assert.deepEqual(await findings(page), [])
  await picture(page, 'commands-ask')
  await page.keyboard.press('Enter')
  await dialog.waitFor({ state: 'hidden' })
  assert.deepEqual(await records('room-1', 'set_setpoint'), [])
  await send(page, 'set_setpoint').click()
  await dialog.getByRole('button', { name: 'Send' }).click()
  await state(page, 'set_setpoint', 'Succeeded')

  // A reboot takes the device's name.
  await send(page, 'reboot').click()
  assert.ok(await dialog.getByRole('button', { name: 'Send' }).isDisabled())
  await dialog.getByLabel('Type room-1 to confirm').fill('room-2')
  assert.ok(await dialog.getByRole('button', { name: 'Send' }).isDisabled())
  await dialog.getByLabel('Type room-1 to confirm').fill('room-1')
  await picture(page, 'commands-typed')
  await dialog.getByRole('button', { name: 'Send' }).click()
  await state(page, 'reboot', 'Succeeded')
  await connected(page, false)
  await connected(page, true)
  assert.deepEqual(browser.problems, [])
})

test('what the hub refuses is said in its words', async () => {
  const page = await open('room-2')
  await control(page, 'set_setpoint').evaluate((form) => { form.noValidate = true })
  await control(page, 'set_setpoint').getByLabel('celsius').fill('40')
  await send(page, 'set_setpoint').click()
  await page.getByRole('alertdialog').getByRole('button', { name: 'Send' }).click()
  await state(page, 'set_setpoint', 'Refused')
  await sent(page, 'set_setpoint').getByText(/celsius.*5.*35/).waitFor()
  assert.deepEqual(await records('room-2', 'set_setpoint'), [])
  assert.deepEqual(browser.problems, [])
})

test('what the hub does not confirm can be sent again, and counts once', async () => {
  const page = await browser.page()
  await page.addInitScript(() => {
    const { send } = WebSocket.prototype
    let lost = 0
    WebSocket.prototype.send = function (data) {
      const text = typeof data === 'string' ? data : new TextDecoder().decode(data)
      if (!text.startsWith('SEND') || lost++ > 1) send.call(this, data)
    }
  })
  await login(page, hub, ada)
  await page.goto(hub.url + '/devices/room-2')
  await send(page, 'never_answer').click()
  await state(page, 'never_answer', 'Not confirmed')
  assert.deepEqual(await records('room-2', 'never_answer'), [])
  await picture(page, 'commands-lost')
  await send(page, 'never_answer').click()
  await state(page, 'never_answer', 'Sending')
  await state(page, 'never_answer', 'Not confirmed')
  assert.equal(await page.locator('.command').filter({ hasText: 'never_answer' }).count(), 1, 'the same is meant')
  await sent(page, 'never_answer').getByRole('button', { name: 'Send again' }).click()
  await state(page, 'never_answer', 'Sent')
  assert.equal((await records('room-2', 'never_answer')).length, 1)
  assert.deepEqual(browser.problems, [])
})

test('a double click sends once', async () => {
  const page = await open('room-2')
  // In one turn: on a busy machine the command may be settled before the next call to the browser.
  await control(page, 'blink').evaluate((form) => {
    const button = form.querySelector('button')
    for (let i = 0; i < 2; i++) button.click()
    for (let i = 0; i < 2; i++) form.requestSubmit()
  })
  await state(page, 'blink', 'Succeeded')
  assert.equal((await records('room-2', 'blink')).length, 1)
})

test('the same order given again counts once, over both ways', async () => {
  const page = await open('room-2')
  const before = (await records('room-2', 'blink')).length
  const answers = await page.evaluate(async () => {
    const order = JSON.stringify({ id: crypto.randomUUID(), name: 'blink', args: {}, ttl_ms: 30_000 })
    const post = () => fetch('/api/v1/devices/room-2/commands?wait=5s', { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: order }).then((r) => r.json())
    const answers = [await post(), await post()]
    const client = new globalThis.StompJs.Client({ brokerURL: location.origin.replace(/^http/, 'ws') + '/v1/live', reconnectDelay: 0 })
    await new Promise((resolve, reject) => {
      client.onStompError = reject
      client.onConnect = () => {
        client.watchForReceipt('again', resolve)
        client.publish({ destination: '/app/devices/room-2/commands', body: order, headers: { receipt: 'again', 'content-type': 'application/json' } })
      }
      client.activate()
    })
    void client.deactivate()
    return answers
  })
  assert.equal(answers[0].state, 'succeeded')
  assert.equal(answers[0].id, answers[1].id)
  assert.equal((await records('room-2', 'blink')).length, before + 1)
})

test('desired beside reported, until the device has it; a refusal is told', async () => {
  const page = await open('room-2')
  const knob = control(page, 'setpoint')
  await knob.getByLabel('Desired value').fill('21.5')
  await send(page, 'setpoint').click()
  const dialog = page.getByRole('alertdialog')
  await dialog.getByText(/setpoint = 21\.5\s°C/).waitFor()
  await dialog.getByRole('button', { name: 'Send' }).click()
  await knob.getByText(/desired 21\.5\s°C · reported 21\.5\s°C/).waitFor()
  await knob.getByText('In sync').waitFor()
  await knob.getByLabel('Desired value').fill('50')
  await send(page, 'setpoint').click()
  await dialog.getByText(/Now/).waitFor()
  await dialog.getByText(/21\.5\s°C/).waitFor()
  await dialog.getByRole('button', { name: 'Send' }).click()
  await knob.getByText(/desired 50\s°C · reported 21\.5\s°C/).waitFor()
  await knob.getByText('Refused').waitFor()
  await knob.getByText('from 5 to 35 °C only').waitFor()
  await picture(page, 'commands-setting')
  await knob.getByRole('button', { name: 'Clear' }).click()
  await knob.getByText(/^reported 21\.5/).waitFor()
  assert.deepEqual(browser.problems, [])
})

test('an offline device: queued and said so, kept over a reload, cancelled, expired without being done, and done on return', async () => {
  const page = await open('room-1')
  // A page that pauses does not see the device go: it looks again before it sends.
  const paused = await open('room-1')
  await paused.getByRole('button', { name: 'Pause' }).click()
  await control(paused, 'set_interval').getByLabel('seconds').fill('2')
  await send(paused, 'set_interval').click()
  await paused.getByRole('alertdialog').getByText('Live', { exact: true }).waitFor()
  await sim.stop()
  await connected(page, false)
  await paused.getByRole('alertdialog').getByRole('button', { name: 'Send' }).click()
  await paused.getByText('The device has connected or disconnected in the meantime. Check again before you send.').waitFor()
  await paused.getByText(/will be queued until it reconnects/).waitFor()
  await paused.getByRole('alertdialog').getByRole('button', { name: 'Cancel' }).click()
  assert.deepEqual(await records('room-1', 'set_interval'), [])
  const dialog = page.getByRole('alertdialog')
  const press = async (name, ttl) => {
    await page.getByLabel('Valid for').selectOption(String(ttl))
    await send(page, name).click()
    await dialog.getByText(/will be queued until it reconnects, and expires at \d\d:\d\d:\d\d/).waitFor()
    await picture(page, 'commands-offline')
    await dialog.getByRole('button', { name: 'Queue' }).click()
    await dialog.waitFor({ state: 'hidden' })
  }
  await press('answer_twice', 300_000)
  await state(page, 'answer_twice', 'Queued')
  await sent(page, 'answer_twice').getByRole('button', { name: 'Cancel' }).click()
  await state(page, 'answer_twice', 'Cancelled')

  await press('blink', 300_000)
  await until('30 s again: a long life is for one command', async () => await page.getByLabel('Valid for').inputValue() === '30000')
  await state(page, 'blink', 'Queued')
  await control(page, 'set_setpoint').getByLabel('celsius').fill('31')
  await press('set_setpoint', 10_000)
  await state(page, 'set_setpoint', 'Queued')
  await page.reload()
  await state(page, 'blink', 'Queued')
  await state(page, 'set_setpoint', 'Queued')
  await state(page, 'set_setpoint', 'Expired', 30_000)
  assert.deepEqual(await findings(page), [])
  sim = hub.simulate(credentials, 2, '--profile', 'office')
  await state(page, 'blink', 'Succeeded', 30_000)
  await connected(page, true)
  await send(page, 'answer_twice').click()
  await state(page, 'answer_twice', 'Succeeded')
  await state(page, 'set_setpoint', 'Expired')
  assert.equal((await page.locator('.metric').filter({ hasText: 'setpoint' }).innerText()).includes('31'), false)
  assert.deepEqual((await records('room-1', 'set_setpoint')).map((c) => c.state)[0], 'expired')
  assert.deepEqual(browser.problems, [])
})

test('no answer in time is unknown, and a late one settles it', async () => {
  const page = await open('room-2')
  await page.getByLabel('Valid for').selectOption('10000')
  await control(page, 'answer_late').getByLabel('seconds').fill('22')
  await send(page, 'answer_late').click()
  await state(page, 'answer_late', 'Sent')
  await state(page, 'answer_late', 'Unknown', 30_000)
  await sent(page, 'answer_late').getByText(/may have been carried out/).waitFor()
  assert.equal(await sent(page, 'answer_late').getByRole('button', { name: 'Send again' }).count(), 0, 'it is not idempotent')
  await sent(page, 'answer_late').getByRole('button', { name: 'Check state' }).click()
  await sent(page, 'answer_late').getByText(/no answer, and the device is connected/).waitFor()
  await picture(page, 'commands-unknown')
  await state(page, 'answer_late', 'Succeeded', 30_000)
  assert.deepEqual(browser.problems, [])
})

test('a device that hangs: unknown, to be sent again if that does no harm; the device drops what is too late', async () => {
  const page = await open('room-2')
  await page.getByLabel('Valid for').selectOption('10000')
  sim.child.kill('SIGSTOP')
  try {
    await send(page, 'blink').click()
    await state(page, 'blink', 'Sent')
    await state(page, 'blink', 'Unknown', 30_000)
    await sent(page, 'blink').getByRole('button', { name: 'Send again' }).waitFor()
  } finally {
    sim.child.kill('SIGCONT')
  }
  await state(page, 'blink', 'Expired', 30_000)
  assert.equal((await records('room-2', 'blink'))[0].state, 'expired')
  assert.deepEqual(browser.problems, [])
})

test('a viewer sees everything and can send nothing, whatever the page is made to do', async () => {
  const page = await open('room-1', {}, eve)
  await page.getByText('only operators can send commands').waitFor()
  assert.ok(await send(page, 'blink').isDisabled())
  const before = (await records('room-1', 'blink')).length
  const [status, error] = await page.evaluate(async () => {
    const order = () => JSON.stringify({ id: crypto.randomUUID(), name: 'blink', args: {}, ttl_ms: 30_000 })
    const post = await fetch('/api/v1/devices/room-1/commands', { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: order() })
    const client = new globalThis.StompJs.Client({ brokerURL: location.origin.replace(/^http/, 'ws') + '/v1/live', reconnectDelay: 0 })
    const error = await new Promise((resolve) => {
      client.onStompError = (frame) => resolve(frame.headers.message)
      client.onConnect = () => {
        client.watchForReceipt('handmade', () => resolve('a receipt'))
        client.publish({ destination: '/app/devices/room-1/commands', body: order(), headers: { receipt: 'handmade', 'content-type': 'application/json' } })
      }
      client.activate()
    })
    void client.deactivate()
    return [post.status, error]
  })
  assert.equal(status, 403)
  assert.match(error, /operator|role|forbidden|allowed/i)
  assert.equal((await records('room-1', 'blink')).length, before)
  await page.goto(hub.url + '/commands')
  await page.getByRole('table').waitFor()
  assert.equal(await page.getByRole('heading', { name: 'Audit trail' }).count(), 0)
  assert.deepEqual(browser.problems, [])
})

test('where WebSockets are blocked, commands go by requests', async () => {
  const page = await browser.page()
  await page.addInitScript(() => {
    globalThis.WebSocket = class extends EventTarget {
      constructor(url) {
        super()
        this.url = url
        this.readyState = 3
        setTimeout(() => { this.onerror?.(new Event('error')); this.onclose?.(new CloseEvent('close', { code: 1006 })) })
      }

      close() {}
    }
  })
  await login(page, hub, ada)
  await page.goto(hub.url + '/devices/room-1')
  await page.getByText('Live by server-sent events').waitFor()
  await send(page, 'blink').click()
  await state(page, 'blink', 'Succeeded')
  await page.getByRole('button', { name: 'Pause' }).click()
  await send(page, 'fail').click()
  await state(page, 'fail', 'Failed')
})

test('all commands on one screen, by device and state; who did what', async () => {
  const page = await browser.page()
  await login(page, hub, ada)
  await page.getByRole('heading', { name: 'Overview' }).waitFor()
  await page.keyboard.press('g')
  await page.keyboard.press('c')
  await page.getByRole('heading', { name: 'Commands' }).waitFor()
  const rows = page.locator('.command-table tbody tr')
  await rows.first().waitFor()
  await page.getByRole('searchbox', { name: 'Device' }).fill('room-2')
  await page.waitForURL(/device=room-2/)
  await until('only room-2', async () => await rows.count() > 0 && await rows.filter({ hasText: 'room-1' }).count() === 0)
  await page.getByRole('combobox', { name: 'State' }).selectOption('succeeded')
  await page.waitForURL(/state=succeeded/)
  await until('only those that succeeded', async () => await rows.count() > 0 && await rows.filter({ hasNotText: 'Succeeded' }).count() === 0)
  await page.reload()
  await until('the same after a reload', async () => await rows.count() > 0 && await rows.filter({ hasText: 'room-1' }).count() === 0)
  await page.getByRole('heading', { name: 'Audit trail' }).waitFor()
  const entry = page.getByRole('row').filter({ hasText: 'command queued' }).filter({ hasText: 'blink' }).first()
  await entry.waitFor()
  assert.match(await entry.innerText(), /ada[\s\S]*127\.0\.0\.1[\s\S]*room-2/)
  await picture(page, 'commands-all')
  assert.deepEqual(await findings(page), [])
  assert.deepEqual(browser.problems, [])
})

test('without the hub nothing can be sent, and says so', async () => {
  const page = await open('room-1', { viewport: { width: 320, height: 640 }, hasTouch: true, isMobile: true, colorScheme: 'dark' })
  await send(page, 'set_setpoint').scrollIntoViewIfNeeded()
  await control(page, 'set_setpoint').getByLabel('celsius').fill('20')
  await send(page, 'set_setpoint').click()
  const dialog = page.getByRole('alertdialog')
  await dialog.waitFor()
  assert.deepEqual(await findings(page), [])
  await picture(page, 'commands-ask-narrow')
  await hub.kill()
  await until('it can no longer be confirmed', () => dialog.getByRole('button', { name: 'Send' }).isDisabled())
  await dialog.getByRole('button', { name: 'Cancel' }).click()
  await page.getByText('Not connected to the hub: nothing can be sent now.').waitFor()
  assert.ok(await send(page, 'blink').isDisabled())
  await picture(page, 'commands-narrow')
  await hub.run()
  await until('it can be sent again', async () => !await send(page, 'blink').isDisabled(), 60_000)
  assert.deepEqual(browser.problems, [])
})
