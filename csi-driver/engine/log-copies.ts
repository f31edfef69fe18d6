// The log of the volume in all its copies: the own journal and the replica stores of peers. A batch is written when every
// copy that counts has it, and trimmed when every copy has let go of it (invariants 1 and 7, PROTOCOL.md 2.1, 2.4).
//
//   append ─┬─▶ peers   (sent first: the own write may take the thread)
//           └─▶ own log
//
// Which peers count, and what happens to one that does not answer, is decided in membership.ts.
import { assert } from '../../base/assert.ts'
import type { IoError } from '../../base/errors.ts'
import type { BatchSeq, Bytes } from '../../base/units.ts'
import type { BatchBuilder } from '../batch/batch-builder.ts'
import type { IoDone } from '../io/storage.ts'
import type { AppendFields, Journal } from '../journal/journal.ts'

/** A sealed batch where it stands. The buffer is the engine's: void for a peer once its copy is no more waited for. */
export interface BatchFrame {
  buffer: Buffer
  start: number
  headerBytes: Bytes
  /** Data without its padding. */
  payloadBytes: Bytes
}

/** What the log needs of the peers; replica/replicator.ts. */
export interface PeerCopies {
  /** `done` runs when every peer that is waited for has the batch, possibly before this returns. */
  append(frame: BatchFrame, batchSeq: BatchSeq, done: () => void): void
  /** `done` runs when no peer that is waited for, and no learner, holds a record of these batches any more. */
  trim(batchSeq: BatchSeq, done: () => void): void
  /** Reads a batch back from a member that holds it; the verified frame is the caller's. */
  fetchBatch(batchSeq: BatchSeq, done: (error: Error | null, frame: Buffer | null) => void): void
  /** Once per turn in which answers are given: a host that slept has no leases. Costs a look at the boot clock. */
  noticeSleep(): void
  /** Rule 8.3: every listed member other than the own store has given a lease that still runs. Hot: no allocation. */
  leaseValid(): boolean
}

export class LogCopies {
  /** Null: the volume has no peers. */
  peers: PeerCopies | null = null
  private readonly journal: Journal
  private readonly frame: BatchFrame = { buffer: Buffer.alloc(0), start: 0, headerBytes: 0, payloadBytes: 0 }
  /** The trim under way, and the one that follows it. */
  private trimUnderWay = false
  private trimWaiting: { readonly batchSeq: BatchSeq; readonly done: () => void } | null = null
  private builder: BatchBuilder | null = null
  private done: IoDone | null = null
  private pending = 0
  private error: IoError | null = null

  constructor(journal: Journal) {
    this.journal = journal
  }

  /** Whether the engine may read from the cache and acknowledge, as far as leases go. */
  get leaseValid(): boolean {
    return this.peers === null || this.peers.leaseValid()
  }

  /**
   * Writes the batch to every copy. `done` runs once all have answered, with the error of the own log if it has one:
   * until then the builder's memory is in use.
   */
  append(builder: BatchBuilder, fields: AppendFields, done: IoDone): void {
    if (this.peers === null) {
      this.journal.append(builder, fields, done)
      return
    }
    this.builder = builder
    this.done = done
    this.error = null
    this.pending = 2
    this.journal.append(builder, fields, this.onOwn, this.onSealed)
  }

  /** Some copy may hold what the own log has trimmed: nothing may be written past the log (2.3, 2.4). */
  get isTrimming(): boolean {
    return this.trimUnderWay
  }

  /**
   * Tells the peers to let go of everything up to and including `batchSeq`; the own log is trimmed already. One at a time;
   * one more may wait.
   */
  trim(batchSeq: BatchSeq, done: () => void): void {
    if (this.peers === null) {
      done()
      return
    }
    if (this.trimUnderWay) {
      assert(this.trimWaiting === null, 'one trim waits at most')
      this.trimWaiting = { batchSeq, done }
      return
    }
    this.trimUnderWay = true
    this.peers.trim(batchSeq, () => {
      this.trimUnderWay = false
      const next = this.trimWaiting
      this.trimWaiting = null
      done()
      if (next !== null) this.trim(next.batchSeq, next.done)
    })
  }

  private readonly onSealed = (): void => {
    const { builder, frame, journal, peers } = this
    if (builder === null || peers === null) return
    frame.buffer = builder.buffer
    frame.start = builder.frameStart
    frame.headerBytes = builder.frameBytes - builder.paddedPayloadBytes
    frame.payloadBytes = builder.payloadBytes
    peers.append(frame, journal.lastAppend.batchSeq, this.onPeers)
  }

  private readonly onPeers = (): void => this.partDone()

  private readonly onOwn = (error: IoError | null): void => {
    this.error = error
    this.partDone()
  }

  private partDone(): void {
    this.pending -= 1
    if (this.pending > 0) return
    const { done, error } = this
    this.done = null
    this.builder = null
    done?.(error)
  }
}
