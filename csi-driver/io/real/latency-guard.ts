// Decides whether a device is fast enough to be waited for on the engine's own thread. A synchronous call saves the
// two thread switches of the pool (about 250 µs of a 4 KiB write at depth 1 here), but while it lasts nothing else is
// served. So: synchronous while calls take less than the limit on the average of the last few dozen, the pool otherwise. The
// average and not the tail: one call in fifty that takes a few milliseconds, as on every shared disk, costs less than the
// switches of the other forty-nine. Pure: takes durations, tells a verdict.
import { assert } from '../../../base/assert.ts'
import type { Ms } from '../../../base/units.ts'

/** Calls that the average goes back, roughly: each new one counts for one part in so many. */
export const AVERAGED_CALLS = 32
/** Below this part of the limit synchronous calls come back, so that a device at the edge does not flap. */
const RETURN_SHARE = 0.8
/** No call counts for more than so many times the limit: one outlier is not a slow device. */
const OUTLIER_FACTOR = 16
/** One call that takes so many times the limit ends synchronous calls at once: the device hangs. */
const HANG_FACTOR = 40

export class LatencyGuard {
  private readonly limitMs: Ms
  private averageMs: Ms = 0
  private synchronous = true

  constructor(limitMs: Ms) {
    assert(limitMs > 0, `limit of a latency limitMs=${limitMs}`)
    this.limitMs = limitMs
  }

  /** Whether the next call may be made on the engine's thread. */
  get allowsSync(): boolean {
    return this.synchronous
  }

  /** Takes the duration of one call, however it was made. */
  record(durationMs: Ms): void {
    const { limitMs } = this
    const counted = Math.min(durationMs, limitMs * OUTLIER_FACTOR)
    this.averageMs += (counted - this.averageMs) / AVERAGED_CALLS
    if (durationMs > limitMs * HANG_FACTOR) this.averageMs = counted
    this.synchronous = this.averageMs <= (this.synchronous ? limitMs : limitMs * RETURN_SHARE)
  }
}
