import type { TestContext } from 'node:test'
import { z } from 'zod'
import { json, type Seen, type Server, serve } from '../serve.ts'

const given = z.object({
  time: z.int().optional(),
  timeEnd: z.int().optional(),
  text: z.string().optional(),
  tags: z.array(z.string()).optional(),
})

export type Stored = { id: number; time: number; timeEnd: number; text: string; tags: string[] }

/** What happens to the next request: `lose` takes it and never tells; a status refuses it. */
export type Trouble = { lose: true } | { status: number; headers?: Record<string, string>; body?: unknown }

export type FakeGrafana = Server & { annotations: Stored[]; next: Trouble[] }

/** Grafana's annotations as its documentation and sources describe them: an absent end is the start, a PATCH cannot take it away. */
export async function fakeGrafana(t: TestContext): Promise<FakeGrafana> {
  const annotations: Stored[] = []
  const next: Trouble[] = []
  let ids = 0
  const server = await serve(t, (response, seen) => {
    const trouble = next.shift()
    if (trouble && 'status' in trouble) return json(response, trouble.status, trouble.body ?? {}, trouble.headers)
    const [status, body] = answer(seen)
    if (trouble) response.destroy()
    else json(response, status, body)
  })
  return { ...server, annotations, next }

  function answer({ method, url, body }: Seen): [number, unknown] {
    const { pathname, searchParams } = new URL(url, 'http://grafana')
    const id = Number(/^\/grafana\/api\/annotations\/(\d+)$/.exec(pathname)?.[1] ?? 0)
    if (id === 0 && pathname !== '/grafana/api/annotations') return [404, {}]
    if (method === 'GET') {
      const tags = searchParams.getAll('tags')
      return [200, annotations.filter((one) => tags.every((tag) => one.tags.includes(tag))).reverse()]
    }
    const { time = 0, timeEnd = 0, text = '', tags = [] } = given.parse(JSON.parse(body))
    if (method === 'POST') {
      ids += 1
      annotations.push({ id: ids, time, timeEnd: timeEnd || time, text, tags })
      return [200, { message: 'Annotation added', id: ids }]
    }
    const known = annotations.find((one) => one.id === id)
    if (!known) return [404, { message: 'Annotation not found' }]
    Object.assign(known, { time: time || known.time, timeEnd: timeEnd || known.timeEnd, text, tags })
    return [200, { message: 'Annotation patched' }]
  }
}
