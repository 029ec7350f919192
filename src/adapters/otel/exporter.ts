import type { SpanExporter } from '@opentelemetry/sdk-trace-base'
import { type Clock, MINUTE } from '../../core/clock.ts'
import { networkFailure } from '../http.ts'

/** `reason` holds neither address nor header nor what the collector said; `spans` were lost since the last time. */
export type Trouble = (reason: string, spans: number) => void

/** An exporter whose failures are told once a minute, and only counted between. */
export function quietly(exporter: SpanExporter, clock: Clock, onTrouble: Trouble): SpanExporter {
  let quietUntil = 0
  let lost = 0
  return {
    export(spans, done) {
      exporter.export(spans, (result) => {
        if (result.code !== 0) {
          lost += spans.length
          if (clock() >= quietUntil) {
            quietUntil = clock() + MINUTE
            onTrouble(reasonOf(result.error), lost)
            lost = 0
          }
        }
        // Taken as done: the processor would only report it once more, to a handler that is everybody's.
        done({ code: 0 })
      })
    },
    shutdown: () => exporter.shutdown(),
    forceFlush: () => exporter.forceFlush?.() ?? Promise.resolve(),
  }
}

/** OTLPExporterError carries the status as `code`; what it says is the collector's own text, which is not passed on. */
function reasonOf(error: unknown): string {
  if (typeof error !== 'object' || error === null) return 'not taken'
  if ('code' in error && typeof error.code === 'number') return `answered ${error.code}`
  if ('code' in error && typeof error.code === 'string') return networkFailure(error).reason
  return 'name' in error && error.name === 'OTLPExporterError' ? 'answered that it is overloaded' : 'no answer in time'
}
