// The log of a volume as the running store knows it: the index of its batches and the numbers of the last one, all of
// them durable. Beside it stands the log's part of the durable slot; together they are the StoredLog of the protocol.
// Pure: stored-volume.ts does the writing and tells this file what has become durable.
import type { BatchSeq, Bytes, Seq } from '../../../base/units.ts'
import type { LogBegin, StoredLog } from '../../protocol/stored-log.ts'
import type { EnvelopeView } from '../wire/envelope-view.ts'
import { LogIndex } from './log-index.ts'
import { mayCarry } from './log-names.ts'
import { storedBytesFor } from './store-geometry.ts'
import type { SlotLog } from './volume-slot.ts'

/** A log that the start could not follow to its end. */
export interface LostLog {
  readonly reason: string
  /** The batch that was complete and is not there; null where it may only be that the storage cannot be read now. */
  readonly batchSeq: BatchSeq | null
  /** Kept as they are until LEARN or discard: they may still be of use to somebody. */
  readonly segments: readonly number[]
}

export class LiveLog {
  readonly index: LogIndex
  lastSeq: Seq
  lastHash: bigint
  ackedSeq: Seq
  storedBytes: Bytes = 0

  /** Empty, beginning where the slot says. */
  constructor(log: SlotLog, segmentBytes: Bytes) {
    this.index = new LogIndex({ segmentBytes, firstBatchSeq: log.tail.batchSeq, place: log.tailPlace })
    this.lastSeq = log.tail.seq - 1
    this.lastHash = log.tail.previousHash
    this.ackedSeq = log.ackedSeq
  }

  get lastBatchSeq(): BatchSeq {
    return this.index.next - 1
  }

  /** The batch is durable at the end of the last segment. */
  push(batch: EnvelopeView, bodyBytes: Bytes): void {
    const { batchSeq, lastSeq, headerHash } = batch
    this.index.push({ batchSeq, bodyBytes, lastSeq, headerHash })
    this.lastSeq = lastSeq
    this.lastHash = headerHash
    this.ackedSeq = Math.max(this.ackedSeq, batch.ackedSeq)
    this.storedBytes += storedBytesFor(bodyBytes)
  }

  /** Why the batch cannot be the next one, in words, or null. */
  problemOf(batch: EnvelopeView, log: SlotLog): string | null {
    if (batch.batchSeq !== this.index.next) return `batch is not the next one expected=${this.index.next}`
    if (!(batch.ackedSeq < batch.firstSeq)) return 'batch acknowledges itself'
    if (batch.previousHash !== this.lastHash) return 'batch does not name the one before'
    if (batch.firstSeq !== this.lastSeq + 1) return `records do not follow expectedSeq=${this.lastSeq + 1}`
    return mayCarry(log.lineage, batch.batchSeq, batch.logUuid) ? null : `batch has another name ${batch.logUuid}`
  }

  /** Where a log begins that is trimmed up to and including `batchSeq`, which is held. */
  beginAfter(batchSeq: BatchSeq): LogBegin | null {
    const found = this.index.find(batchSeq)
    if (found === null) return null
    return { batchSeq: batchSeq + 1, seq: found.lastSeq(batchSeq) + 1, previousHash: found.headerHash(batchSeq) }
  }

  /** The trim from `before` to `tail` is durable. Returns the segments that are free now. */
  trimmed(before: BatchSeq, after: SlotLog): number[] {
    for (let batchSeq = before; batchSeq < after.tail.batchSeq; batchSeq++) {
      this.storedBytes -= storedBytesFor(this.index.find(batchSeq)?.bodyBytes(batchSeq) ?? 0)
    }
    return this.index.trimTo(after.tail.batchSeq, after.tailPlace?.ordinal ?? 0)
  }

  /** The batches from `batchSeq` on are void, durably. Returns the segments that are free now. */
  cutFrom(batchSeq: BatchSeq, after: SlotLog): number[] {
    for (let dropped = batchSeq; dropped < this.index.next; dropped++) {
      this.storedBytes -= storedBytesFor(this.index.find(dropped)?.bodyBytes(dropped) ?? 0)
    }
    const last = this.beginAfter(batchSeq - 1) ?? after.tail
    this.lastSeq = last.seq - 1
    this.lastHash = last.previousHash
    this.ackedSeq = after.ackedSeq
    return this.index.cutFrom(batchSeq)
  }

  /** The protocol's words for it. */
  stored(log: SlotLog): StoredLog {
    const { lineage, pending, tail } = log
    const { lastBatchSeq, lastSeq, lastHash, ackedSeq, storedBytes } = this
    return { lineage, pending, tail, lastBatchSeq, lastSeq, lastHash, ackedSeq, storedBytes }
  }
}
