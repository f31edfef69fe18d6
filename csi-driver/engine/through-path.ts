// Through-writes: acknowledged from the backing. In WriteThrough they are the only writes. In DrainWT a write goes past
// the log only where no un-trimmed record touches its blocks (invariant 6, PROTOCOL.md 2.3); any other is logged first
// and is on the backing as well before it is acknowledged. Until the device passes flushes on to us, each is flushed
// before its acknowledgement.
import type { IoError } from '../../base/errors.ts'
import type { Bytes, Seq } from '../../base/units.ts'
import { BLOCK_BYTES, roundUp, SECTOR_BYTES } from '../../base/units.ts'
import type { IoDone } from '../io/storage.ts'
import type { EngineCore } from './engine-core.ts'
import type { Request, RequestKind, RequestResult } from './request.ts'
import { REQUEST_EIO, REQUEST_ENOSPC, REQUEST_OK, REQUEST_WRITE } from './request.ts'

/** Copies of payloads on their way to the backing; further through-writes wait. */
export const THROUGH_BYTES_MAX: Bytes = 32 * 1024 * 1024
/** Copies kept for reuse. */
const KEPT_BYTES_MAX: Bytes = 4 * 1024 * 1024

/** The user's result for an error of the backing. */
export function resultOf(error: IoError | null): RequestResult {
  if (error === null) return REQUEST_OK
  return error.code === 'ENOSPC' || error.code === 'EDQUOT' ? REQUEST_ENOSPC : REQUEST_EIO
}

/**
 * A write or zero on its way to the backing. Towards the write path it is the request that the log's records complete,
 * when the write has to be logged first.
 */
class ThroughOperation implements Request {
  kind: RequestKind = REQUEST_WRITE
  offset = 0
  length = 0
  data: Buffer
  readonly dataStart = 0
  mayUnmap = false
  forceUnitAccess = false
  uniqueLow = 0
  uniqueHigh = 0
  resent = false
  user: Request | null = null
  /** Seq at or below that of its first record, from when it is durable in the log; 0 for one that bypasses the log. */
  seq: Seq = 0
  flushGeneration = 0
  readonly written: IoDone
  readonly flushed: IoDone
  private readonly path: ThroughPath

  constructor(path: ThroughPath, data: Buffer) {
    this.path = path
    this.data = data
    this.written = (error) => path.onWritten(this, error)
    this.flushed = (error) => path.end(this, resultOf(error))
  }

  complete(): void {
    this.path.onLogged(this)
  }
}

interface HeldAnswer {
  readonly operation: ThroughOperation
  readonly result: RequestResult
}

export class ThroughPath {
  private readonly core: EngineCore
  private readonly onRoom: () => void
  private readonly free: ThroughOperation[] = []
  private keptBytes: Bytes = 0
  private readonly underWay = new Set<ThroughOperation>()
  private bytesUnderWay: Bytes = 0
  /** Ended, and not answered because nothing may be; bounded as those under way are. */
  private readonly held: HeldAnswer[] = []
  /** Of those under way: at the backing, and not in a batch of the log. */
  atBacking = 0

  constructor(core: EngineCore, onRoom: () => void) {
    this.core = core
    this.onRoom = onRoom
  }

  get active(): number {
    return this.underWay.size
  }

  hasRoom(length: Bytes): boolean {
    return this.underWay.size === 0 || this.bytesUnderWay + length <= THROUGH_BYTES_MAX
  }

  /** Whether the request is one of startLogged, which goes on to the backing by itself. */
  isOwn(request: Request): boolean {
    return request instanceof ThroughOperation
  }

  /** An unanswered write past the log touches [offset, offset+length). */
  touches(offset: Bytes, length: Bytes): boolean {
    for (const operation of this.underWay) {
      if (operation.seq === 0 && operation.offset < offset + length && operation.offset + operation.length > offset)
        return true
    }
    return false
  }

  /** Oldest record that is in the log but not answered yet; Infinity: none. */
  unrepliedSeq(): Seq {
    let lowest = Infinity
    for (const operation of this.underWay) if (operation.seq > 0 && operation.seq < lowest) lowest = operation.seq
    return lowest
  }

  /** Writes past the log. The caller has checked that no un-trimmed record touches the blocks. */
  start(request: Request, data: Buffer, dataStart: number): void {
    const operation = this.take(request, data, dataStart)
    this.write(operation)
  }

  /** The request to be logged in place of `request`: when it is durable in the log it goes to the backing. */
  startLogged(request: Request, data: Buffer, dataStart: number): Request {
    return this.take(request, data, dataStart)
  }

  /** Called for an operation whose records are durable in the log. */
  onLogged(operation: ThroughOperation): void {
    operation.seq = this.core.journal.lastAppend.firstSeq
    this.write(operation)
  }

  /** An operation whose records could not be logged: hands the user's request back with its data. */
  reclaim(request: Request): { request: Request; data: Buffer; dataStart: number } | null {
    if (!(request instanceof ThroughOperation) || request.user === null) return null
    const { user, data } = request
    this.underWay.delete(request)
    this.bytesUnderWay -= request.length
    return { request: user, data, dataStart: 0 }
  }

  /** Undoes startLogged for a request that found no room in the log. */
  giveBack(request: Request): void {
    if (!(request instanceof ThroughOperation)) return
    request.user = null
    this.underWay.delete(request)
    this.bytesUnderWay -= request.length
    this.keep(request)
  }

  private take(request: Request, data: Buffer, dataStart: number): ThroughOperation {
    const bytes = request.kind === REQUEST_WRITE ? request.length : 0
    const operation = this.allocate(bytes)
    operation.user = request
    operation.kind = request.kind
    operation.offset = request.offset
    operation.length = request.length
    operation.mayUnmap = request.mayUnmap
    operation.forceUnitAccess = request.forceUnitAccess
    operation.uniqueLow = request.uniqueLow
    operation.uniqueHigh = request.uniqueHigh
    operation.seq = 0
    if (bytes > 0) data.copy(operation.data, 0, dataStart, dataStart + bytes)
    this.underWay.add(operation)
    this.bytesUnderWay += request.length
    return operation
  }

  private allocate(bytes: Bytes): ThroughOperation {
    for (let i = this.free.length - 1; i >= 0 && i >= this.free.length - 8; i -= 1) {
      const operation = this.free[i] as ThroughOperation
      if (operation.data.length < bytes) continue
      this.free[i] = this.free[this.free.length - 1] as ThroughOperation
      this.free.pop()
      this.keptBytes -= operation.data.length
      return operation
    }
    return new ThroughOperation(
      this,
      this.core.ports.memory.allocate(Math.max(roundUp(bytes, BLOCK_BYTES), BLOCK_BYTES)),
    )
  }

  private keep(operation: ThroughOperation): void {
    if (this.keptBytes + operation.data.length > KEPT_BYTES_MAX) return
    this.keptBytes += operation.data.length
    this.free.push(operation)
  }

  private write(operation: ThroughOperation): void {
    const { core } = this
    core.counters.throughWrites += 1
    this.atBacking += 1
    operation.flushGeneration = core.backing.flushGeneration
    const sector = operation.offset / SECTOR_BYTES
    const end = sector + operation.length / SECTOR_BYTES
    // Clean copies become old with the first byte that reaches the backing. A logged write replaced them at its commit.
    if (operation.seq === 0) core.index.removeRange(sector, end)
    if (operation.kind === REQUEST_WRITE) {
      core.backing.write(operation.data, 0, operation.length, operation.offset, operation.written)
    } else core.backing.zero([{ position: operation.offset, length: operation.length }], operation.written)
  }

  /** Called by the operation's own callback. */
  onWritten(operation: ThroughOperation, error: IoError | null): void {
    const { core } = this
    if (error !== null) {
      this.end(operation, resultOf(error))
      return
    }
    if (core.flushBeforeAck || operation.forceUnitAccess) {
      core.backing.flushSince(operation.flushGeneration, operation.flushed)
      return
    }
    core.unflushed.note()
    this.end(operation, REQUEST_OK)
  }

  /** Called by the operation's own callback. */
  end(operation: ThroughOperation, result: RequestResult): void {
    this.atBacking -= 1
    if (this.core.mayAnswer) this.answer(operation, result)
    else this.held.push({ operation, result })
  }

  /** Answers what ended while nothing might be answered (rule 1.2). Call when that may have ended. */
  answerHeld(): void {
    while (this.held.length > 0 && this.core.mayAnswer) {
      const { operation, result } = this.held.shift() as HeldAnswer
      this.answer(operation, result)
    }
  }

  private answer(operation: ThroughOperation, result: RequestResult): void {
    const { user } = operation
    operation.user = null
    operation.seq = 0
    this.underWay.delete(operation)
    this.bytesUnderWay -= operation.length
    this.keep(operation)
    if (user !== null) user.complete(result)
    this.onRoom()
  }
}
