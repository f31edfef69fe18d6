// Decides whether a device is fast enough to be waited for on the engine's own thread. A synchronous call saves the
// two thread switches of the pool (about 250 µs of a 4 KiB write at depth 1 here), but a slow one keeps every other
// request waiting. So: synchronous while 99 of 100 recent calls stay below the limit, the pool otherwise, with distance
// between both bounds, so that a device at the edge does not flap. Pure: takes durations, tells a verdict.
import { assert } from '../../../base/assert.ts'
import type { Ms } from '../../../base/units.ts'

export const WINDOW_CALLS = 200
/** So many slow calls in the window (2 %) end synchronous calls. */
const SLOW_CALLS_LEAVE = 4
/** So few in a whole window (0.5 %) bring them back. */
const SLOW_CALLS_RETURN = 1
/** One call that takes so many times the limit ends them at once: the device hangs. */
const HANG_FACTOR = 40

export class LatencyGuard {
  private readonly limitMs: Ms
  private readonly slow = new Uint8Array(WINDOW_CALLS)
  private next = 0
  private slowCount = 0
  /** Calls since the verdict changed, up to the window. */
  private seen = 0
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
    const isSlow = durationMs > this.limitMs ? 1 : 0
    this.slowCount += isSlow - (this.slow[this.next] as number)
    this.slow[this.next] = isSlow
    this.next = (this.next + 1) % WINDOW_CALLS
    this.seen = Math.min(WINDOW_CALLS, this.seen + 1)
    if (this.synchronous) {
      if (this.slowCount >= SLOW_CALLS_LEAVE || durationMs > this.limitMs * HANG_FACTOR) this.turn(false)
    } else if (this.seen === WINDOW_CALLS && this.slowCount <= SLOW_CALLS_RETURN) this.turn(true)
  }

  private turn(synchronous: boolean): void {
    this.synchronous = synchronous
    this.seen = 0
  }
}
