import { safeUrl } from './text.js'

const SVG = 'http://www.w3.org/2000/svg'

/**
 * Brings the children of an element in step with a list of nodes. What is the same stays the same element, so that nothing
 * typed, no focus and no scroll position gets lost. Text only ever becomes text; there is no way to pass markup.
 */
export function patch(parent, children) {
  const wanted = new Set(
    children.flatMap((child) => (typeof child === 'object' && child.key !== null ? [child.key] : [])),
  )
  const keyed = new Map()
  for (const node of [...parent.childNodes]) {
    const key = node.clawKey ?? null
    if (key === null) continue
    if (wanted.has(key)) keyed.set(key, node)
    else node.remove()
  }
  let cursor = parent.firstChild
  for (const child of children) {
    const node = matching(child, cursor, keyed) ?? create(child, parent)
    if (node === cursor) cursor = cursor.nextSibling
    else parent.insertBefore(node, cursor)
    update(node, child)
  }
  while (cursor) {
    const next = cursor.nextSibling
    cursor.remove()
    cursor = next
  }
}

function matching(child, cursor, keyed) {
  if (typeof child === 'string') return cursor?.nodeType === Node.TEXT_NODE ? cursor : null
  const node = child.key === null ? cursor : keyed.get(child.key)
  if (!node || node.nodeType !== Node.ELEMENT_NODE || (node.clawKey ?? null) !== child.key) return null
  return node.localName === child.tag ? node : null
}

function create(child, parent) {
  if (typeof child === 'string') return document.createTextNode(child)
  const svg = child.tag === 'svg' || (parent.namespaceURI === SVG && parent.localName !== 'foreignObject')
  const element = svg ? document.createElementNS(SVG, child.tag) : document.createElement(child.tag)
  if (child.key !== null) element.clawKey = child.key
  const { value, mounted } = child.props
  // Once: afterwards it belongs to whoever types.
  if (value !== undefined) element.value = value
  if (mounted) queueMicrotask(() => mounted(element))
  return element
}

function update(node, child) {
  if (typeof child === 'string') {
    if (node.data !== child) node.data = child
    return
  }
  const before = node.clawProps ?? {}
  for (const name of Object.keys(before)) if (!(name in child.props)) set(node, name, undefined)
  for (const [name, value] of Object.entries(child.props)) {
    if (before[name] !== value || name === 'css') set(node, name, value)
  }
  node.clawProps = child.props
  patch(node, child.children)
}

function set(node, name, value) {
  if (name === 'value' || name === 'mounted') return
  if (name.startsWith('on')) node[name] = value ?? null
  else if (name === 'css')
    for (const [property, one] of Object.entries(value ?? {})) node.style.setProperty(property, one)
  else if (name === 'selected' || name === 'checked' || name === 'disabled' || name === 'open')
    node[name] = value === true
  else if (value === undefined || value === null || value === false) node.removeAttribute(name)
  else if (name === 'href' && safeUrl(value) === null && !/^[#/](?!\/)/.test(value)) node.removeAttribute(name)
  else node.setAttribute(name, value === true ? '' : String(value))
}
