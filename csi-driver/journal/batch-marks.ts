// What the journal remembers of each un-trimmed batch, so that the log can be trimmed behind any of them: where it ends,
// the seq that follows, its header hash. 20 bytes per batch in typed arrays, re-used as a ring; grows by doubling and is
// bounded by the number of 4 KiB blocks in the log.
import { assert } from '../../base/assert.ts'
import type { BatchSeq, Bytes, Seq } from '../../base/units.ts'
import { BLOCK_BYTES } from '../../base/units.ts'
import type { LogGeometry, LogTail } from './superblock.ts'

const CAPACITY_FIRST = 1024

export class BatchMarks {
  private readonly logStart: Bytes
  private readonly capacityMax: number
  private capacity = 0
  private endBlock = new Uint32Array(0)
  private nextSeq = new Float64Array(0)
  private headerHash = new BigUint64Array(0)
  /** First batch that is remembered. */
  private first: BatchSeq
  /** Behind the last one. */
  private next: BatchSeq

  constructor(geometry: LogGeometry, firstBatchSeq: BatchSeq) {
    this.logStart = geometry.logStart
    this.capacityMax = geometry.logBytes / BLOCK_BYTES
    this.first = firstBatchSeq
    this.next = firstBatchSeq
    this.grow(Math.min(CAPACITY_FIRST, this.capacityMax))
  }

  get count(): number {
    return this.next - this.first
  }

  /** Remembers the next batch. `end` is the byte position behind it, already wrapped. */
  push(end: Bytes, nextSeq: Seq, headerHash: bigint): void {
    if (this.count === this.capacity) this.grow(Math.min(this.capacity * 2, this.capacityMax))
    const slot = this.next % this.capacity
    this.endBlock[slot] = (end - this.logStart) / BLOCK_BYTES
    this.nextSeq[slot] = nextSeq
    this.headerHash[slot] = headerHash
    this.next++
  }

  /** The tail of a log that is trimmed up to and including `batchSeq`. */
  tailAfter(batchSeq: BatchSeq): LogTail {
    assert(batchSeq >= this.first && batchSeq < this.next, `batch is remembered batchSeq=${batchSeq}`)
    const slot = batchSeq % this.capacity
    return {
      position: this.logStart + (this.endBlock[slot] as number) * BLOCK_BYTES,
      batchSeq: batchSeq + 1,
      seq: this.nextSeq[slot] as number,
      previousHash: this.headerHash[slot] as bigint,
    }
  }

  /**
   * Where the frame of a remembered batch stands: [position, end). `tailPosition` is where the first of them is
   * expected. A frame that did not fit before the ring's end stands at its start.
   */
  rangeOf(batchSeq: BatchSeq, tailPosition: Bytes): { readonly position: Bytes; readonly end: Bytes } {
    assert(batchSeq >= this.first && batchSeq < this.next, `batch is remembered batchSeq=${batchSeq}`)
    const before = batchSeq === this.first ? tailPosition : this.endOf(batchSeq - 1)
    const end = this.endOf(batchSeq)
    if (end === this.logStart) return { position: before, end: this.logStart + this.capacityMax * BLOCK_BYTES }
    return { position: end > before ? before : this.logStart, end }
  }

  /** The remembered batch whose frame holds the byte at `position`; 0 where none does. */
  batchAt(position: Bytes, tailPosition: Bytes): BatchSeq {
    const logBytes = this.capacityMax * BLOCK_BYTES
    const behindTail = (at: Bytes): Bytes => (at - tailPosition + logBytes) % logBytes
    const wanted = behindTail(position)
    let low = this.first
    let high = this.next
    while (low < high) {
      const middle = Math.floor((low + high) / 2)
      // The end of a frame is behind its bytes, and a full turn behind the tail where the log ends there.
      const end = behindTail(this.endOf(middle))
      if ((end === 0 ? logBytes : end) > wanted) high = middle
      else low = middle + 1
    }
    if (low >= this.next) return 0
    const range = this.rangeOf(low, tailPosition)
    return position >= range.position && position < range.end ? low : 0
  }

  /** Wrapped: the ring's end is its start. */
  private endOf(batchSeq: BatchSeq): Bytes {
    return this.logStart + (this.endBlock[batchSeq % this.capacity] as number) * BLOCK_BYTES
  }

  /** Forgets the batches before `batchSeq`. */
  dropBefore(batchSeq: BatchSeq): void {
    assert(batchSeq >= this.first && batchSeq <= this.next, `trim is inside the log batchSeq=${batchSeq}`)
    this.first = batchSeq
  }

  private grow(capacity: number): void {
    assert(capacity > this.count, `marks are bounded by the log count=${this.count}`)
    const endBlock = new Uint32Array(capacity)
    const nextSeq = new Float64Array(capacity)
    const headerHash = new BigUint64Array(capacity)
    for (let batchSeq = this.first; batchSeq < this.next; batchSeq++) {
      const from = batchSeq % this.capacity
      const to = batchSeq % capacity
      endBlock[to] = this.endBlock[from] as number
      nextSeq[to] = this.nextSeq[from] as number
      headerHash[to] = this.headerHash[from] as bigint
    }
    this.endBlock = endBlock
    this.nextSeq = nextSeq
    this.headerHash = headerHash
    this.capacity = capacity
  }
}
