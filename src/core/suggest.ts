/** The name among `known` that `given` was probably meant to be; null when none is near. */
export function nearest(given: string, known: Iterable<string>): string | null {
  let best: string | null = null
  let least = Math.floor(Math.min(given.length, 24) / 3) + 1
  for (const name of known) {
    const distance = editDistance(given.toLowerCase().slice(0, 64), name.toLowerCase().slice(0, 64))
    if (distance < least || (distance === least && best === null && distance <= 1)) {
      best = name
      least = distance
    }
  }
  return best
}

/** `; did you mean "x"?` when one of `known` is near `given`, else ''. */
export function suggestion(given: string, known: Iterable<string>): string {
  const best = nearest(given, known)
  return best === null ? '' : `; did you mean "${best}"?`
}

/** Insertions, deletions, replacements and swaps of neighbours (optimal string alignment). */
function editDistance(a: string, b: string): number {
  let before: number[] = []
  let previous = Array.from({ length: b.length + 1 }, (_, n) => n)
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1]
      let cost = Math.min((previous[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1, (previous[j - 1] ?? 0) + (same ? 0 : 1))
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1])
        cost = Math.min(cost, (before[j - 2] ?? 0) + 1)
      row.push(cost)
    }
    before = previous
    previous = row
  }
  return previous[b.length] ?? 0
}
