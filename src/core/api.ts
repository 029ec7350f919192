export type ApiRequest = {
  /** what the path's `:id` held; '' when it has none. Not checked yet. */
  id: string
  query: URLSearchParams
  /** whom the request speaks for */
  person: string
  /** the body of a POST, as it came; empty for GET */
  body: Buffer
  /** header `Idempotency-Key`; a repeated one gets the first answer again */
  idempotencyKey: string | null
  /** header `traceparent`, when it is one */
  traceparent?: string
}

export type ApiAnswer = { status: number; type: string; body: string }

/** One thing that the API can do; `handlers/api` lists them. Paths are relative to where the API is mounted. */
export type ApiRoute = {
  method: 'GET' | 'POST'
  path: string
  /** @throws ClawError for everything that is not a good answer */
  handle(request: ApiRequest): Promise<ApiAnswer>
}
