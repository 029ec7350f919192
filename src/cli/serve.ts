import type { Logger } from 'pino'
import { type App, start } from '../app.ts'
import { type Loaded, watchConfig } from '../config/index.ts'
import type { Flags } from '../main.ts'
import { createPages } from '../pages.ts'
import { configOf } from './config.ts'
import { createLog } from './log.ts'

/** `claw serve`: runs until SIGTERM or SIGINT, then drains. */
export async function serve(flags: Flags): Promise<number> {
  let loaded = await configOf(flags.config)
  // Before anything starts: as process 1 of a container, an early SIGTERM would else be ignored.
  const ended = untilSignal()
  const log = createLog(loaded.config.log.level, () => loaded.secrets, process.stdout)
  const app = await start(loaded, { log, pages: (parts, run) => createPages(parts, run, { sandbox: null, log }) })
  const watch = watchConfig(loaded.path ?? '', {
    env: process.env,
    current: loaded.text,
    async onReload(next: Loaded) {
      await app.reload(next)
      loaded = next
      log.level = next.config.log.level
    },
    onError(error) {
      app.reloadFailed()
      log.error(`the new configuration is not in force, the old one is: ${error.message}`)
    },
  })
  const onHangUp = () => void watch.reload()
  process.on('SIGHUP', onHangUp)
  await ended
  log.info('stopping: draining first')
  process.off('SIGHUP', onHangUp)
  await watch.close()
  return stopApp(app, log, loaded.config.shutdown_timeout)
}

/** Resolves at the first SIGTERM or SIGINT; a second one ends the process at once. */
export function untilSignal(): Promise<void> {
  return new Promise((resolve) => {
    let asked = false
    const onSignal = () => {
      if (asked) process.exit(1)
      asked = true
      resolve()
    }
    process.on('SIGTERM', onSignal)
    process.on('SIGINT', onSignal)
  })
}

/** Stops within the shutdown time-out, whatever hangs; what is unsent stays stored. */
export async function stopApp(app: App, log: Logger, timeoutMs: number): Promise<number> {
  const late = setTimeout(() => {
    log.warn('draining took longer than shutdown_timeout; what is unsent stays stored')
    process.exit(0)
  }, timeoutMs)
  late.unref()
  await app.stop()
  clearTimeout(late)
  return 0
}
