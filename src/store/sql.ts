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

/**
 * Runs `work` on chunks of `items`, the next sent without waiting for the one before: PostgreSQL runs them as one pipeline.
 * Inside a transaction a statement that fails makes all that follow fail as well (see `openSqlite`).
 */
export async function eachChunk<T, R>(
  items: readonly T[],
  work: (chunk: readonly T[]) => Promise<R>,
): Promise<readonly R[]> {
  if (items.length === 0) return []
  return Promise.all([...chunks(items)].map(work))
}

/** For lists of keys to look up: as `chunks`, but the rest is filled up with its last item, so that it stays one statement. */
export function* lookups<T>(items: readonly T[], largest = 128): Generator<readonly T[]> {
  for (let start = 0; start < items.length; start += largest) {
    const chunk = items.slice(start, start + largest)
    const last = chunk.at(-1) as T
    let size = 1
    while (size < chunk.length) size *= 2
    while (chunk.length < size) chunk.push(last)
    yield chunk
  }
}
