export type Variable = { name: string; values: readonly (number | null)[] }

export type Cell = {
  /** Pearson's coefficient, -1..1; null when too little is known, or one of the two never changes */
  r: number | null
  /** `+0.82` */
  text: string
  /** the same in words */
  word: string
  /** -3 strongly against … 3 strongly with; 0 none */
  step: number
}

/** Fewer pairs than this say nothing. */
const ENOUGH = 8

/** A symmetric matrix: each variable against each, over the places where both are known. */
export function correlations(variables: readonly Variable[]): {
  names: string[]
  rows: { name: string; cells: Cell[] }[]
} {
  return {
    names: variables.map(({ name }) => name),
    rows: variables.map((one) => ({
      name: one.name,
      cells: variables.map((other) => cellOf(pearson(one.values, other.values))),
    })),
  }
}

/** Pearson's correlation coefficient of two lists of equal length; null when it cannot be told. */
export function pearson(a: readonly (number | null)[], b: readonly (number | null)[]): number | null {
  let n = 0
  let [sumA, sumB] = [0, 0]
  const each = (work: (x: number, y: number) => void) => {
    for (const [i, x] of a.entries()) {
      const y = b[i]
      if (x !== null && y !== null && y !== undefined) work(x, y)
    }
  }
  each((x, y) => {
    n += 1
    sumA += x
    sumB += y
  })
  if (n < ENOUGH) return null
  let [varA, varB, both] = [0, 0, 0]
  each((x, y) => {
    const [dx, dy] = [x - sumA / n, y - sumB / n]
    varA += dx * dx
    varB += dy * dy
    both += dx * dy
  })
  // Rounding alone leaves less than this of figures that never change.
  if (varA <= 1e-18 * n || varB <= 1e-18 * n) return null
  return Math.max(-1, Math.min(1, both / Math.sqrt(varA * varB)))
}

function cellOf(r: number | null): Cell {
  if (r === null) return { r, text: '?', word: 'too little is known', step: 0 }
  const size = Math.abs(r)
  const step = size < 0.2 ? 0 : size < 0.5 ? 1 : size < 0.8 ? 2 : 3
  const strength = ['none', 'weak', 'clear', 'strong'][step] ?? ''
  const direction = step === 0 ? '' : r > 0 ? ', together' : ', opposite'
  return {
    r,
    text: `${r < 0 ? '−' : '+'}${size.toFixed(2)}`,
    word: `${strength}${direction}`,
    step: r < 0 ? -step : step,
  }
}
