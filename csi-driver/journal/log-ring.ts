// Space of the log ring, numbers only. Batches lie one behind the other; one that does not fit before the ring's end
// stands at its start and the gap stays unused (no batch crosses the end).
//
//   start            tail ███████████████ head              end
//   │ free            │ un-trimmed batches │ free             │
//
// Some space is kept back from ordinary batches, so that two of the longest always fit (frames that carry ackedSeq while
// idle, batches taken over from a peer). Two frames take at most three times the longest one: one of them may leave a
// gap at the ring's end. With at least eight frames in the ring a frame that goes to the start never reaches the
// position where recovery looks first. head = tail means empty, never full.
import { assert } from '../../base/assert.ts'
import type { Bytes } from '../../base/units.ts'
import { BLOCK_BYTES } from '../../base/units.ts'
import type { LogGeometry } from './superblock.ts'

/** Space kept back from ordinary batches, in longest frames. */
export const RESERVED_FRAMES = 3

export class LogRing {
  readonly start: Bytes
  readonly end: Bytes
  readonly bytes: Bytes
  readonly reservedBytes: Bytes
  private readonly frameBytesMax: Bytes
  private headAt: Bytes
  private used: Bytes = 0

  /** Empty, with head and tail at `position`. */
  constructor(geometry: LogGeometry, position: Bytes) {
    this.start = geometry.logStart
    this.bytes = geometry.logBytes
    this.end = geometry.logStart + geometry.logBytes
    this.frameBytesMax = geometry.frameBytesMax
    this.reservedBytes = RESERVED_FRAMES * geometry.frameBytesMax
    this.headAt = this.wrap(position)
  }

  /** Where the next batch is expected; it may go to the ring's start instead. */
  get head(): Bytes {
    return this.headAt
  }

  /** From tail to head, gaps included. */
  get usedBytes(): Bytes {
    return this.used
  }

  /** What ordinary batches may still take, gaps not counted. */
  get freeBytes(): Bytes {
    return Math.max(0, this.bytes - this.reservedBytes - this.used)
  }

  /** Whether an ordinary batch fits. Hot: a few comparisons. */
  fits(frameBytes: Bytes): boolean {
    return this.costOf(frameBytes) <= this.bytes - this.reservedBytes - this.used
  }

  /** Whether a batch fits that may use the reserved space. One block stays free: a full ring would look empty. */
  fitsReserved(frameBytes: Bytes): boolean {
    return this.costOf(frameBytes) <= this.bytes - BLOCK_BYTES - this.used
  }

  /** Where a batch of this length goes. */
  place(frameBytes: Bytes): Bytes {
    return this.headAt + frameBytes <= this.end ? this.headAt : this.start
  }

  /** Takes the space for the next batch and returns its position. */
  take(frameBytes: Bytes): Bytes {
    assert(frameBytes > 0 && frameBytes <= this.frameBytesMax, `frame is legal bytes=${frameBytes}`)
    assert(this.fitsReserved(frameBytes), `log has room bytes=${frameBytes} used=${this.used}`)
    const position = this.place(frameBytes)
    this.used += this.costOf(frameBytes)
    this.headAt = this.wrap(position + frameBytes)
    return position
  }

  /** Whether a batch at `position` can be the next one: inside the ring, and not over un-trimmed ones. */
  canAdopt(position: Bytes, frameBytes: Bytes): boolean {
    if (frameBytes > this.frameBytesMax || position + frameBytes > this.end) return false
    return this.used + this.costAt(position, frameBytes) < this.bytes
  }

  /** Takes the space of a batch found at `position` by recovery. */
  adopt(position: Bytes, frameBytes: Bytes): void {
    assert(position === this.headAt || position === this.start, `batch follows position=${position}`)
    assert(this.canAdopt(position, frameBytes), `batches fit the ring used=${this.used}`)
    this.used += this.costAt(position, frameBytes)
    this.headAt = this.wrap(position + frameBytes)
  }

  /** Frees everything before `tailPosition`. */
  release(tailPosition: Bytes): void {
    const tail = this.wrap(tailPosition)
    const kept = tail <= this.headAt ? this.headAt - tail : this.headAt - tail + this.bytes
    assert(kept <= this.used, `tail only moves forward position=${tailPosition}`)
    this.used = kept
  }

  /** The ring's end and its start are the same position. */
  wrap(position: Bytes): Bytes {
    assert(position >= this.start && position <= this.end, `position is in the ring position=${position}`)
    return position === this.end ? this.start : position
  }

  private costAt(position: Bytes, frameBytes: Bytes): Bytes {
    return position + frameBytes - this.headAt + (position < this.headAt ? this.bytes : 0)
  }

  private costOf(frameBytes: Bytes): Bytes {
    const fitsBeforeEnd = this.headAt + frameBytes <= this.end
    return fitsBeforeEnd ? frameBytes : frameBytes + this.end - this.headAt
  }
}
