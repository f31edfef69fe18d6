// How hard to destage and how long to hold a writer, from how full the cache is. Pure. The shape is the transaction
// delay of OpenZFS (research: datapath §6.3): nothing is delayed below a threshold, then the delay grows like
// x/(1-x), so that writers meet the backing's speed before they meet the wall.
import type { Ms } from '../../base/units.ts'

/**
 * Below this fill, destage only when nobody is waiting. The later a generation begins, the more rewrites and neighbours
 * meet in it; half-way to FILL_HIGH there is still as much room again for what is written while it works.
 */
export const FILL_LOW = 0.3
/** From here on destage runs at full rate and writers are delayed. */
export const FILL_HIGH = 0.6
export const CONCURRENCY_MIN = 4
/** Backing writes in flight at full rate: what flash and cloud disks need to reach their bandwidth. */
export const CONCURRENCY_MAX = 32
/** Delay of one write in the middle between FILL_HIGH and full. */
const DELAY_SCALE_MS: Ms = 0.5
export const DELAY_MAX_MS: Ms = 100
/**
 * A writer that was held back may have been due so long ago and still follow in its turn. Timers of the system are late by
 * up to 2 ms; without the slack that alone, and not the backing, would be the pace of a fast one.
 */
export const PACE_SLACK_MS: Ms = 2
/** Without requests for this long the backing counts as idle. */
export const IDLE_MS: Ms = 500

/** Fill in 0…1: the fullest of dirty limit, log space and index decides. */
export function concurrencyAt(fill: number, urgent: boolean): number {
  if (urgent || fill >= FILL_HIGH) return CONCURRENCY_MAX
  if (fill <= FILL_LOW) return CONCURRENCY_MIN
  const share = (fill - FILL_LOW) / (FILL_HIGH - FILL_LOW)
  return Math.round(CONCURRENCY_MIN + share * (CONCURRENCY_MAX - CONCURRENCY_MIN))
}

/** How long the next write waits behind the one before it. */
export function writeDelayMs(fill: number): Ms {
  if (fill <= FILL_HIGH) return 0
  if (fill >= 1) return DELAY_MAX_MS
  return Math.min(DELAY_MAX_MS, (DELAY_SCALE_MS * (fill - FILL_HIGH)) / (1 - fill))
}

export interface DestageSituation {
  readonly fill: number
  /** Somebody wants the log empty: drain, close, a change of policy. */
  readonly urgent: boolean
  readonly idleForMs: Ms
  readonly oldestDirtyMs: Ms
  readonly dirtyAgeMs: Ms
}

/** Whether a generation should begin now, given that something is dirty. */
export function shouldBegin(situation: DestageSituation): boolean {
  return (
    situation.urgent ||
    situation.fill >= FILL_LOW ||
    situation.idleForMs >= IDLE_MS ||
    situation.oldestDirtyMs >= situation.dirtyAgeMs
  )
}
