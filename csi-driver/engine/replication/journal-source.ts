// The own log as learners are filled from it: read batch by batch and verified, so that a bad sector of the own cache
// never reaches a copy.
import type { BatchSeq } from '../../../base/units.ts'
import { BatchView, PAYLOAD_OK } from '../../batch/batch-view.ts'
import type { AlignedMemory } from '../../io/storage.ts'
import type { Journal } from '../../journal/journal.ts'
import type { LogBegin, LogName } from '../../protocol/stored-log.ts'
import type { BatchFrame, BatchSource } from '../../replica/replicator.ts'

export class JournalSource implements BatchSource {
  private readonly journal: Journal
  private readonly memory: AlignedMemory
  /** Of reads that have ended; each learner has one under way at a time. */
  private readonly buffers: Buffer[] = []

  constructor(journal: Journal, memory: AlignedMemory) {
    this.journal = journal
    this.memory = memory
  }

  get lineage(): readonly LogName[] {
    return this.journal.superblock.lineage
  }

  get begin(): LogBegin {
    const { batchSeq, seq, previousHash } = this.journal.superblock.tail
    return { batchSeq, seq, previousHash }
  }

  get lastBatchSeq(): BatchSeq {
    return this.journal.lastCompleteBatchSeq
  }

  get lastHash(): bigint {
    return this.journal.lastCompleteHash
  }

  readBatch(batchSeq: BatchSeq, done: (error: Error | null, frame: BatchFrame | null) => void): void {
    const { frameBytesMax } = this.journal.superblock.geometry
    const buffer = this.buffers.pop() ?? this.memory.allocate(frameBytesMax)
    this.journal.readBatch(batchSeq, buffer, (error, length) => {
      if (error !== null || length === 0) done(error, null)
      else this.verified(buffer, batchSeq, length, done)
      this.buffers.push(buffer)
    })
  }

  private verified(
    buffer: Buffer,
    batchSeq: BatchSeq,
    length: number,
    done: (error: Error | null, frame: BatchFrame | null) => void,
  ): void {
    const view = new BatchView()
    if (view.parse(buffer, 0, length) !== 'ok' || view.batchSeq !== batchSeq || view.checkPayload() !== PAYLOAD_OK) {
      done(new Error(`the own log is damaged batchSeq=${batchSeq}`), null)
      return
    }
    done(null, { buffer, start: 0, headerBytes: view.payloadOffset, payloadBytes: view.payloadBytes })
  }
}
