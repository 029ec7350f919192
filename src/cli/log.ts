import pino, { type Logger } from 'pino'

/**
 * The log: JSON lines. Whatever the configuration holds as a secret is cut out of every line, wherever it turns up.
 * @param secrets longest first; called for each line, so that a reload counts
 */
export function createLog(level: string, secrets: () => readonly string[], stream: NodeJS.WritableStream): Logger {
  const scrubbed = {
    write(line: string): void {
      let clean = line
      // Short values (a port, a word) would tear holes into ordinary text.
      for (const secret of secrets()) {
        if (secret.length >= 6 && clean.includes(secret)) clean = clean.replaceAll(secret, '[secret]')
      }
      stream.write(clean)
    },
  }
  return pino({ level, base: null, timestamp: pino.stdTimeFunctions.isoTime }, scrubbed)
}
