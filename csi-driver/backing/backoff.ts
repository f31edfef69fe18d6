// How long a caller waits before it tries a failed backing write again. Destage retries for ever: a backing that comes
// back after hours still gets its data, so the pause is capped and spread, never a count of attempts.
import type { Prng } from '../../base/prng.ts'
import type { Ms } from '../../base/units.ts'

export const BACKOFF_FIRST_MS: Ms = 50
/** A healed backing is noticed within this time. */
export const BACKOFF_MAX_MS: Ms = 5_000

/**
 * Pause before attempt number `attempt` + 1 (0 after the first failure): doubles from 50 ms to 5 s, of which a random
 * half is taken off so that volumes on one failing array do not come back in step.
 */
export function backoffMs(attempt: number, prng: Prng): Ms {
  const full = Math.min(BACKOFF_MAX_MS, BACKOFF_FIRST_MS * 2 ** Math.min(attempt, 20))
  return full * (0.5 + prng.float() / 2)
}
