// How far ahead one stream is read. The window begins with about the size of a request and doubles where a reader had to
// wait for what was under way, after a window's worth was used: a slow reader never waits and keeps a small window, so
// that little is lost where it stops. A stream that wasted more than it used is not read ahead any more. Pure.
import type { Bytes, Ms } from '../../../base/units.ts'

export class AheadStream {
  /** SequentialDetector.streamBegan. */
  readonly began: number
  /** From the front of the stream; 0: stopped for good. */
  windowBytes: Bytes
  /** What is before it was read ahead or left out. */
  end: Bytes = 0
  /** Monotonic time at which it went on last. */
  lastMs: Ms = 0
  private readonly windowBytesMin: Bytes
  private readonly windowBytesMax: Bytes
  private usedBytes: Bytes = 0
  private wastedBytes: Bytes = 0
  private usedSinceGrowthBytes: Bytes = 0

  constructor(began: number, firstBytes: Bytes, limits: { readonly minBytes: Bytes; readonly maxBytes: Bytes }) {
    this.began = began
    this.windowBytesMin = limits.minBytes
    this.windowBytesMax = limits.maxBytes
    this.windowBytes = Math.min(Math.max(firstBytes, limits.minBytes), limits.maxBytes)
  }

  onUsed(bytes: Bytes): void {
    this.usedBytes += bytes
    this.usedSinceGrowthBytes += bytes
  }

  /** A reader found that what it needs is still under way. */
  onWaited(): void {
    if (this.usedSinceGrowthBytes < this.windowBytes) return
    this.usedSinceGrowthBytes = 0
    this.windowBytes = Math.min(2 * this.windowBytes, this.windowBytesMax)
  }

  /** `bytes` were read ahead for nothing. True when that ends it. */
  onWasted(bytes: Bytes): boolean {
    if (bytes === 0 || this.windowBytes === 0) return false
    this.wastedBytes += bytes
    const isOver = this.wastedBytes > this.usedBytes
    this.windowBytes = isOver ? 0 : Math.max(this.windowBytes / 2, this.windowBytesMin)
    this.usedSinceGrowthBytes = 0
    return isOver
  }
}
