/** Middle value; the mean of the two middle ones for an even number. NaN for none. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  const upper = sorted[middle] ?? Number.NaN
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2
}

/** Nearest-rank percentile, `p` in 0..100. NaN for none. */
export function percentile(values: readonly number[], p: number): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.max(0, Math.ceil((p / 100) * sorted.length) - 1)] ?? Number.NaN
}

/** `12 345`, `12.3`, `0.123`: three significant digits or whole numbers. */
export function shown(value: number): string {
  if (!Number.isFinite(value)) return '-'
  if (Math.abs(value) < 1000) return String(Number(value.toPrecision(3)))
  return String(Math.round(value)).replace(/\B(?=(\d{3})+$)/g, ' ')
}

/** One line of the final table. */
export type Row = {
  name: string
  claw: string
  reference: string
  ratio: number | null
  goal: string
  /** null: nothing to compare with, or skipped */
  met: boolean | null
}

/** The table as text, columns aligned. */
export function table(rows: readonly Row[]): string {
  const cells = [
    ['benchmark', 'Claw', 'reference', 'ratio', 'goal', ''],
    ...rows.map(({ name, claw, reference, ratio, goal, met }) => [
      name,
      claw,
      reference,
      ratio === null ? '' : ratio.toFixed(2),
      goal,
      met === null ? '-' : met ? 'met' : 'NOT MET',
    ]),
  ]
  const widths = (cells[0] ?? []).map((_, column) => Math.max(...cells.map((row) => (row[column] ?? '').length)))
  return cells
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}
