// Batches of another copy on their way into the own log: restored and verified where they are written from, placed one
// behind the other, and written in long runs, one write at a time, while the next run fills the other buffer. A batch is
// on the device when `settled` has resolved without an error, and counts only when a superblock says so.
import type { IoError } from '../../../base/errors.ts'
import type { BatchSeq, Bytes } from '../../../base/units.ts'
import { MIB } from '../../../base/units.ts'
import type { BatchView } from '../../batch/batch-view.ts'
import type { AlignedMemory } from '../../io/storage.ts'
import type { Journal } from '../../journal/journal.ts'
import type { BatchTaker } from '../../replica/replicator.ts'
import { once } from '../generation.ts'

/** Of each of the two buffers; longer than any frame. Larger writes are hardly faster on disks that were measured. */
export const RUN_BYTES_MAX: Bytes = 4 * MIB

export interface CopyOptions {
  /**
   * `one`: a batch is durable before the next one is written. For a log that counts already, in which a later batch
   * proves that those before it were complete. `runs`: for one that nothing vouches for yet.
   */
  readonly writes: 'one' | 'runs'
  /** Called for each batch in order, before it is written; the view is valid only during the call. */
  readonly onPlaced: (view: BatchView, position: Bytes) => void
}

interface Half {
  readonly buffer: Buffer
  /** Settles, never rejects, when nothing is written from it any more. */
  written: Promise<void>
}

export class CopiedBatches implements BatchTaker {
  private readonly journal: Journal
  private readonly options: CopyOptions
  private filling: Half
  private other: Half
  /** Of the buffer that is filled: frames stand up to `filled`, those from `begun` on are to be written. */
  private begun = 0
  private filled = 0
  /** Where the frame at `begun` goes. */
  private position: Bytes = 0
  private lastBatchSeq: BatchSeq = 0
  private writes: Promise<void> = Promise.resolve()
  private error: IoError | null = null

  constructor(journal: Journal, memory: AlignedMemory, options: CopyOptions) {
    this.journal = journal
    this.options = options
    this.filling = { buffer: memory.allocate(RUN_BYTES_MAX), written: this.writes }
    this.other = { buffer: memory.allocate(RUN_BYTES_MAX), written: this.writes }
  }

  async room(frameBytes: Bytes): Promise<{ readonly buffer: Buffer; readonly start: number }> {
    if (this.filled + frameBytes > RUN_BYTES_MAX) {
      this.writeOut()
      const next = this.other
      this.other = this.filling
      this.filling = next
      this.begun = 0
      this.filled = 0
      await next.written
    }
    if (this.error !== null) throw this.error
    return { buffer: this.filling.buffer, start: this.filled }
  }

  /** Throws CacheError where the batch does not follow the log's end or finds no room. */
  take(view: BatchView): void {
    const { frameBytes, batchSeq } = view
    const position = this.journal.place(view)
    if (position !== this.position + this.filled - this.begun) {
      this.writeOut()
      this.position = position
    }
    this.filled += frameBytes
    this.lastBatchSeq = batchSeq
    this.options.onPlaced(view, position)
    if (this.options.writes === 'one') this.writeOut()
  }

  /** Resolves when nothing is written any more, with the error after which nothing was, or null. */
  async settled(): Promise<IoError | null> {
    this.writeOut()
    await this.writes
    return this.error
  }

  private writeOut(): void {
    const { filling, begun, filled, position, lastBatchSeq } = this
    if (begun === filled) return
    this.begun = filled
    this.position = position + filled - begun
    const frames = { buffer: filling.buffer, start: begun, length: filled - begun, position, lastBatchSeq }
    this.writes = this.writes.then(async () => {
      this.error ??= await once((done) => this.journal.writeCopied(frames, done))
    })
    filling.written = this.writes
  }
}
