import { isAlias, isMap, isScalar, isSeq, parseAllDocuments } from 'yaml'
import { ClawError } from '../../core/errors.ts'

/** Where a ConfigMap holds the weight: characters `start` to `end` of `data[key]`. `weight` in percent. */
export type Place = { key: string; start: number; end: number; weight: number }

/** A number, perhaps quoted, perhaps with a percent sign. */
const NUMBER = /^\s*(["']?)(\d+(?:\.\d+)?)\s*%?\1\s*$/d

/**
 * Finds the weight. `path` is a key of `data` whose whole value is the number, or such a key and, after a dot, a path inside
 * the YAML or JSON document that it holds (`policy.yaml.canary.weight`, list indices as digits).
 * @throws ClawError('not_found') when the key or the path is not there; ClawError('invalid') when no number stands there
 */
export function findWeight(data: Readonly<Record<string, string>>, path: string, where: string): Place {
  const plain = data[path]
  if (plain !== undefined) return numberAt(plain, 0, path, path, where)
  // keys may hold dots themselves: the longest one counts
  const key = Object.keys(data)
    .filter((name) => path.startsWith(`${name}.`))
    .sort((a, b) => b.length - a.length)[0]
  const text = key === undefined ? undefined : data[key]
  if (key === undefined || text === undefined) {
    const keys = Object.keys(data).sort().join(', ') || 'none'
    throw new ClawError('not_found', `${where} has no key ${path} (its keys: ${keys}); check kubernetes.config_map.key`)
  }
  const [start, end] = rangeInside(text, path.slice(key.length + 1).split('.'), path, where)
  return numberAt(text.slice(start, end), start, key, path, where)
}

/** `text` with the weight at `place` replaced, everything else byte for byte as it was. */
export function withWeight(text: string, place: Place, weight: number): string {
  return `${text.slice(0, place.start)}${weight}${text.slice(place.end)}`
}

function numberAt(text: string, offset: number, key: string, path: string, where: string): Place {
  const match = NUMBER.exec(text)
  const digits = match?.indices?.[2]
  if (digits === undefined) throw new ClawError('invalid', `${where}: ${path} is not a number of percent`)
  return { key, start: offset + digits[0], end: offset + digits[1], weight: Number(match?.[2]) }
}

/** JSON is read as the YAML that it is. */
function rangeInside(text: string, names: string[], path: string, where: string): [number, number] {
  const documents = parseAllDocuments(text)
  const [document] = documents
  if (document === undefined || documents.length !== 1 || document.errors.length > 0) {
    throw new ClawError('invalid', `${where}: what holds ${path} is not one YAML or JSON document`)
  }
  let node: unknown = document.contents
  for (const name of names)
    node = isMap(node) ? node.get(name, true) : isSeq(node) ? node.get(index(name), true) : undefined
  if (node === undefined || node === null) throw new ClawError('not_found', `${where} has no ${path}`)
  // a change there would change other places as well
  if (isAlias(node) || (isScalar(node) && node.anchor)) {
    throw new ClawError('invalid', `${where}: ${path} is shared by a YAML anchor; give it a number of its own`)
  }
  if (!isScalar(node) || !node.range) throw new ClawError('invalid', `${where}: ${path} is not a number of percent`)
  return [node.range[0], node.range[1]]
}

function index(name: string): number {
  return /^\d+$/.test(name) ? Number(name) : -1
}
