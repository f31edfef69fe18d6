// The journal of one volume on one cache storage: front door of this folder. It owns the superblock slots and the log
// ring; what lies behind the log (the read cache) belongs to the engine. Format: docs/formats/journal.md.
//
// Invariants (checked at rest by invariants.ts):
//  - Exactly one log write is in flight, so batch k+1 exists only if batch k is complete on the device. (Batches copied
//    into a log that no superblock vouches for yet may share a write.)
//  - A batch is appended only under the (epoch, run) and logUuid of a superblock that is durable.
//  - Space is re-used only below the tail of a durable superblock, which itself is written only after the caller's
//    backing flush (the caller's duty, invariant 7 of ARCHITECTURE.md).
//  - Numbers only grow: batchSeq and seq by one, ackedSeq, trimSeq and (epoch, run) never fall.
// A failed write ends appends for good: what is on the device then is known only to the next recovery.
import { assert } from '../../base/assert.ts'
import { CacheError, type IoError } from '../../base/errors.ts'
import type { BatchSeq, Bytes, Epoch, Ms, Run, Seq } from '../../base/units.ts'
import type { BatchBuilder, SealFields } from '../batch/batch-builder.ts'
import type { BatchView } from '../batch/batch-view.ts'
import type { AlignedMemory, IoDone, Storage } from '../io/storage.ts'
import type { BatchMarks } from './batch-marks.ts'
import { type BatchOrder, compareRuns } from './batch-order.ts'
import { currentLogUuid, keepsLineage, pruneLineage } from './lineage.ts'
import type { LogRing } from './log-ring.ts'
import { LogRecovery, type RecoveryOptions, type RecoveryReport } from './recovery.ts'
import {
  EDGE_HASHES,
  type LineageEntry,
  type LogTail,
  SUPERBLOCK_SLOTS,
  type Superblock,
  uuidBytes,
} from './superblock.ts'
import { newestSuperblock, readSlots, SUPERBLOCK_COPIES, SuperblockWriter } from './superblock-store.ts'

export { currentLogUuid, promotePending } from './lineage.ts'
export { type BatchVisitor, LogCorruptError, type RecoveryReport } from './recovery.ts'
export {
  type LogGeometry,
  type LogTail,
  SUPERBLOCK_AREA_BYTES,
  type Superblock,
} from './superblock.ts'
export { probeCache } from './superblock-store.ts'

/** Superblock updates that may wait at once; callers are few and each waits for its answer. */
export const SUPERBLOCK_UPDATES_MAX = 64

/** What a caller may change in the superblock; tail and head are the journal's own. */
export type SuperblockChanges = Partial<
  Pick<
    Superblock,
    | 'wallMs'
    | 'incarnation'
    | 'registerNonce'
    | 'epoch'
    | 'run'
    | 'lineage'
    | 'pendingLineage'
    | 'backing'
    | 'edgeHashes'
    | 'registerRecord'
    | 'intent'
  >
>

/** What formatJournal needs; the rest begins empty. */
export type NewJournal = Pick<
  Superblock,
  'volumeUuid' | 'storeUuid' | 'volumeName' | 'registerNonce' | 'geometry' | 'sectorBytes' | 'resource' | 'backing'
> & {
  /** Of the first lineage entry, 32 hexadecimal digits. */
  readonly logUuid: string
  readonly wallMs: Ms
  readonly incarnation?: number
  readonly epoch?: Epoch
  readonly run?: Run
  readonly edgeHashes?: Uint32Array
  readonly registerRecord?: string
  readonly intent?: string
  /** Where numbering begins; absent = batch 1, seq 1. */
  readonly begin?: Pick<LogTail, 'batchSeq' | 'seq' | 'previousHash'>
  /** Names of the log that is copied here; absent = one, `logUuid`, from the first batch on. */
  readonly lineage?: readonly LineageEntry[]
}

export interface AppendFields {
  /** Every record up to it has been replied to. Lower values than before are ignored. */
  ackedSeq: Seq
  session: bigint
  wallMs: Ms
}

/** Where the batch of the last append stands; valid after `append` was called, also while it is in flight. */
export interface LastAppend {
  position: Bytes
  payloadPosition: Bytes
  firstSeq: Seq
  batchSeq: BatchSeq
}

/** Whole frames on their way into the ring. */
export interface CopiedFrames {
  /** From AlignedMemory; buffer[start, start+length) belongs to the journal until the write is done. */
  readonly buffer: Buffer
  readonly start: number
  readonly length: Bytes
  readonly position: Bytes
  readonly lastBatchSeq: BatchSeq
}

export interface Ownership {
  readonly epoch: Epoch
  readonly run: Run
  readonly logUuid: string
}

interface QueuedUpdate {
  readonly changes: SuperblockChanges
  /** Batches up to this one are trimmed by it; 0 = none. */
  readonly trimBatchSeq: BatchSeq
  readonly done: IoDone
}

export class Journal {
  /** What opening it found. */
  readonly recovery: RecoveryReport
  /** Result of the last append call; one object, overwritten by the next. */
  readonly lastAppend: LastAppend = { position: 0, payloadPosition: 0, firstSeq: 0, batchSeq: 0 }
  private readonly storage: Storage
  private readonly ring: LogRing
  private readonly marks: BatchMarks
  /** Of what recovery has found and what was copied since. */
  private readonly order: BatchOrder
  private readonly writer: SuperblockWriter
  private readonly openedRun: { epoch: Epoch; run: Run }
  private readonly seal: SealFields
  private durable: Superblock
  private ownership: Ownership | null = null
  private inFlight: IoDone | null = null
  private failure: IoError | null = null
  private appendedBatchSeq: BatchSeq
  private completeBatchSeq: BatchSeq
  private appendedSeq: Seq
  private queued: QueuedUpdate[] = []

  /** Use openJournal. */
  constructor(parts: {
    storage: Storage
    superblock: Superblock
    recovery: RecoveryReport
    log: LogRecovery
    writer: SuperblockWriter
  }) {
    const { superblock, recovery, log } = parts
    this.storage = parts.storage
    this.recovery = recovery
    this.ring = log.ring
    this.marks = log.marks
    this.order = log.order
    this.writer = parts.writer
    this.durable = superblock
    this.openedRun = { epoch: superblock.epoch, run: superblock.run }
    this.appendedBatchSeq = recovery.lastBatchSeq
    this.completeBatchSeq = recovery.lastBatchSeq
    this.appendedSeq = recovery.lastSeq
    this.seal = {
      volumeUuid: uuidBytes(superblock.volumeUuid),
      logUuid: uuidBytes(currentLogUuid(superblock.lineage)),
      epoch: superblock.epoch,
      run: superblock.run,
      batchSeq: 0,
      firstSeq: 0,
      ackedSeq: recovery.ackedSeq,
      trimSeq: superblock.tail.seq - 1,
      previousHash: log.order.previousHash,
      wallMs: 0,
      session: 0n,
    }
  }

  /** The newest durable superblock. */
  get superblock(): Superblock {
    return this.durable
  }
  get appendInFlight(): boolean {
    return this.inFlight !== null
  }
  /** The error that ended appends for good, or null. */
  get failed(): IoError | null {
    return this.failure
  }
  /** Seq of the last record, in flight or complete. */
  get lastSeq(): Seq {
    return this.appendedSeq
  }
  /** Number of the last batch, in flight or complete. */
  get lastBatchSeq(): BatchSeq {
    return this.appendedBatchSeq
  }
  /** Number of the last batch that is complete on the device. */
  get lastCompleteBatchSeq(): BatchSeq {
    return this.completeBatchSeq
  }
  /** Every record up to it is trimmed, durably. */
  get trimSeq(): Seq {
    return this.durable.tail.seq - 1
  }
  /** Largest ackedSeq that a batch carries so far. */
  get ackedSeq(): Seq {
    return this.seal.ackedSeq
  }
  /** Un-trimmed log, gaps and frame padding included. */
  get usedBytes(): Bytes {
    return this.ring.usedBytes
  }
  /** What ordinary batches may still take. */
  get freeBytes(): Bytes {
    return this.ring.freeBytes
  }
  /** headerHash of the last batch, in flight or complete; 0 where there never was one. */
  get lastHash(): bigint {
    return this.seal.previousHash
  }
  /** headerHash of a complete batch that the log holds; null of any other. */
  hashAt(batchSeq: BatchSeq): bigint | null {
    if (batchSeq < this.durable.tail.batchSeq || batchSeq > this.completeBatchSeq) return null
    return this.marks.tailAfter(batchSeq).previousHash
  }
  /** Which un-trimmed batch has the byte at `position`, and where its frame begins; null: none. */
  batchAt(position: Bytes): { readonly batchSeq: BatchSeq; readonly position: Bytes } | null {
    const { tail } = this.durable
    const batchSeq = this.marks.batchAt(position, tail.position)
    return batchSeq === 0 ? null : { batchSeq, position: this.marks.rangeOf(batchSeq, tail.position).position }
  }
  /** headerHash of the last batch that is complete on the device. */
  get lastCompleteHash(): bigint {
    const { tail } = this.durable
    const { completeBatchSeq } = this
    return completeBatchSeq < tail.batchSeq ? tail.previousHash : this.marks.tailAfter(completeBatchSeq).previousHash
  }
  get isEmpty(): boolean {
    return this.appendedBatchSeq < this.durable.tail.batchSeq
  }
  get isUpdatingSuperblock(): boolean {
    return this.writer.isBusy || this.queued.length > 0
  }

  /** Whether an ordinary batch of this length fits now. Space only: says nothing about a write in flight. Hot. */
  canAppend(frameBytes: Bytes): boolean {
    return this.ring.fits(frameBytes)
  }

  /** The same for a batch that may use the space kept back (idle frames, batches taken over from a peer). */
  canAppendReserved(frameBytes: Bytes): boolean {
    return this.ring.fitsReserved(frameBytes)
  }

  /**
   * Allows appends under an ownership that the durable superblock already names. Its (epoch, run) must be newer than
   * the one the journal was opened with: leftovers of a torn batch are void only under an older run.
   */
  setOwnership(ownership: Ownership): void {
    const { epoch, run, lineage } = this.durable
    assert(epoch === ownership.epoch && run === ownership.run, `superblock names epoch=${epoch} run=${run}`)
    assert(currentLogUuid(lineage) === ownership.logUuid, 'superblock names the log')
    assert(compareRuns(ownership, this.openedRun) > 0, `run is new epoch=${epoch} run=${run}`)
    assert(this.inFlight === null, 'no append is in flight')
    this.ownership = ownership
    this.seal.epoch = epoch
    this.seal.run = run
    this.seal.logUuid = uuidBytes(ownership.logUuid)
  }

  /**
   * Seals the batch and writes it at the head. The caller has asked canAppend (or canAppendReserved), no append is in
   * flight and none has failed. The builder belongs to the journal until `done`, which may run before this returns.
   * `onSealed` runs before the write begins, which may take the thread: the frame is on its way to the peers by then.
   */
  append(builder: BatchBuilder, fields: AppendFields, done: IoDone, onSealed?: () => void): void {
    assert(this.inFlight === null && this.failure === null, 'no append is in flight or failed')
    assert(this.ownership !== null, 'ownership is set')
    const { seal, lastAppend } = this
    const frameBytes = builder.frameBytes
    const position = this.ring.take(frameBytes)
    seal.batchSeq = this.appendedBatchSeq + 1
    seal.firstSeq = this.appendedSeq + 1
    seal.ackedSeq = Math.max(seal.ackedSeq, fields.ackedSeq)
    seal.trimSeq = this.trimSeq
    seal.wallMs = fields.wallMs
    seal.session = fields.session
    seal.previousHash = builder.seal(seal)
    this.appendedBatchSeq = seal.batchSeq
    this.appendedSeq += builder.count
    this.marks.push(this.ring.head, this.appendedSeq + 1, seal.previousHash)
    lastAppend.position = position
    lastAppend.payloadPosition = position + frameBytes - builder.paddedPayloadBytes
    lastAppend.firstSeq = seal.firstSeq
    lastAppend.batchSeq = seal.batchSeq
    this.inFlight = done
    onSealed?.()
    this.storage.write(builder.buffer, builder.frameStart, frameBytes, position, this.onAppended)
  }

  /**
   * Takes the place in the ring of a batch that another copy of this log holds (rule 3.3), before this engine owns the
   * log; writeCopied then writes it there, byte for byte. The view has parsed the frame, and its payload was checked.
   * Returns its position. Throws CacheError where the batch does not follow the last one or finds no room.
   */
  place(view: BatchView): Bytes {
    assert(this.ownership === null && this.failure === null, 'a batch is copied before the log is owned')
    const { seal, order } = this
    const { batchSeq, frameBytes } = view
    if (batchSeq !== this.appendedBatchSeq + 1 || !order.isOfLog(view) || !order.follows(view)) {
      throw new CacheError('corrupt', 'CACHE_LOG_DIFFERS', `a copied batch does not follow batchSeq=${batchSeq}`)
    }
    if (!this.ring.fitsReserved(frameBytes)) throw logTooSmall(this.durable.geometry.logBytes)
    const position = this.ring.take(frameBytes)
    order.take(view)
    seal.previousHash = view.headerHash
    seal.ackedSeq = view.ackedSeq
    this.appendedBatchSeq = batchSeq
    this.appendedSeq = view.lastSeq
    this.marks.push(this.ring.head, view.lastSeq + 1, view.headerHash)
    return position
  }

  /** Writes placed frames that lie one behind the other, `lastBatchSeq` the last of them. Durable at `done`. */
  writeCopied({ buffer, start, length, position, lastBatchSeq }: CopiedFrames, done: IoDone): void {
    assert(this.inFlight === null, 'no write is in flight')
    this.inFlight = done
    this.storage.write(buffer, start, length, position, (error) => this.onWritten(error, lastBatchSeq))
  }

  /**
   * Reads the frame of a complete batch to the start of `buffer` (from AlignedMemory, at least frameBytesMax long).
   * `done` gets its length, or 0 when the batch has been trimmed, also meanwhile. What was read is not verified.
   */
  readBatch(batchSeq: BatchSeq, buffer: Buffer, done: (error: IoError | null, frameBytes: Bytes) => void): void {
    assert(batchSeq <= this.completeBatchSeq, `the batch is complete batchSeq=${batchSeq}`)
    if (batchSeq < this.durable.tail.batchSeq) {
      done(null, 0)
      return
    }
    const { position, end } = this.marks.rangeOf(batchSeq, this.durable.tail.position)
    this.storage.read(buffer, 0, end - position, position, (error) =>
      done(error, error === null && batchSeq >= this.durable.tail.batchSeq ? end - position : 0),
    )
  }

  /**
   * Changes the superblock durably. Updates are serialised; those that wait are merged into one write. On an error the
   * outcome is unknown, and appends have ended for good.
   * Ownership must be set again after epoch, run or lineage have changed.
   */
  updateSuperblock(changes: SuperblockChanges, done: IoDone): void {
    this.queueUpdate({ changes, trimBatchSeq: 0, done })
  }

  /**
   * Trims everything up to and including `batchSeq`: destaged and flushed on the backing, replied to the front end (the
   * caller's duties). Older numbers than the present tail change nothing. The space is free when `done` runs.
   */
  checkpoint(batchSeq: BatchSeq, changes: SuperblockChanges, done: IoDone): void {
    assert(batchSeq <= this.completeBatchSeq, `trimmed batches are complete batchSeq=${batchSeq}`)
    this.queueUpdate({ changes, trimBatchSeq: batchSeq, done })
  }

  private readonly onAppended: IoDone = (error) => this.onWritten(error, this.appendedBatchSeq)

  private onWritten(error: IoError | null, lastBatchSeq: BatchSeq): void {
    const done = this.inFlight
    assert(done !== null, 'an append is in flight')
    this.inFlight = null
    if (error === null) this.completeBatchSeq = lastBatchSeq
    else this.failure ??= error
    done(error)
  }

  private queueUpdate(update: QueuedUpdate): void {
    assert(this.queued.length < SUPERBLOCK_UPDATES_MAX, 'superblock updates are bounded')
    const { epoch, run, lineage } = update.changes
    if (epoch !== undefined || run !== undefined || lineage !== undefined) {
      assert(this.inFlight === null, 'no append is in flight while ownership changes')
      this.ownership = null
    }
    this.queued.push(update)
    if (!this.writer.isBusy) this.writeUpdates()
  }

  private writeUpdates(): void {
    const updates = this.queued
    this.queued = []
    const trimBatchSeq = updates.reduce((most, update) => Math.max(most, update.trimBatchSeq), 0)
    let changes: SuperblockChanges = {}
    for (const update of updates) changes = { ...changes, ...update.changes }
    this.writer.write(this.nextSuperblock(changes, trimBatchSeq), SUPERBLOCK_COPIES, (error, written) => {
      if (written === null) this.failure ??= error
      else this.onSuperblockDurable(written)
      // The next write starts before the answers: a caller that asks for more in its answer is then queued behind.
      if (this.queued.length > 0) this.writeUpdates()
      for (const update of updates) update.done(error)
    })
  }

  private nextSuperblock(changes: SuperblockChanges, trimBatchSeq: BatchSeq): Superblock {
    const { durable } = this
    const tail = trimBatchSeq >= durable.tail.batchSeq ? this.marks.tailAfter(trimBatchSeq) : durable.tail
    const next = { ...durable, ...changes, tail, headBatchSeq: this.completeBatchSeq + 1 }
    const runChange = compareRuns(next, durable)
    assert(runChange >= 0, `run only grows epoch=${next.epoch} run=${next.run}`)
    const kept = { from: durable.tail.batchSeq, to: this.appendedBatchSeq + 1 }
    assert(keepsLineage(next.lineage, durable.lineage, kept), 'lineage of existing batches is kept')
    return {
      ...next,
      lineage: pruneLineage(next.lineage, tail.batchSeq),
      // What a failed append may have left behind was never acknowledged; the new run voids it too.
      runFirstBatchSeq: runChange > 0 ? this.completeBatchSeq + 1 : durable.runFirstBatchSeq,
    }
  }

  private onSuperblockDurable(written: Superblock): void {
    this.ring.release(written.tail.position)
    this.marks.dropBefore(written.tail.batchSeq)
    this.durable = written
  }
}

function logTooSmall(logBytes: Bytes): CacheError {
  return new CacheError(
    'invalid',
    'CACHE_LOG_TOO_SMALL',
    `the log of the other copies does not fit logBytes=${logBytes}`,
    {
      remedy: 'Give this node a cache at least as large as that of the node that owned the volume (--cache-size).',
    },
  )
}

function newSuperblock(fields: NewJournal, generation: number): Superblock {
  const { logUuid, begin, lineage, ...rest } = fields
  const tail = { position: fields.geometry.logStart, batchSeq: 1, seq: 1, previousHash: 0n, ...begin }
  return {
    incarnation: 1,
    epoch: 0,
    run: 0,
    edgeHashes: new Uint32Array(EDGE_HASHES),
    registerRecord: '',
    intent: '',
    ...rest,
    generation,
    copy: 1,
    runFirstBatchSeq: tail.batchSeq,
    headBatchSeq: tail.batchSeq,
    lineage: lineage ?? [{ logUuid, firstBatchSeq: tail.batchSeq }],
    pendingLineage: null,
    tail,
  }
}

/**
 * Makes an empty journal, whatever stood there before; the caller has decided that it may go. All four slots are
 * written; older batches in the ring are void under the new logUuid, which must never have been used. Rejects with
 * IoError. Resolves with the superblock for openJournal.
 */
export async function formatJournal(options: {
  storage: Storage
  memory: AlignedMemory
  superblock: NewJournal
}): Promise<Superblock> {
  const { storage, memory } = options
  const before = newestSuperblock(await readSlots(storage, memory))
  const superblock = newSuperblock(options.superblock, before?.generation ?? 0)
  const writer = new SuperblockWriter(storage, memory, superblock.generation)
  return new Promise((resolve, reject) => {
    writer.write(superblock, SUPERBLOCK_SLOTS, (error, written) => {
      if (written === null) reject(error ?? new Error('superblock write without result'))
      else resolve(written)
    })
  })
}

/**
 * Reads the log and opens it; writes nothing. `onBatch` gets every un-trimmed batch in order. Rejects with
 * LogCorruptError (CACHE_LOG_CORRUPT), CacheError CACHE_TRUNCATED or IoError. Before the first append the caller makes a new run durable with
 * updateSuperblock and calls setOwnership.
 */
export async function openJournal(options: RecoveryOptions): Promise<Journal> {
  const { storage, memory, superblock } = options
  const { cacheBytes } = superblock.geometry
  if (cacheBytes > storage.sizeBytes) {
    throw new CacheError(
      'corrupt',
      'CACHE_TRUNCATED',
      `cache storage is shorter than its superblock says storage=${storage.name} sizeBytes=${storage.sizeBytes} cacheBytes=${cacheBytes}`,
      { remedy: 'Give the whole cache file or partition; if it was cut off, what stood behind is lost.' },
    )
  }
  const log = new LogRecovery(options)
  const recovery = await log.recover()
  const writer = new SuperblockWriter(storage, memory, superblock.generation)
  return new Journal({ storage, superblock, recovery, log, writer })
}
