// Where each un-trimmed batch of a stored log stands, and what a trim or a promotion behind it needs to know: 24 bytes
// per batch in typed arrays, one set for each segment, so that trimming a segment frees its share. Pure; bounded by the
// number of blocks of the log's segments.
import { assert } from '../../../base/assert.ts'
import type { BatchSeq, Bytes, Seq } from '../../../base/units.ts'
import { BLOCK_BYTES } from '../../../base/units.ts'
import { SEGMENT_HEADER_BYTES, storedBytesFor } from './store-geometry.ts'
import type { LogPlace } from './volume-slot.ts'

const CAPACITY_FIRST = 16

/** One batch of the log. */
export interface IndexedBatch {
  readonly batchSeq: BatchSeq
  readonly bodyBytes: Bytes
  readonly lastSeq: Seq
  readonly headerHash: bigint
}

/** The batches of one segment, in order. */
export class SegmentIndex {
  readonly segment: number
  readonly ordinal: number
  /** Of the first batch in the arrays. */
  readonly firstBatchSeq: BatchSeq
  /** Where the next batch would stand. */
  endOffset: Bytes
  count = 0
  private blockOf = new Uint32Array(CAPACITY_FIRST)
  private bodyBytesOf = new Uint32Array(CAPACITY_FIRST)
  private lastSeqOf = new Float64Array(CAPACITY_FIRST)
  private hashOf = new BigUint64Array(CAPACITY_FIRST)

  constructor(place: LogPlace, firstBatchSeq: BatchSeq) {
    this.segment = place.segment
    this.ordinal = place.ordinal
    this.endOffset = place.offset
    this.firstBatchSeq = firstBatchSeq
  }

  push({ bodyBytes, lastSeq, headerHash }: IndexedBatch): void {
    if (this.count === this.blockOf.length) this.grow()
    this.blockOf[this.count] = this.endOffset / BLOCK_BYTES
    this.bodyBytesOf[this.count] = bodyBytes
    this.lastSeqOf[this.count] = lastSeq
    this.hashOf[this.count] = headerHash
    this.count += 1
    this.endOffset += storedBytesFor(bodyBytes)
  }

  offset(batchSeq: BatchSeq): Bytes {
    return (this.blockOf[this.at(batchSeq)] as number) * BLOCK_BYTES
  }
  bodyBytes(batchSeq: BatchSeq): Bytes {
    return this.bodyBytesOf[this.at(batchSeq)] as number
  }
  lastSeq(batchSeq: BatchSeq): Seq {
    return this.lastSeqOf[this.at(batchSeq)] as number
  }
  headerHash(batchSeq: BatchSeq): bigint {
    return this.hashOf[this.at(batchSeq)] as bigint
  }

  /** Forgets the batches from `batchSeq` on; the next one stands where the first of them stood. */
  cut(batchSeq: BatchSeq): void {
    this.endOffset = this.offsetAfterCut(batchSeq)
    this.count = Math.min(this.count, batchSeq - this.firstBatchSeq)
  }

  offsetAfterCut(batchSeq: BatchSeq): Bytes {
    return batchSeq < this.firstBatchSeq + this.count ? this.offset(batchSeq) : this.endOffset
  }

  private at(batchSeq: BatchSeq): number {
    const at = batchSeq - this.firstBatchSeq
    assert(at >= 0 && at < this.count, `batch is in the segment batchSeq=${batchSeq}`)
    return at
  }

  private grow(): void {
    const capacity = this.blockOf.length * 2
    const grown = { block: new Uint32Array(capacity), body: new Uint32Array(capacity) }
    const wide = { lastSeq: new Float64Array(capacity), hash: new BigUint64Array(capacity) }
    grown.block.set(this.blockOf)
    grown.body.set(this.bodyBytesOf)
    wide.lastSeq.set(this.lastSeqOf)
    wide.hash.set(this.hashOf)
    this.blockOf = grown.block
    this.bodyBytesOf = grown.body
    this.lastSeqOf = wide.lastSeq
    this.hashOf = wide.hash
  }
}

export class LogIndex {
  /** Oldest first; may be empty. */
  segments: SegmentIndex[] = []
  private readonly segmentBytes: Bytes
  private firstBatchSeq: BatchSeq
  private nextBatchSeq: BatchSeq

  /** Empty, beginning with batch `firstBatchSeq` at `place` (null: in a segment to come). */
  constructor(options: { segmentBytes: Bytes; firstBatchSeq: BatchSeq; place: LogPlace | null }) {
    this.segmentBytes = options.segmentBytes
    this.firstBatchSeq = options.firstBatchSeq
    this.nextBatchSeq = options.firstBatchSeq
    if (options.place !== null) this.segments.push(new SegmentIndex(options.place, options.firstBatchSeq))
  }

  /** Number of the next batch. */
  get next(): BatchSeq {
    return this.nextBatchSeq
  }

  /** Number in the log of the segment that would be added now. */
  get nextOrdinal(): number {
    const last = this.segments.at(-1)
    return last === undefined ? 0 : last.ordinal + 1
  }

  /** Where the next batch stands if it fits there; null while the log has no segment. */
  get headPlace(): LogPlace | null {
    const last = this.segments.at(-1)
    return last === undefined ? null : { segment: last.segment, offset: last.endOffset, ordinal: last.ordinal }
  }

  /** Whether a batch with such a body fits behind the last one in its segment. */
  fitsSegment(bodyBytes: Bytes): boolean {
    const last = this.segments.at(-1)
    return last !== undefined && last.endOffset + storedBytesFor(bodyBytes) <= this.segmentBytes
  }

  addSegment(segment: number): void {
    const place = { segment, offset: SEGMENT_HEADER_BYTES, ordinal: this.nextOrdinal }
    this.segments.push(new SegmentIndex(place, this.nextBatchSeq))
  }

  /** The next batch stands at the end of the last segment. */
  push(batch: IndexedBatch): void {
    const last = this.segments.at(-1)
    assert(last !== undefined && this.fitsSegment(batch.bodyBytes), `batch fits batchSeq=${batch.batchSeq}`)
    assert(batch.batchSeq === this.nextBatchSeq, `batches follow batchSeq=${batch.batchSeq}`)
    last.push(batch)
    this.nextBatchSeq += 1
  }

  /** The segment that holds the batch, or null. */
  find(batchSeq: BatchSeq): SegmentIndex | null {
    if (batchSeq >= this.nextBatchSeq) return null
    let low = 0
    let high = this.segments.length - 1
    while (low < high) {
      const middle = (low + high + 1) >> 1
      if ((this.segments[middle] as SegmentIndex).firstBatchSeq <= batchSeq) low = middle
      else high = middle - 1
    }
    const found = this.segments[low]
    if (found === undefined || batchSeq < Math.max(found.firstBatchSeq, this.firstBatchSeq)) return null
    return batchSeq < found.firstBatchSeq + found.count ? found : null
  }

  /** Where batch `batchSeq` stands, or would stand if it is the next one. */
  placeOf(batchSeq: BatchSeq): LogPlace | null {
    const found = this.find(batchSeq)
    if (found === null) return this.headPlace
    return { segment: found.segment, offset: found.offset(batchSeq), ordinal: found.ordinal }
  }

  /** Where the next batch will stand after cutFrom(batchSeq). */
  placeAfterCut(batchSeq: BatchSeq): LogPlace | null {
    const last = this.segments[this.keptByCut(batchSeq) - 1]
    if (last === undefined) return null
    return { segment: last.segment, offset: last.offsetAfterCut(batchSeq), ordinal: last.ordinal }
  }

  /** Forgets the batches before `batchSeq`, and returns the segments before `ordinal`, in which nothing is left. */
  trimTo(batchSeq: BatchSeq, ordinal: number): number[] {
    this.firstBatchSeq = batchSeq
    const dropped = this.segments.filter((each) => each.ordinal < ordinal)
    this.segments = this.segments.filter((each) => each.ordinal >= ordinal)
    return dropped.map((each) => each.segment)
  }

  /** Forgets the batches from `batchSeq` on; returns the segments in which nothing is left. */
  cutFrom(batchSeq: BatchSeq): number[] {
    const dropped = this.segments.splice(this.keptByCut(batchSeq))
    this.segments.at(-1)?.cut(batchSeq)
    this.nextBatchSeq = Math.min(this.nextBatchSeq, batchSeq)
    return dropped.map((each) => each.segment)
  }

  /** Segments that a cut leaves. The first one stays although nothing is left in it: the log goes on there. */
  private keptByCut(batchSeq: BatchSeq): number {
    let kept = this.segments.length
    while (kept > 1 && (this.segments[kept - 1]?.firstBatchSeq ?? 0) >= batchSeq) kept -= 1
    return kept
  }
}
