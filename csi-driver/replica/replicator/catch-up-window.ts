// What of a learner's catch-up is on its way: bounded in bytes, so that live batches never queue behind more, and in number
// of batches. From the answers it measures how long a batch takes.
import { assert } from '../../../base/assert.ts'
import type { Clock } from '../../../base/clock.ts'
import type { BatchSeq, Bytes, Ms } from '../../../base/units.ts'
import { MIB } from '../../../base/units.ts'

/** Twice the largest batch: enough for 10 Gbit/s at 3 ms, 10 ms of a stream at 400 MB/s. */
export const CATCH_UP_BYTES_MAX: Bytes = 4 * MIB
/** Well below what a store lets wait (ORDERS_WAITING_MAX of the receiver), so that heartbeats are read among them. */
export const CATCH_UP_BATCHES_MAX = 128
/** The pace is taken over at least so long. */
const PACE_SPAN_MS: Ms = 50

export class CatchUpWindow {
  /** Sent and not acknowledged. */
  bytes: Bytes = 0
  /** Of the last span; Infinity before the first one ended. */
  msPerBatch: Ms = Number.POSITIVE_INFINITY
  private batches = 0
  private readonly sizes = new Float64Array(CATCH_UP_BATCHES_MAX)
  private readonly clock: Clock
  private spanStartMs: Ms = 0
  private spanBatches = 0

  constructor(clock: Clock) {
    this.clock = clock
  }

  get isFull(): boolean {
    return this.bytes >= CATCH_UP_BYTES_MAX || this.batches === CATCH_UP_BATCHES_MAX
  }

  sent(batchSeq: BatchSeq, bytes: Bytes): void {
    assert(this.batches < CATCH_UP_BATCHES_MAX, 'window has room')
    this.sizes[batchSeq % CATCH_UP_BATCHES_MAX] = bytes
    this.bytes += bytes
    this.batches += 1
  }

  /** Everything in (from, to] has been acknowledged. */
  acknowledged(from: BatchSeq, to: BatchSeq): void {
    for (let batchSeq = from + 1; batchSeq <= to; batchSeq++) {
      this.bytes -= this.sizes[batchSeq % CATCH_UP_BATCHES_MAX] as number
    }
    this.batches -= to - from
    assert(this.batches >= 0 && this.bytes >= 0, `acknowledged what was sent to=${to}`)
    this.spanBatches += to - from
    const spanMs = this.clock.monotonicMs() - this.spanStartMs
    if (spanMs < PACE_SPAN_MS) return
    this.msPerBatch = spanMs / this.spanBatches
    this.beginSpan()
  }

  clear(): void {
    this.bytes = 0
    this.batches = 0
    this.beginSpan()
  }

  private beginSpan(): void {
    this.spanStartMs = this.clock.monotonicMs()
    this.spanBatches = 0
  }
}
