// How long a link waits before it tries again. It tries for ever, so the pause is capped and spread by chance: peers that
// come back after a power cut are not met by all volumes at once.
import type { Prng } from '../../../base/prng.ts'
import type { Ms } from '../../../base/units.ts'

/** A peer process that was restarted is met again well within LOST_MS. */
export const RECONNECT_FIRST_MS: Ms = 25
export const RECONNECT_MAX_MS: Ms = 5_000
/** A store that refused us will hardly think better of it within the second. */
export const REFUSED_FIRST_MS: Ms = 1_000
export const REFUSED_MAX_MS: Ms = 30_000

const DOUBLINGS_MAX = 20

/** Pause after `failures` (from 1) attempts in a row: doubles up to the cap; a random half of it is taken off. */
export function reconnectDelayMs(failures: number, refused: boolean, prng: Prng): Ms {
  const [first, max] = refused ? [REFUSED_FIRST_MS, REFUSED_MAX_MS] : [RECONNECT_FIRST_MS, RECONNECT_MAX_MS]
  const full = Math.min(max, first * 2 ** Math.min(failures - 1, DOUBLINGS_MAX))
  return full * (0.5 + prng.float() / 2)
}
