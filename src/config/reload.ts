import { type FSWatcher, watch } from 'node:fs'
import { basename, dirname, resolve } from 'node:path'
import { ClawError, messageOf } from '../core/errors.ts'
import { type Loaded, loadConfig, readText } from './config.ts'

export type WatchOptions = {
  env: Readonly<Record<string, string | undefined>>
  /** gets a configuration that is right; what it throws goes to onError and the next change is tried again */
  onReload: (loaded: Loaded) => void | Promise<void>
  /** the file is bad or cannot be read: the running configuration stays in force */
  onError: (error: ClawError) => void
  /** quiet time after the last change before the file is read, milliseconds; default 100 */
  debounce?: number
  /** text that is in force now; a change that leaves it as it is does nothing */
  current?: string
}

export type ConfigWatch = {
  /** Reads the file now, changed or not (SIGHUP). Never rejects. */
  reload(): Promise<void>
  /** Stops watching; a reload under way still finishes. */
  close(): Promise<void>
}

/**
 * Reloads when the file changes. Watches its folder, because editors replace files and Kubernetes swaps a symbolic link
 * beside them. Where the system cannot watch, reload() still works and onError hears of it once.
 */
export function watchConfig(path: string, options: WatchOptions): ConfigWatch {
  const file = resolve(path)
  let current = options.current
  let timer: NodeJS.Timeout | null = null
  let queue: Promise<void> = Promise.resolve()
  let closed = false

  const once = async (force: boolean): Promise<void> => {
    try {
      const text = await readText(file)
      if (!force && text === current) return
      // a file that is being rewritten in place is empty for a moment, and empty means "all defaults": tell nobody
      if (text.trim() === '') throw new ClawError('invalid', `${file} is empty; the running configuration stays`)
      const loaded = await loadConfig(file, options.env)
      await options.onReload(loaded)
      current = loaded.text
    } catch (error) {
      // a file that stays bad is reported once, not at every event in its folder
      current = await readText(file).catch(() => undefined)
      options.onError(
        error instanceof ClawError
          ? error
          : new ClawError('internal', `configuration could not be applied: ${messageOf(error)}`, { cause: error }),
      )
    }
  }
  // one after the other, so that an older file never overtakes a newer one
  const enqueue = (force: boolean): Promise<void> => {
    queue = queue.then(() => once(force))
    return queue
  }
  const changed = (name: string | null) => {
    // Kubernetes renames `..data`; other names in the folder are not ours
    if (closed || (name !== null && name !== basename(file) && !name.startsWith('..'))) return
    if (timer !== null) clearTimeout(timer)
    timer = setTimeout(() => void enqueue(false), options.debounce ?? 100)
  }

  let watcher: FSWatcher | null = null
  const failed = (error: unknown) =>
    options.onError(
      new ClawError('unavailable', `${file} cannot be watched (${messageOf(error)}); send SIGHUP to reload it`, {
        cause: error,
      }),
    )
  try {
    watcher = watch(dirname(file), { persistent: false }, (_event, name) => changed(name))
    watcher.on('error', failed)
  } catch (error) {
    failed(error)
  }

  return {
    reload: () => enqueue(true),
    async close() {
      closed = true
      if (timer !== null) clearTimeout(timer)
      watcher?.close()
      await queue
    },
  }
}
