import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import test from 'node:test'

const web = path.resolve(import.meta.dirname ?? '.', '../../web')
const app = path.join(web, 'app')
const modules = readdirSync(app, { recursive: true, encoding: 'utf8' }).filter((f) => f.endsWith('.js')).map((f) => path.join(app, f))

/** What a module imports when it is loaded or later; types that a comment imports are nothing to the browser. */
function imports(file) {
  const code = readFileSync(file, 'utf8').replace(/\/\*[\s\S]*?\*\//g, '').replace(/^\s*\/\/.*$/gm, '')
  return [...code.matchAll(/\b(?:from|import)\s*\(?\s*'(\.[^']+)'/g)].map((m) => path.resolve(path.dirname(file), m[1]))
}

/** A path along edges from a node back to itself; null if there is none. */
function circle(edges) {
  const done = new Set()
  const visit = (node, way) => {
    if (way.includes(node)) return [...way.slice(way.indexOf(node)), node]
    if (done.has(node)) return null
    for (const next of edges.get(node) ?? []) {
      const found = visit(next, [...way, node])
      if (found) return found
    }
    done.add(node)
    return null
  }
  for (const node of edges.keys()) {
    const found = visit(node, [])
    if (found) return found
  }
  return null
}

test('a circle is found', () => {
  assert.equal(circle(new Map([['a', ['b', 'c']], ['b', ['c']]])), null)
  assert.deepEqual(circle(new Map([['a', ['b']], ['b', ['c']], ['c', ['d', 'b']]])), ['b', 'c', 'b'])
})

test('no module imports one that imports it', () => {
  const edges = new Map(modules.map((m) => [m, imports(m)]))
  assert.ok(edges.size > 40 && [...edges.values()].flat().length > 200, 'the imports were not found')
  assert.equal(circle(edges)?.map((m) => path.relative(app, m)).join(' → '), undefined)
})
