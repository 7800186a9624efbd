/**
 * What an element can have below it. Text becomes a text node, never HTML.
 * @typedef {Node | string | number | null | undefined | false | Child[]} Child
 */

/**
 * `class`, `text` (the element's whole text), `dataset`, `on` (listeners by event), `style` (custom properties and the like);
 * `value`, `checked` and `selected` are properties; everything else is an attribute: true gives it, false, null and undefined leave it out.
 * @typedef {{class?: string, text?: string | number, dataset?: Record<string, string | number>, style?: Record<string, string>,
 *   on?: Record<string, (event: any) => void>, [attribute: string]: any}} Props
 */

/**
 * A text as it may stand on the page: characters that change the direction of what comes after them, or that nobody sees, are
 * written out as the command line does. Names, labels and messages come from devices, and could else be made to read otherwise.
 * @param {string} text
 */
export function visible(text) {
  return text.replace(/[\0-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g, (c) => {
    const code = c.charCodeAt(0)
    return code < 0x80 ? '\\x' + code.toString(16).padStart(2, '0') : '\\u' + code.toString(16).padStart(4, '0')
  })
}

const properties = new Set(['value', 'checked', 'selected'])
const svgNamespace = 'http://www.w3.org/2000/svg'

/**
 * @param {Element} element
 * @param {Props | null | undefined} props
 * @param {Child[]} children
 */
function fill(element, props, children) {
  for (const [name, value] of Object.entries(props ?? {})) {
    if (value === null || value === undefined || value === false) continue
    if (name === 'class') element.setAttribute('class', value)
    else if (name === 'text') element.textContent = visible(String(value))
    else if (name === 'dataset') for (const [k, v] of Object.entries(value)) /** @type {HTMLElement} */ (element).dataset[k] = String(v)
    else if (name === 'style') for (const [k, v] of Object.entries(value)) /** @type {HTMLElement} */ (element).style.setProperty(k, String(v))
    else if (name === 'on') for (const [k, f] of Object.entries(value)) element.addEventListener(k, /** @type {EventListener} */ (f))
    else if (properties.has(name)) /** @type {any} */ (element)[name] = value
    else element.setAttribute(name, value === true ? '' : String(value))
  }
  append(element, children)
}

/**
 * @param {Element} element
 * @param {Child} child
 */
function append(element, child) {
  if (Array.isArray(child)) for (const c of child) append(element, c)
  else if (child !== null && child !== undefined && child !== false) element.append(typeof child === 'object' ? child : visible(String(child)))
}

/**
 * Makes an HTML element.
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag
 * @param {Props | null} [props]
 * @param {...Child} children
 * @returns {HTMLElementTagNameMap[K]}
 */
export function h(tag, props, ...children) {
  const element = document.createElement(tag)
  fill(element, props, children)
  return element
}

/**
 * Makes an SVG element.
 * @template {keyof SVGElementTagNameMap} K
 * @param {K} tag
 * @param {Props | null} [props]
 * @param {...Child} children
 * @returns {SVGElementTagNameMap[K]}
 */
export function svg(tag, props, ...children) {
  const element = document.createElementNS(svgNamespace, tag)
  fill(element, props, children)
  return element
}

/**
 * Gives parent these children instead of those it has.
 * @param {Element} parent
 * @param {...Child} children
 */
export function replace(parent, ...children) {
  parent.replaceChildren()
  append(parent, children)
}

/**
 * Sets an element's text if it differs, so that nothing is laid out again for nothing.
 * @param {Node} node
 * @param {string} text
 */
export function setText(node, text) {
  const shown = visible(text)
  if (node.textContent !== shown) node.textContent = shown
}
