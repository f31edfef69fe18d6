// How long a peer must have been connected without a break before the volume relies on it again. Pure. Each time it is lost
// while the volume relied on it (as a member, or while it learned) doubles that time, up to a limit, so that a peer that
// comes and goes makes the volume go to write-through and back only ever more seldom; time without a loss forgives.
import type { Ms } from '../../base/units.ts'

export interface Damping {
  /** Losses that are not forgiven yet. */
  readonly losses: number
  /** The newest one; 0 where there was none. */
  readonly lostAtMs: Ms
}

/** After the first loss; a restart of the peer's process takes less, and loses nothing by it. */
export const STABLE_FIRST_MS: Ms = 5_000
export const STABLE_MAX_MS: Ms = 320_000
/** Each such time without another loss forgives one. */
export const FORGIVE_MS: Ms = 600_000
/** As many as make a difference. */
export const LOSSES_MAX = 1 + Math.log2(STABLE_MAX_MS / STABLE_FIRST_MS)

export const NEVER_LOST: Damping = { losses: 0, lostAtMs: 0 }

function unforgiven({ losses, lostAtMs }: Damping, nowMs: Ms): number {
  return Math.max(0, losses - Math.floor(Math.max(0, nowMs - lostAtMs) / FORGIVE_MS))
}

/** The volume relied on it and lost it: its connection ended, it was late, or it refused. */
export function lostAgain(damping: Damping, nowMs: Ms): Damping {
  return { losses: Math.min(LOSSES_MAX, unforgiven(damping, nowMs) + 1), lostAtMs: nowMs }
}

/**
 * From when on a peer that has been connected since `connectedSinceMs` may be relied on. A peer that was late, or that
 * refused to learn, may have kept its connection, or have it back at once: what counts is the time since the loss.
 */
export function stableAtMs(damping: Damping, connectedSinceMs: Ms, nowMs: Ms): Ms {
  const losses = unforgiven(damping, nowMs)
  if (losses === 0) return connectedSinceMs
  const sinceMs = Math.max(connectedSinceMs, damping.lostAtMs)
  return sinceMs + Math.min(STABLE_MAX_MS, STABLE_FIRST_MS * 2 ** (losses - 1))
}
