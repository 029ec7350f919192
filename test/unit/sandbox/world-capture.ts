import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { z } from 'zod'

const Labels = z.record(z.string(), z.string())
const Body = z.strictObject({
  receiver: z.string(),
  status: z.enum(['firing', 'resolved']),
  alerts: z.array(
    z.strictObject({
      status: z.enum(['firing', 'resolved']),
      labels: Labels,
      annotations: Labels,
      startsAt: z.string(),
      endsAt: z.string(),
      generatorURL: z.string(),
      fingerprint: z.string().regex(/^[0-9a-f]{16}$/),
    }),
  ),
  groupLabels: Labels,
  commonLabels: Labels,
  commonAnnotations: Labels,
  externalURL: z.string(),
  version: z.literal('4'),
  groupKey: z.string(),
  truncatedAlerts: z.number(),
})

export type Hook = z.infer<typeof Body> & { at: number; authorization: string | undefined; path: string | undefined }

/** A server in Claw's place: keeps every webhook and answers what `answer` says (a status, or 'reset'). */
export async function capture(clock: () => number) {
  const hooks: Hook[] = []
  const box: { answer: number | 'reset' } = { answer: 200 }
  const server = createServer(async (req, res) => {
    const chunks: Buffer[] = []
    for await (const chunk of req) chunks.push(chunk)
    const body = Body.parse(JSON.parse(Buffer.concat(chunks).toString('utf8')))
    hooks.push({ ...body, at: clock(), authorization: req.headers.authorization, path: req.url })
    if (box.answer === 'reset') req.socket.destroy()
    else res.writeHead(box.answer, { 'Content-Type': 'application/json' }).end('{}')
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    /** everything but the watchdog's */
    hooks: () => hooks.filter((hook) => hook.groupLabels.alertname !== 'Watchdog'),
    all: hooks,
    box,
    async close() {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}

/** A clock that tests move by hand. */
export function handClock(now = 1_700_000_000_000) {
  const clock = () => now
  return Object.assign(clock, {
    add(ms: number) {
      now += ms
    },
  })
}
