import type { Labels } from '../core/alert.ts'

/*
 * FNV-1a with 64 bits, in two halves of 32 because numbers hold 53 bits exactly and BigInt is slow. Offset basis and prime:
 * the FNV specification (0xcbf29ce484222325, 2^40 + 0x1b3).
 */
const SEPARATOR = 0xff

/**
 * Fingerprint of a label set as Prometheus and Alertmanager compute it: FNV-1a over name, 0xFF, value, 0xFF of every label
 * in order of the names' bytes.
 * @returns 16 hex digits
 */
export function fingerprintOf(labels: Labels): string {
  let high = 0xcbf29ce4
  let low = 0x84222325
  const add = (byte: number) => {
    low = (low ^ byte) >>> 0
    const product = low * 0x1b3
    high = (Math.imul(high, 0x1b3) + Math.floor(product / 2 ** 32) + (low << 8)) >>> 0
    low = product >>> 0
  }
  const pairs = Object.entries(labels).map(([name, value]) => ({ name: Buffer.from(name), value: Buffer.from(value) }))
  for (const { name, value } of pairs.sort((a, b) => Buffer.compare(a.name, b.name))) {
    for (const byte of name) add(byte)
    add(SEPARATOR)
    for (const byte of value) add(byte)
    add(SEPARATOR)
  }
  return high.toString(16).padStart(8, '0') + low.toString(16).padStart(8, '0')
}
