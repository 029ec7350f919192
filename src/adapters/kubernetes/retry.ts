import { ClawError } from '../../core/errors.ts'

/** How often a change is tried on a fresh reading when somebody else was quicker each time. */
const ATTEMPTS = 5

/**
 * Runs `change`, which reads and writes back with the resourceVersion, again after each conflict.
 * @throws ClawError('unavailable') when `object` changed under every attempt
 */
export async function retryingConflicts<T>(object: string, change: () => Promise<T>): Promise<T> {
  for (let attempt = 1; attempt <= ATTEMPTS; attempt += 1) {
    try {
      return await change()
    } catch (error) {
      if (!(error instanceof ClawError && error.code === 'conflict')) throw error
    }
  }
  throw new ClawError(
    'unavailable',
    `Kubernetes: ${object} was changed by others ${ATTEMPTS} times in a row; try again`,
  )
}
