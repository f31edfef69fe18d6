// How long a drain will still take, from how fast the dirty bytes have shrunk. Pure: the caller gives the time.
// The rate is smoothed over some seconds, since generations are destaged in bursts.
import type { Bytes, Ms } from '../../base/units.ts'

/** Time constant of the smoothing. */
const SMOOTHING_MS = 5_000
/** No estimate before this much was seen: the first moments say nothing. */
const WARM_UP_MS = 1_000

export class DrainEstimate {
  private startMs: Ms | null = null
  private lastMs: Ms = 0
  private lastBytes: Bytes = 0
  private bytesPerMs = 0

  observe(dirtyBytes: Bytes, atMs: Ms): void {
    const passedMs = atMs - this.lastMs
    if (this.startMs === null) this.startMs = atMs
    else if (passedMs > 0) {
      const rate = (this.lastBytes - dirtyBytes) / passedMs
      const weight = atMs - this.startMs < SMOOTHING_MS ? passedMs / (atMs - this.startMs) : passedMs / SMOOTHING_MS
      this.bytesPerMs += (rate - this.bytesPerMs) * Math.min(1, weight)
    } else return
    this.lastMs = atMs
    this.lastBytes = dirtyBytes
  }

  /** Bytes per second; 0 while unknown or while nothing shrinks. */
  get rate(): number {
    return Math.max(0, this.bytesPerMs * 1000)
  }

  /** Null while unknown, or while it does not get less. */
  get secondsLeft(): number | null {
    if (this.startMs === null || this.lastMs - this.startMs < WARM_UP_MS || this.bytesPerMs <= 0) return null
    return this.lastBytes / this.bytesPerMs / 1000
  }
}
