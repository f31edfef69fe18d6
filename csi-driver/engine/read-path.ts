// Reads: the newest committed bytes of each sector, from the log or a read-cache slot (verified), as zeros, or from the
// backing, in any mixture. Only what is in the index is served, and only committed records are in the index, so no read
// shows what a recovery could undo (invariant 8).
//
// A read takes time, and meanwhile the places it reads may be trimmed or reused. It therefore remembers what it relied
// on (slot generations, trimCount) and starts again when that moved.
import type { IoError } from '../../base/errors.ts'
import type { Bytes, Ms } from '../../base/units.ts'
import { BLOCK_BYTES, SECTOR_BYTES, SECTORS_PER_BLOCK } from '../../base/units.ts'
import type { IoDone } from '../io/storage.ts'
import type { CacheFills, Fill } from './cache-fill.ts'
import type { CacheReadResult, ScratchPool } from './cache-reader.ts'
import { CacheReader } from './cache-reader.ts'
import type { EngineCore } from './engine-core.ts'
import { firstSectorOf, maskInside, runLengthAt } from './index/sector-mask.ts'
import { ReadAhead } from './read-ahead/read-ahead.ts'
import { SequentialDetector } from './read-cache/sequential.ts'
import type { Request, RequestResult } from './request.ts'
import { REQUEST_EIO, REQUEST_OK } from './request.ts'

/** A read that is overtaken this often by trims and evictions is served from what it verified last (each piece was). */
const ATTEMPTS_MAX = 16

/** Reads of dirty data that fail are tried again for about 20 s in all before the user gets an error. */
const DIRTY_ATTEMPTS_MAX = 20
const DIRTY_RETRY_MS: Ms = 100

/** Reads of the backing that one request has under way. */
const MISSES_IN_FLIGHT_MAX = 32
/** While all together have so many, each goes on with one: what the backing takes is bounded (OPERATIONS_MAX). */
export const MANY_MISSES = 2048

export interface ReadPathEvents {
  /** Dirty data could not be read or is not what was written; `message` says where. */
  onDirtyUnreadable(message: string): void
  /**
   * True when the read must not be answered: nothing may be at present, or it missed the cache and may have seen a
   * write past the log that is not answered yet. The host keeps the request and starts it again later.
   */
  takesBack(request: Request, missed: boolean): boolean
}

/** One read on its way; pooled. */
class ReadOperation {
  request: Request | null = null
  readonly reader: CacheReader
  readonly missDone: IoDone
  /** Miss segments in sectors of the volume. */
  readonly missStart: number[] = []
  readonly missEnd: number[] = []
  misses = 0
  nextMiss = 0
  missesUnderWay = 0
  issuing = false
  bypass = false
  /** Slots that pieces were taken from, with their generations. */
  readonly slots: number[] = []
  readonly slotGenerations: number[] = []
  /** Block and slot (-1: log) of each piece handed to the reader, to find it again when it does not verify. */
  readonly pieceBlocks: number[] = []
  readonly pieceSlots: number[] = []
  slotCount = 0
  readonly fills: Fill[] = []
  /** The fill whose buffer is the target of the only miss, for reads smaller than a block. */
  smallFill: Fill | null = null
  usesLog = false
  trimCount = 0
  pending = 0
  attempts = 0
  /** Of these: the ones that found dirty data unreadable. */
  dirtyAttempts = 0
  cacheResult: CacheReadResult = 'ok'
  backingError: IoError | null = null

  constructor(core: EngineCore, scratch: ScratchPool, path: ReadPath) {
    this.reader = new CacheReader(core.cacheReads, scratch, (result) => {
      this.cacheResult = result
      path.partDone(this)
    })
    this.missDone = (error) => path.missDone(this, error)
  }
}

export class ReadPath {
  private readonly core: EngineCore
  private readonly cacheFills: CacheFills
  private readonly scratch: ScratchPool
  private readonly events: ReadPathEvents
  private readonly sequential = new SequentialDetector()
  private readonly free: ReadOperation[] = []
  /** What the backing is asked through. */
  readonly ahead: ReadAhead
  private underWay = 0
  private underWayBytes: Bytes = 0
  private missesUnderWay = 0

  constructor(core: EngineCore, fills: CacheFills, scratch: ScratchPool, events: ReadPathEvents) {
    this.core = core
    this.cacheFills = fills
    this.scratch = scratch
    this.events = events
    this.ahead = new ReadAhead(core)
  }

  /** Reads under way, those that nobody has asked for yet included. */
  get active(): number {
    return this.underWay + this.ahead.active
  }

  start(request: Request): void {
    const operation = this.free.pop() ?? new ReadOperation(this.core, this.scratch, this)
    operation.request = request
    operation.attempts = 0
    operation.dirtyAttempts = 0
    this.underWay += 1
    this.underWayBytes += request.length
    const bypass = this.sequential.observe(request.offset, request.length)
    this.attempt(operation, request, bypass)
  }

  private attempt(operation: ReadOperation, request: Request, bypass: boolean): void {
    operation.attempts += 1
    operation.reader.clear()
    operation.misses = 0
    operation.slotCount = 0
    operation.usesLog = false
    operation.trimCount = this.core.trimCount
    operation.cacheResult = 'ok'
    operation.backingError = null
    this.resolve(operation, request)
    if (operation.attempts === 1) this.count(operation, request)
    // One part more than there are, so that parts that end at once do not finish the read before all have begun.
    operation.pending = 1 + operation.misses + (operation.reader.pieces > 0 ? 1 : 0)
    if (operation.misses > 0) this.readMisses(operation, request, bypass)
    if (operation.reader.pieces > 0) operation.reader.start(request.data)
    if (operation.misses > 0 && operation.attempts === 1) {
      this.ahead.follow(this.sequential, request.length, this.underWayBytes - request.length)
    }
    this.partDone(operation)
  }

  private count(operation: ReadOperation, request: Request): void {
    const { counters } = this.core
    counters.readBytes += request.length
    if (operation.misses > 0) counters.readMisses += 1
    else counters.readHits += 1
  }

  /** Finds a source for every sector of the request. */
  private resolve(operation: ReadOperation, request: Request): void {
    const start = request.offset / SECTOR_BYTES
    const end = start + request.length / SECTOR_BYTES
    const lastBlock = Math.floor((end - 1) / SECTORS_PER_BLOCK)
    for (let block = Math.floor(start / SECTORS_PER_BLOCK); block <= lastBlock; block += 1) {
      let missing = maskInside(block, start, end)
      const { index } = this.core
      const fragments = index.find(block)
      for (let i = 0; i < fragments; i += 1) {
        const wanted = (index.fragmentValid[i] as number) & missing
        if (wanted === 0 || !(this.core.mayReadCache || this.isLogged(i))) continue
        this.addPieces(operation, request, block, i, wanted)
        missing &= ~wanted
      }
      if (missing !== 0) this.addUncached(operation, request, block, missing)
    }
  }

  private isLogged(fragment: number): boolean {
    return this.core.slotOf(this.core.index.fragmentBase[fragment] as number) < 0
  }

  private addPieces(operation: ReadOperation, request: Request, block: number, fragment: number, wanted: number): void {
    const { core } = this
    const { index } = core
    const base = index.fragmentBase[fragment] as number
    const orig = index.fragmentOrig[fragment] as number
    const hash = index.fragmentHash[fragment] as number
    const slot = core.slotOf(base)
    if (slot < 0) operation.usesLog = true
    else {
      operation.slots[operation.slotCount] = slot
      operation.slotGenerations[operation.slotCount] = core.readCache.generationOf(slot)
      operation.slotCount += 1
      core.readCache.touch(slot)
    }
    const origFirst = firstSectorOf(orig)
    const origSectors = 32 - Math.clz32(orig) - origFirst
    const blockAt = request.dataStart + block * BLOCK_BYTES - request.offset
    for (let rest = wanted; rest !== 0; ) {
      const first = firstSectorOf(rest)
      const run = runLengthAt(rest, first)
      rest &= ~(((1 << run) - 1) << first)
      operation.pieceBlocks[operation.reader.pieces] = block
      operation.pieceSlots[operation.reader.pieces] = slot
      operation.reader.add(
        base + origFirst,
        origSectors,
        hash,
        (first - origFirst) * SECTOR_BYTES,
        run * SECTOR_BYTES,
        blockAt + first * SECTOR_BYTES,
      )
    }
  }

  /** Sectors that the index does not know: dirty zeroes, or the backing's. */
  private addUncached(operation: ReadOperation, request: Request, block: number, missing: number): void {
    const { zeros } = this.core
    for (let rest = missing; rest !== 0; ) {
      const first = firstSectorOf(rest)
      rest &= rest - 1
      const sector = block * SECTORS_PER_BLOCK + first
      if (zeros.count > 0 && zeros.covers(sector)) {
        const at = request.dataStart + sector * SECTOR_BYTES - request.offset
        request.data.fill(0, at, at + SECTOR_BYTES)
        continue
      }
      const last = operation.misses - 1
      if (last >= 0 && operation.missEnd[last] === sector) operation.missEnd[last] = sector + 1
      else {
        operation.missStart[operation.misses] = sector
        operation.missEnd[operation.misses] = sector + 1
        operation.misses += 1
      }
    }
  }

  private readMisses(operation: ReadOperation, request: Request, bypass: boolean): void {
    const whole =
      operation.misses === 1 &&
      (operation.missEnd[0] as number) - (operation.missStart[0] as number) === request.length / SECTOR_BYTES
    if (whole && request.length < BLOCK_BYTES && !bypass && this.readWholeBlock(operation, request)) return
    operation.nextMiss = 0
    operation.bypass = bypass
    this.issueMisses(operation, request)
  }

  /** A finely chopped range has very many of them, and the backing takes a bounded number of operations. */
  private issueMisses(operation: ReadOperation, request: Request): void {
    if (operation.issuing) return
    operation.issuing = true
    while (operation.nextMiss < operation.misses && operation.missesUnderWay < this.missesMax) {
      const start = operation.missStart[operation.nextMiss] as number
      const end = operation.missEnd[operation.nextMiss] as number
      operation.nextMiss += 1
      operation.missesUnderWay += 1
      this.missesUnderWay += 1
      if (!operation.bypass) this.announceFills(operation, start, end)
      const position = start * SECTOR_BYTES
      const at = request.dataStart + position - request.offset
      this.ahead.read(request.data, at, (end - start) * SECTOR_BYTES, position, operation.missDone)
    }
    operation.issuing = false
  }

  private get missesMax(): number {
    return this.missesUnderWay < MANY_MISSES ? MISSES_IN_FLIGHT_MAX : 1
  }

  /** Called by the operation's own callback. */
  missDone(operation: ReadOperation, error: IoError | null): void {
    operation.missesUnderWay -= 1
    this.missesUnderWay -= 1
    if (error !== null) {
      operation.backingError = error
      operation.pending -= operation.misses - operation.nextMiss
      operation.nextMiss = operation.misses
    } else if (operation.request !== null) this.issueMisses(operation, operation.request)
    this.partDone(operation)
  }

  /** A miss inside one block reads the whole block, so that it can be cached. */
  private readWholeBlock(operation: ReadOperation, request: Request): boolean {
    const block = Math.floor(request.offset / BLOCK_BYTES)
    if (request.offset + request.length > (block + 1) * BLOCK_BYTES) return false
    const fill = this.cacheFills.begin(block)
    if (fill === null) return false
    operation.smallFill = fill
    operation.nextMiss = 1
    operation.missesUnderWay = 1
    this.missesUnderWay += 1
    this.ahead.read(fill.buffer, 0, BLOCK_BYTES, block * BLOCK_BYTES, operation.missDone)
    return true
  }

  private announceFills(operation: ReadOperation, start: number, end: number): void {
    const first = Math.ceil(start / SECTORS_PER_BLOCK)
    const afterLast = Math.floor(end / SECTORS_PER_BLOCK)
    for (let block = first; block < afterLast; block += 1) {
      const fill = this.cacheFills.begin(block)
      if (fill !== null) operation.fills.push(fill)
    }
  }

  /** A part of the read has ended; the last one decides. Called by the operation's own callbacks. */
  partDone(operation: ReadOperation): void {
    operation.pending -= 1
    if (operation.pending > 0) return
    const { request } = operation
    if (request === null) return
    this.settleFills(operation, request)
    if (operation.backingError !== null) this.end(operation, request, REQUEST_EIO)
    else if (operation.cacheResult !== 'ok') this.onBadCache(operation, request)
    else if (this.wasOvertaken(operation) && operation.attempts < ATTEMPTS_MAX) this.retry(operation, request)
    else if (this.events.takesBack(request, operation.misses > 0)) this.release(operation)
    else this.end(operation, request, REQUEST_OK)
  }

  private settleFills(operation: ReadOperation, request: Request): void {
    const failed = operation.backingError !== null
    const small = operation.smallFill
    if (small !== null) {
      operation.smallFill = null
      const from = request.offset - small.block * BLOCK_BYTES
      if (failed) this.cacheFills.drop(small)
      else {
        small.buffer.copy(request.data, request.dataStart, from, from + request.length)
        this.cacheFills.store(small)
      }
    }
    for (const fill of operation.fills) {
      if (failed) this.cacheFills.drop(fill)
      else {
        const at = request.dataStart + fill.block * BLOCK_BYTES - request.offset
        request.data.copy(fill.buffer, 0, at, at + BLOCK_BYTES)
        this.cacheFills.store(fill)
      }
    }
    operation.fills.length = 0
  }

  private wasOvertaken(operation: ReadOperation): boolean {
    if (operation.usesLog && operation.trimCount !== this.core.trimCount) return true
    for (let i = 0; i < operation.slotCount; i += 1) {
      if (this.core.readCache.generationOf(operation.slots[i] as number) !== operation.slotGenerations[i]) return true
    }
    return false
  }

  private retry(operation: ReadOperation, request: Request): void {
    this.core.counters.readRetries += 1
    this.attempt(operation, request, true)
  }

  /** The cache gave an error or something else than was written. Clean: forget it. Dirty: nobody else has it (R5). */
  private onBadCache(operation: ReadOperation, request: Request): void {
    const { core } = this
    // Something else stands there by now. Without a limit: what was read is not what was asked for, and each turn is
    // the work of a settle or an eviction.
    if (this.wasOvertaken(operation)) {
      this.retry(operation, request)
      return
    }
    const { failedPiece } = operation.reader
    const block = operation.pieceBlocks[failedPiece] ?? 0
    if ((operation.pieceSlots[failedPiece] ?? -1) >= 0) {
      this.dropBad(operation, failedPiece)
      this.retry(operation, request)
      return
    }
    operation.dirtyAttempts += 1
    core.cacheReads.distrust()
    if (operation.dirtyAttempts < DIRTY_ATTEMPTS_MAX) {
      this.retryLater(operation, request)
      return
    }
    core.counters.dirtyMismatches += 1
    this.end(operation, request, REQUEST_EIO)
    const why = operation.reader.lastError?.message ?? 'checksum mismatch'
    this.events.onDirtyUnreadable(`dirty block unreadable block=${block} reason=${why}`)
  }

  /** Forgets the clean copy that was not what it should be; all of the read when the device gives errors. */
  private dropBad(operation: ReadOperation, failedPiece: number): void {
    const { core } = this
    const all = operation.cacheResult === 'error'
    for (let piece = all ? 0 : failedPiece; piece < (all ? operation.reader.pieces : failedPiece + 1); piece += 1) {
      const slot = operation.pieceSlots[piece] as number
      if (slot < 0 || !core.index.dropClean(operation.pieceBlocks[piece] as number, slot)) continue
      core.counters.cleanMismatches += 1
      core.readCache.release(slot)
    }
  }

  /** The cache device may come back: nobody above would try again (datapath §1.3). */
  private retryLater(operation: ReadOperation, request: Request): void {
    const { core } = this
    core.ports.timers.after(DIRTY_RETRY_MS * operation.dirtyAttempts, () => {
      if (core.stopping) this.release(operation)
      else this.retry(operation, request)
    })
  }

  private end(operation: ReadOperation, request: Request, result: RequestResult): void {
    this.release(operation)
    request.complete(result)
  }

  private release(operation: ReadOperation): void {
    this.underWayBytes -= operation.request?.length ?? 0
    operation.request = null
    this.underWay -= 1
    this.free.push(operation)
  }
}
