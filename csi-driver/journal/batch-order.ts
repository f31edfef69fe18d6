// What the batches up to here say about the next one: its place in the chain, its numbers, its log. Recovery asks before
// it takes a batch from the ring, and the journal before it takes one from another copy.
import type { Epoch, Run, Seq } from '../../base/units.ts'
import type { BatchView } from '../batch/batch-view.ts'
import { isInLineage } from './lineage.ts'
import type { Superblock } from './superblock.ts'

interface EpochRun {
  readonly epoch: Epoch
  readonly run: Run
}

/** Compares (epoch, run) pairs: below 0 when left is older. */
export function compareRuns(left: EpochRun, right: EpochRun): number {
  return left.epoch === right.epoch ? left.run - right.run : left.epoch - right.epoch
}

export class BatchOrder {
  /** Of the first record of the next batch. */
  seq: Seq
  /** headerHash of the last batch; 0 where there never was one. */
  previousHash: bigint
  /** Largest of the batches so far: every record up to it had been replied to. */
  ackedSeq: Seq = 0
  private readonly superblock: Superblock
  private lastRun: EpochRun = { epoch: 0, run: 0 }
  private trimSeq: Seq = 0

  /** Begins at the tail of the superblock. */
  constructor(superblock: Superblock) {
    this.superblock = superblock
    this.seq = superblock.tail.seq
    this.previousHash = superblock.tail.previousHash
  }

  /** Whether the parsed header names the volume, and the log as it is called at its number. */
  isOfLog(view: BatchView): boolean {
    const { superblock } = this
    return view.volumeUuid === superblock.volumeUuid && isInLineage(superblock.lineage, view.batchSeq, view.logUuid)
  }

  /** Whether the parsed header can stand behind the batches before it and under the superblock. */
  follows(view: BatchView): boolean {
    const { superblock } = this
    if (view.previousHash !== this.previousHash || view.firstSeq !== this.seq) return false
    if (compareRuns(view, this.lastRun) < 0 || compareRuns(view, superblock) > 0) return false
    return view.ackedSeq >= this.ackedSeq && view.trimSeq >= this.trimSeq && view.trimSeq < superblock.tail.seq
  }

  /** The batch is the last one from now on. */
  take(view: BatchView): void {
    this.seq = view.lastSeq + 1
    this.previousHash = view.headerHash
    this.lastRun = { epoch: view.epoch, run: view.run }
    this.ackedSeq = view.ackedSeq
    this.trimSeq = view.trimSeq
  }
}
