// The hub minifies its scripts, and minifiers have moved declarations behind their first use. What is served is checked for it.
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdir, readdir, writeFile } from 'node:fs/promises'
import https from 'node:https'
import path from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { Hub } from '../harness.mjs'

const web = fileURLToPath(new URL('../../web/', import.meta.url))
const tsc = fileURLToPath(new URL('../node_modules/typescript/bin/tsc', import.meta.url))
const broken = /error TS(1\d{3}|2300|2448|2449|2451|2454):/

function get(url) {
  return new Promise((resolve, reject) => https.get(url, { rejectUnauthorized: false }, (response) => {
    let text = ''
    response.setEncoding('utf8').on('data', (part) => { text += part }).on('end', () => resolve(text)).on('error', reject)
  }).on('error', reject))
}

const check = (folder) => new Promise((resolve) => execFile(process.execPath, [tsc, '-p', folder], { maxBuffer: 16 << 20 },
  (_, stdout) => resolve(stdout.split('\n').filter((line) => broken.test(line)))))

test('what is served uses nothing before it is declared', async () => {
  const hub = await Hub.start()
  try {
    const [, version] = /\/a\/([0-9a-f]+)\//.exec(await get(hub.url + '/login'))
    const folder = path.join(hub.dir, 'served')
    const names = (await readdir(web, { recursive: true })).filter((name) => name.endsWith('.js') && !name.startsWith('vendor'))
    assert.ok(names.length > 20)
    for (const name of names) {
      await mkdir(path.dirname(path.join(folder, name)), { recursive: true })
      await writeFile(path.join(folder, name), await get(`${hub.url}/a/${version}/${name}`))
    }
    await writeFile(path.join(folder, 'tsconfig.json'), JSON.stringify({
      compilerOptions: { allowJs: true, checkJs: true, noEmit: true, target: 'es2022', module: 'es2022', moduleResolution: 'bundler', lib: ['es2023', 'dom', 'dom.iterable'], types: [] },
      include: ['**/*.js'],
    }))
    assert.deepEqual(await check(folder), [])
    await writeFile(path.join(folder, 'bad.js'), 'const [b] = a, a = [1]\nexport { b }\n')
    assert.notDeepEqual(await check(folder), [], 'the check finds nothing any more')
  } finally {
    await hub.stop()
  }
})
