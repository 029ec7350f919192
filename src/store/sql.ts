/** A value that both databases take as a parameter. Arbitrary strings go in as JSON text, so NUL and lone surrogates survive. */
export type Value = string | number | null

export type Row = Record<string, unknown>

/** One connection's worth of SQL. Statements are written once, with `?` placeholders, for both databases. */
export type Sql = {
  all(text: string, values?: readonly Value[]): Promise<Row[]>
  run(text: string, values?: readonly Value[]): Promise<number>
}

export type Driver = Sql & {
  readonly dialect: 'sqlite' | 'postgres'
  readonly exclusive: boolean
  /** runs `work` alone: no other transaction of any process in between */
  transaction<T>(work: (sql: Sql) => Promise<T>): Promise<T>
  /** schema changes: several statements in one text */
  script(text: string): Promise<void>
  close(): Promise<void>
}

/** `(?,?,?),(?,?,?)…` for `rows` rows of `casts.length` values; a cast names the type where PostgreSQL cannot infer it. */
export function tuples(rows: number, casts: readonly string[]): string {
  const tuple = `(${casts.map((type) => (type === '' ? '?' : `cast(? as ${type})`)).join(',')})`
  return Array.from({ length: rows }, () => tuple).join(',')
}

/** `?,?,?` */
export function marks(count: number): string {
  return Array.from({ length: count }, () => '?').join(',')
}

/**
 * Cuts `items` into chunks whose sizes are powers of two (128, 64 … 1), so that few distinct statement texts exist and
 * each stays prepared.
 */
export function* chunks<T>(items: readonly T[], largest = 128): Generator<readonly T[]> {
  let start = 0
  let size = largest
  while (start < items.length) {
    while (size > items.length - start) size /= 2
    yield items.slice(start, start + size)
    start += size
  }
}
