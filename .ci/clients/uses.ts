// What a script in TypeScript writes with the types that are made of the document: it compiles, or they are of no use.
import type { components, operations, paths } from './api'

type Device = components['schemas']['Device']
type Answer = paths['/devices']['get']['responses'][200]['content']['application/json']

export function offline(page: Answer): Device[] {
  return page.devices.filter((d) => d.state === 'offline' && !d.presence.connected)
}

export const command: operations['sendCommand']['requestBody']['content']['application/json'] = {
  id: '0193f05e-7a10-7c2b-9d41-3e88510c6faa', name: 'set_setpoint', args: { celsius: 22 }, ttl_ms: 30000,
}

export const next = (page: components['schemas']['Commands']): string | undefined => page.next

// @ts-expect-error a state that there is not
export const wrong: Device['state'] = 'asleep'
