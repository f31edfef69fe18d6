// What the paths of one open volume share: the stores, the index of what is cached where, the phase, and the few
// numbers that more than one path decides by. It decides nothing itself.
//
// Layout of the cache storage: [superblocks][log ring][read-cache slots of 4 KiB]; the index says "dirty" of exactly
// those fragments that lie in the log ring.
import { assert } from '../../base/assert.ts'
import type { BatchSeq, Bytes, Epoch, Ms, Run, Seq } from '../../base/units.ts'
import { BLOCK_BYTES, SECTOR_BYTES } from '../../base/units.ts'
import type { BackingStore } from '../backing/backing-store.ts'
import type { IoDone } from '../io/storage.ts'
import type { Journal } from '../journal/journal.ts'
import type { Phase } from '../register/record.ts'
import type { ExtentIndex } from './index/extent-index.ts'
import type { ZeroRanges } from './index/zero-ranges.ts'
import type { PreviousSource } from './previous-cache/previous-source.ts'
import type { ReadCache } from './read-cache/read-cache.ts'
import { UnflushedWrites } from './unflushed-writes.ts'
import { LogCopies } from './log-copies.ts'
import { LogReads } from './replication/log-reads.ts'
import type { VolumePorts, VolumeSettings } from './volume-settings.ts'

export interface EngineCounters {
  readHits: number
  readMisses: number
  readBytes: number
  /** Read from the backing before anybody asked for it, and how much of that was asked for in time. */
  readAheadBytes: number
  readAheadUsedBytes: number
  writes: number
  writtenBytes: number
  throughWrites: number
  flushes: number
  zeroes: number
  batches: number
  destagedBytes: number
  generations: number
  readRetries: number
  cleanMismatches: number
  dirtyMismatches: number
}

export interface EngineParts {
  readonly ports: VolumePorts
  readonly settings: VolumeSettings
  readonly journal: Journal
  readonly backing: BackingStore
  readonly index: ExtentIndex
  readonly zeros: ZeroRanges
  readonly readCache: ReadCache
  /** First byte of the read-cache slots on the cache storage. */
  readonly slotsStart: Bytes
  readonly phase: Phase
  readonly epoch: Epoch
  readonly run: Run
  readonly sizeBytes: Bytes
  readonly recordBlocksMax: number
}

export class EngineCore {
  readonly ports: VolumePorts
  readonly settings: VolumeSettings
  readonly journal: Journal
  readonly copies: LogCopies
  /** The cache as reads and destage see it: where it fails, the log is read from a copy. */
  readonly cacheReads: LogReads
  readonly backing: BackingStore
  readonly index: ExtentIndex
  readonly zeros: ZeroRanges
  readonly readCache: ReadCache
  readonly slotsStartSector: number
  readonly epoch: Epoch
  readonly run: Run
  sizeBytes: Bytes

  phase: Phase
  /** Why the phase is not what the policy asks for; empty when it is. */
  reason = ''
  /** > 0: acknowledgements, log commits, through-writes and reads wait (rule 1.2). */
  frozen = 0
  /**
   * False: what no log holds is read from the backing, where a fence stops the read, since a successor may have opened the
   * volume without asking anybody whose lease we need (rule 8.4, docs/decisions/0007).
   */
  mayReadCache = true
  /** The cache of the owner before, after a planned move; null: there is none. */
  previous: PreviousSource | null = null
  /** A through-write is flushed before its acknowledgement until the device passes flushes on (DESIGN.md §3). */
  flushBeforeAck = true
  readonly unflushed: UnflushedWrites
  /** Moves with every settle and trim: an asynchronous read of the log that saw another value looks again. */
  trimCount = 0
  /** Every record up to here is applied to the index. */
  committedSeq: Seq = 0
  /** The batch that ended with committedSeq. */
  committedBatchSeq: BatchSeq = 0
  /** Log space of a generation that may be trimmed only when re-sent requests have been read (2.6). */
  resendPending = false
  /** The engine stops at once: nothing is answered or begun any more. */
  stopping = false
  /** Set once the cache device failed a write; nothing is logged or filled from then on. */
  cacheFailure: string | null = null
  /** 4 KiB blocks that records touched since the last freeze, counted with repetition; bounds replay (index capacity). */
  recordBlocks = 0
  /** The same of the generation under way. */
  generationBlocks = 0
  /** Log space that the generation under way will free. */
  generationLogBytes: Bytes = 0
  /** Share of the generation under way that has settled, in 0…1. */
  generationSettled = 0
  /** Most blocks that un-trimmed records may touch. */
  readonly recordBlocksMax: number
  /** Monotonic time of the oldest record that no generation has picked up; -1: none. */
  oldestDirtyAtMs: Ms = -1
  readonly counters: EngineCounters = {
    readHits: 0,
    readMisses: 0,
    readBytes: 0,
    readAheadBytes: 0,
    readAheadUsedBytes: 0,
    writes: 0,
    writtenBytes: 0,
    throughWrites: 0,
    flushes: 0,
    zeroes: 0,
    batches: 0,
    destagedBytes: 0,
    generations: 0,
    readRetries: 0,
    cleanMismatches: 0,
    dirtyMismatches: 0,
  }

  constructor(parts: EngineParts) {
    this.ports = parts.ports
    this.settings = parts.settings
    this.journal = parts.journal
    this.copies = new LogCopies(parts.journal)
    this.cacheReads = new LogReads(parts.ports.cache, parts.journal, this.copies)
    this.backing = parts.backing
    this.index = parts.index
    this.zeros = parts.zeros
    this.readCache = parts.readCache
    this.slotsStartSector = parts.slotsStart / SECTOR_BYTES
    this.phase = parts.phase
    this.epoch = parts.epoch
    this.run = parts.run
    this.sizeBytes = parts.sizeBytes
    this.recordBlocksMax = parts.recordBlocksMax
    this.unflushed = new UnflushedWrites(parts.backing, parts.ports.doubts)
    assert(parts.slotsStart % BLOCK_BYTES === 0, `read-cache slots must start on a block start=${parts.slotsStart}`)
  }

  /** User data that only the log holds. */
  get dirtyBytes(): Bytes {
    return this.index.dirtySectors * SECTOR_BYTES
  }

  /** True while anything in the log is newer than the backing. */
  get dirty(): boolean {
    return this.index.dirtySectors > 0 || this.zeros.count > 0
  }

  /** Rules 1.2 and 8.1: no change of the register is open that forbids answers, and every lease that is needed runs. */
  get mayAnswer(): boolean {
    return this.frozen === 0 && this.copies.leaseValid
  }

  /** Until all re-sent requests are known, the backing may show a write of the life before that will land once more. */
  get maySeeUnanswered(): boolean {
    return this.resendPending && this.phase !== 'WriteBack'
  }

  /** A read that neither log nor cache can serve. */
  readMiss(buffer: Buffer, start: number, length: Bytes, position: Bytes, done: IoDone): void {
    if (this.previous === null) this.backing.read(buffer, start, length, position, done)
    else this.previous.read(this.mayReadCache, buffer, start, length, position, done)
  }

  slotSector(slot: number): number {
    return this.slotsStartSector + slot * (BLOCK_BYTES / SECTOR_BYTES)
  }

  /** Slot of a fragment's base sector, or -1 when it lies in the log. */
  slotOf(baseSector: number): number {
    return baseSector < this.slotsStartSector ? -1 : (baseSector - this.slotsStartSector) / (BLOCK_BYTES / SECTOR_BYTES)
  }
}
