// The write-back path: requests become records of the open batch; one batch at a time is written to the log; when it is
// durable its records enter the index and the requests are acknowledged, in this order (invariants 1 and 8).
//
//   submit ─▶ open batch ──kick──▶ flying batch ──durable──▶ index ─▶ acknowledge
//               ▲                      │
//               └── collects while ────┘   group commit without timers
//
// A front end splits requests that are longer than one record. Two batches exist and swap roles, so nothing is allocated per request or per batch.
import { assert } from '../../base/assert.ts'
import type { IoError } from '../../base/errors.ts'
import type { Bytes, Ms, Seq } from '../../base/units.ts'
import { BLOCK_BYTES, SECTOR_BYTES, SECTORS_PER_BLOCK } from '../../base/units.ts'
import { BatchBuilder, type WriteRecord } from '../batch/batch-builder.ts'
import { BATCH_RECORDS_MAX, PAYLOAD_OFFSET } from '../batch/batch-format.ts'
import type { IoDone } from '../io/storage.ts'
import { applyWrite, applyZero } from './apply-record.ts'
import type { EngineCore } from './engine-core.ts'
import type { Request } from './request.ts'
import { REQUEST_OK, REQUEST_WRITE, REQUEST_ZERO } from './request.ts'

/** An idle log tells within this time that its newest records were acknowledged (DESIGN.md §7.14). */
export const IDLE_FRAME_DELAY_MS: Ms = 500

const EMPTY = Buffer.alloc(0)

/** A batch on its way, with what has to happen when it is durable. */
class Commit {
  readonly builder: BatchBuilder
  /** The request that record i answers. */
  readonly requests: (Request | null)[] = Array.from<Request | null>({ length: BATCH_RECORDS_MAX }).fill(null)
  readonly sectors = new Float64Array(BATCH_RECORDS_MAX)
  readonly lengths = new Float64Array(BATCH_RECORDS_MAX)
  /** Byte offset of record i's data in the payload; -1 for a ZERO. */
  readonly payloadStarts = new Float64Array(BATCH_RECORDS_MAX)
  readonly done: IoDone

  constructor(core: EngineCore, onDone: (commit: Commit, error: IoError | null) => void) {
    this.builder = new BatchBuilder(core.ports.memory, core.settings.batchLimits)
    this.done = (error) => onDone(this, error)
  }
}

/** A request whose record could not be logged, with a copy of its data. */
export interface UnloggedWrite {
  readonly request: Request
  readonly data: Buffer
}

export interface WritePathEvents {
  /** Records became durable and visible: space and dirty limits may now call for a destage or admit parked writes. */
  onCommitted(): void
  /** A request was logged in write-back, which has ended since: it is answered by the rule of the new phase (2.2). */
  onLoggedBefore(request: Request, seq: Seq): void
  /** The log could not be written: these were not acknowledged and must find another way. */
  onLogFailed(error: IoError, writes: readonly UnloggedWrite[]): void
}

export class WritePath {
  private readonly core: EngineCore
  private readonly events: WritePathEvents
  private open: Commit
  private spare: Commit | null
  private flying: Commit | null = null
  /** The flying batch, durable everywhere, while the gate is closed (rule 1.2): not visible and not answered yet. */
  private held: Commit | null = null
  private kicking = false
  private idleTimerSet = false
  /** ackedSeq that the newest frame in the log carries. */
  private announcedAckedSeq: Seq = 0
  private readonly writeRecord: WriteRecord = {
    sector: 0,
    buffer: EMPTY,
    start: 0,
    length: 0,
    uniqueLow: 0,
    uniqueHigh: 0,
  }
  /** Payload bytes taken into batches that are not durable yet. */
  pendingBytes: Bytes = 0
  /** Lowest record that is durable but whose request waits for the backing (DrainWT); Infinity: none. */
  unrepliedSeq: () => Seq = () => Infinity

  constructor(core: EngineCore, events: WritePathEvents) {
    this.core = core
    this.events = events
    const onDone = (commit: Commit, error: IoError | null): void => this.finish(commit, error)
    this.open = new Commit(core, onDone)
    this.spare = new Commit(core, onDone)
    this.announcedAckedSeq = core.committedSeq
  }

  /** Every record up to this one has been answered to the front end. */
  get repliedSeq(): Seq {
    return Math.min(this.core.committedSeq, this.unrepliedSeq() - 1)
  }

  get idle(): boolean {
    return this.flying === null && this.open.builder.count === 0
  }

  /** Free log space for one more record of `length` bytes behind what is collected already. */
  hasSpace(length: Bytes): boolean {
    return this.core.journal.canAppend(this.open.builder.frameBytes + length + 2 * BLOCK_BYTES)
  }

  /** Takes a write (its data is copied); false when the open batch or the log has no room. */
  addWrite(request: Request, data: Buffer, dataStart: number): boolean {
    assert(request.kind === REQUEST_WRITE, `write expected kind=${request.kind}`)
    const { builder } = this.open
    if (!builder.hasRoom(request.length) || !this.hasSpace(request.length)) return false
    const i = builder.count
    const sector = request.offset / SECTOR_BYTES
    const { writeRecord } = this
    writeRecord.sector = sector
    writeRecord.buffer = data
    writeRecord.start = dataStart
    writeRecord.length = request.length
    writeRecord.uniqueLow = request.uniqueLow
    writeRecord.uniqueHigh = request.uniqueHigh
    this.open.payloadStarts[i] = builder.addWrite(writeRecord)
    this.note(i, sector, request.length, request)
    this.pendingBytes += request.length
    return true
  }

  /** Takes a ZERO; false when the open batch or the log has no room. */
  addZero(request: Request): boolean {
    assert(request.kind === REQUEST_ZERO, `zero expected kind=${request.kind}`)
    const { builder } = this.open
    if (!builder.hasRoom(0) || !this.hasSpace(0)) return false
    const i = builder.count
    const sector = request.offset / SECTOR_BYTES
    builder.addZero({
      sector,
      sectors: request.length / SECTOR_BYTES,
      mayUnmap: request.mayUnmap,
      uniqueLow: request.uniqueLow,
      uniqueHigh: request.uniqueHigh,
    })
    this.open.payloadStarts[i] = -1
    this.note(i, sector, request.length, request)
    return true
  }

  /** True when a record that is not in the index yet touches [sector, end). */
  touchesPending(sector: number, end: number): boolean {
    return overlaps(this.open, sector, end) || (this.flying !== null && overlaps(this.flying, sector, end))
  }

  /** Starts the group commit where one can start. Call after a group of submits. */
  kick(): void {
    if (this.kicking) return
    this.kicking = true
    while (this.canStart()) this.start(this.open)
    this.kicking = false
  }

  private canStart(): boolean {
    return (
      this.flying === null && this.open.builder.count > 0 && this.core.frozen === 0 && this.core.cacheFailure === null
    )
  }

  private note(i: number, sector: number, length: Bytes, request: Request): void {
    this.open.sectors[i] = sector
    this.open.lengths[i] = length
    this.open.requests[i] = request
  }

  private start(commit: Commit): void {
    assert(this.spare !== null, 'a spare batch must exist while none is flying')
    this.flying = commit
    this.open = this.spare
    this.spare = null
    const acked = this.repliedSeq
    this.announcedAckedSeq = acked
    this.core.counters.batches += 1
    this.core.copies.append(
      commit.builder,
      { ackedSeq: acked, session: this.core.settings.session, wallMs: this.core.ports.clock.wallMs() },
      commit.done,
    )
  }

  private finish(commit: Commit, error: IoError | null): void {
    if (error !== null) {
      this.flying = null
      this.spare = commit
      this.fail(commit, error)
      return
    }
    if (this.core.mayAnswer) this.complete(commit)
    else this.held = commit
  }

  /** Answers a batch that became durable while nothing might be answered. Call when that may have ended. */
  answerHeld(): void {
    const { held } = this
    if (held === null || !this.core.mayAnswer) return
    this.held = null
    this.complete(held)
  }

  private complete(commit: Commit): void {
    this.apply(commit)
    this.acknowledge(commit)
    commit.builder.reset()
    // Only now: an answer may bring the next request and a kick with it, which must not start with this batch.
    this.flying = null
    this.spare = commit
    this.events.onCommitted()
    this.armIdleFrame()
    this.kick()
  }

  private apply(commit: Commit): void {
    const { core } = this
    const { firstSeq, payloadPosition, batchSeq } = core.journal.lastAppend
    const { builder } = commit
    const { count, buffer } = builder
    for (let i = 0; i < count; i += 1) {
      const sector = commit.sectors[i] as number
      const length = commit.lengths[i] as number
      const start = commit.payloadStarts[i] as number
      if (start < 0) applyZero(core, sector, length / SECTOR_BYTES, firstSeq + i)
      else {
        const cacheSector = (payloadPosition + start) / SECTOR_BYTES
        applyWrite(core, sector, cacheSector, buffer, PAYLOAD_OFFSET + start, length, builder.dataHashLow(i))
        this.pendingBytes -= length
      }
      core.previous?.written(sector * SECTOR_BYTES, length)
      core.recordBlocks += blocksTouched(sector, start < 0 ? 0 : length)
    }
    core.committedSeq = firstSeq + count - 1
    core.committedBatchSeq = batchSeq
    if (count > 0 && core.oldestDirtyAtMs < 0) core.oldestDirtyAtMs = core.ports.clock.monotonicMs()
  }

  private acknowledge(commit: Commit): void {
    const { count } = commit.builder
    const before = this.core.phase !== 'WriteBack'
    for (let i = 0; i < count; i += 1) {
      const request = commit.requests[i]
      commit.requests[i] = null
      if (request === null || request === undefined) continue
      if (before) this.events.onLoggedBefore(request, this.core.journal.lastAppend.firstSeq + i)
      else request.complete(REQUEST_OK)
    }
  }

  private fail(commit: Commit, error: IoError): void {
    this.core.cacheFailure ??= error.message
    const unlogged: UnloggedWrite[] = []
    this.takeBack(commit, unlogged)
    this.takeBack(this.open, unlogged)
    this.events.onLogFailed(error, unlogged)
  }

  /** The log takes nothing any more: gives back what waits for its batch to be started. */
  takeBackWaiting(): readonly UnloggedWrite[] {
    const unlogged: UnloggedWrite[] = []
    this.takeBack(this.open, unlogged)
    return unlogged
  }

  private takeBack(batch: Commit, unlogged: UnloggedWrite[]): void {
    for (let i = 0; i < batch.builder.count; i += 1) {
      const request = batch.requests[i]
      batch.requests[i] = null
      if (request === null || request === undefined) continue
      const start = PAYLOAD_OFFSET + (batch.payloadStarts[i] as number)
      const data =
        request.kind === REQUEST_WRITE
          ? Buffer.from(batch.builder.buffer.subarray(start, start + request.length))
          : EMPTY
      this.pendingBytes -= data.length
      unlogged.push({ request, data })
    }
    batch.builder.reset()
  }

  private armIdleFrame(): void {
    if (this.idleTimerSet || this.announcedAckedSeq >= this.core.committedSeq) return
    this.idleTimerSet = true
    this.core.ports.timers.after(IDLE_FRAME_DELAY_MS, () => {
      this.idleTimerSet = false
      const { core } = this
      if (core.cacheFailure !== null || core.phase === 'Closing' || core.phase === 'Detached') return
      const news = this.announcedAckedSeq < this.repliedSeq
      if (news && this.idle && core.frozen === 0 && core.journal.canAppendReserved(BLOCK_BYTES)) this.start(this.open)
      else this.armIdleFrame()
    })
  }
}

function overlaps(commit: Commit, sector: number, end: number): boolean {
  for (let i = 0; i < commit.builder.count; i += 1) {
    const start = commit.sectors[i] as number
    if (start < end && start + (commit.lengths[i] as number) / SECTOR_BYTES > sector) return true
  }
  return false
}

/** Blocks that a record of `length` bytes can add to the index; a ZERO adds none. */
export function blocksTouched(sector: number, length: Bytes): number {
  if (length === 0) return 0
  const first = Math.floor(sector / SECTORS_PER_BLOCK)
  return Math.floor((sector + length / SECTOR_BYTES - 1) / SECTORS_PER_BLOCK) - first + 1
}
