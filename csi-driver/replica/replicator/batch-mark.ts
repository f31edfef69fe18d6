// What a batch is known by: its number and the hash of its header. Kept as plain numbers, so that remembering the last one
// costs no bigint per batch.
import type { BatchSeq } from '../../../base/units.ts'
import { BATCH_HEADER } from '../../batch/batch-format.ts'
import type { BatchFrame } from '../wire/envelope.ts'

export interface BatchIdentity {
  readonly batchSeq: BatchSeq
  readonly hash: bigint
}

const H = BATCH_HEADER.offsets

export class BatchMark {
  batchSeq: BatchSeq = 0
  private hashLow = 0
  private hashHigh = 0

  get identity(): BatchIdentity {
    return { batchSeq: this.batchSeq, hash: (BigInt(this.hashHigh) << 32n) | BigInt(this.hashLow) }
  }

  set({ batchSeq, hash }: BatchIdentity): void {
    this.batchSeq = batchSeq
    this.hashLow = Number(hash & 0xffff_ffffn)
    this.hashHigh = Number(hash >> 32n)
  }

  copyFrom(other: BatchMark): void {
    this.batchSeq = other.batchSeq
    this.hashLow = other.hashLow
    this.hashHigh = other.hashHigh
  }

  /** Reads the header of a sealed batch. Hot: allocates nothing. */
  read({ buffer, start }: BatchFrame): void {
    const at = start + H.batchSeq
    this.batchSeq = buffer.readUInt32LE(at) + buffer.readUInt32LE(at + 4) * 2 ** 32
    this.hashLow = buffer.readUInt32LE(start + H.headerHash)
    this.hashHigh = buffer.readUInt32LE(start + H.headerHash + 4)
  }
}
