// Reads ahead of sequential streams that miss the cache, from the backing into a few pieces of memory; the flash is left
// alone. What stands in a piece is what the backing held, so it may be served where a read of the backing would be, as
// long as that cannot have changed:
//  - A read asks for those sectors only that neither the index nor a dirty zero knows at that moment, as ever. A record
//    that was there when the piece was read and has left the index since was destaged, and that was a backing write.
//  - A backing write that starts or ends over a piece spoils it, and none is begun beside one (as with cache-fill.ts).
//  - It is a cached read to rule 8.4: nothing is kept where those are forbidden, or nothing may be answered, nor for long.
// A read that needs a piece under way waits for it, and reads for itself where that fails. Nobody hears of such a failure.
import type { IoError } from '../../../base/errors.ts'
import type { Bytes, Ms } from '../../../base/units.ts'
import { BLOCK_BYTES, roundUp, SECTOR_BYTES } from '../../../base/units.ts'
import type { IoDone } from '../../io/storage.ts'
import type { EngineCore } from '../engine-core.ts'
import { BYPASS_AFTER_BYTES, REORDER_BYTES, type SequentialDetector, STREAMS } from '../read-cache/sequential.ts'
import { AheadStream } from './ahead-stream.ts'
import { type Piece, Pieces, type WaitingPart } from './pieces.ts'
import { AGE_MAX_MS, IDLE_MS, READ_AHEAD_LIMITS, type ReadAheadLimits, STALLED_AFTER_MS } from './read-ahead-limits.ts'
import { SplitRead } from './split-read.ts'

export class ReadAhead {
  /** Reads of the backing under way. */
  active = 0
  private readonly core: EngineCore
  private readonly limits: ReadAheadLimits
  private readonly pieces: Pieces
  /** Those that may be served, now or when they have come, by number. */
  private readonly table = new Map<number, Piece>()
  private readonly streams = new Array<AheadStream | null>(STREAMS).fill(null)
  private sizeBytes: Bytes
  private startBytes: Bytes
  private lastMs: Ms = 0

  constructor(core: EngineCore) {
    this.core = core
    this.limits = core.settings.readAheadLimits ?? READ_AHEAD_LIMITS
    this.pieces = new Pieces(core.ports.memory, this.limits, (piece, error) => this.onRead(piece, error))
    this.sizeBytes = core.sizeBytes
    this.startBytes = this.limits.startBytes
  }

  /** As EngineCore.readMiss; what was read ahead of the range is taken from there. */
  // oxlint-disable-next-line eslint/max-params -- the signature of Storage
  read(buffer: Buffer, start: number, length: Bytes, position: Bytes, done: IoDone): void {
    if (this.table.size === 0 || !this.mayServe()) {
      this.core.readMiss(buffer, start, length, position, done)
      return
    }
    const { pieceBytes } = this.limits
    const end = position + length
    const read = new SplitRead(done)
    read.announce()
    let missFrom = position
    for (let at = position; at < end; ) {
      const number = Math.floor(at / pieceBytes)
      const partEnd = Math.min((number + 1) * pieceBytes, end)
      const piece = this.table.get(number)
      if (piece !== undefined && this.isFresh(piece) && piece.covers(at, partEnd)) {
        const part = { read, buffer, start: start + at - position, length: partEnd - at, position: at }
        this.readRest(part, missFrom)
        if (piece.isUnderWay) this.waitFor(piece, part)
        else this.serve(piece, part)
        missFrom = partEnd
      }
      at = partEnd
    }
    const rest = { read, buffer, start: start + length, length: 0, position: end }
    this.readRest(rest, missFrom)
    read.partDone(null)
  }

  /**
   * A read of `length` bytes that missed belongs to the stream that `sequential` observed last. Reads ahead of the stream
   * where that is worth it. Call when the read itself is with the backing. `othersBytes`: of other reads under way; who
   * keeps as much under way as would be read ahead needs no more, and is spared the copies.
   */
  follow(sequential: SequentialDetector, length: Bytes, othersBytes: Bytes): void {
    const inARow = sequential.streamInARow
    if (inARow === 0) return
    let stream = this.streams[sequential.stream] ?? null
    if (stream === null || stream.began !== sequential.streamBegan) {
      if (inARow < this.startBytes) return
      const { pieceBytes, pieces } = this.limits
      const limits = { minBytes: pieceBytes, maxBytes: (pieceBytes * pieces) / 2 }
      stream = new AheadStream(sequential.streamBegan, roundUp(length, pieceBytes), limits)
      this.streams[sequential.stream] = stream
    }
    if (stream.windowBytes === 0 || !this.mayRead()) return
    this.lastMs = this.core.ports.clock.monotonicMs()
    stream.lastMs = this.lastMs
    this.dropBehind(stream, sequential.streamFront - REORDER_BYTES)
    const front = sequential.streamFront
    this.readAhead(stream, front, front + stream.windowBytes - othersBytes)
  }

  /** A backing write over [position, position+length) starts or ends. */
  poison(position: Bytes, length: Bytes): void {
    if (this.table.size === 0) return
    const first = Math.floor(position / this.limits.pieceBytes)
    const last = Math.floor((position + length - 1) / this.limits.pieceBytes)
    for (const piece of this.table.values()) if (piece.number >= first && piece.number <= last) this.drop(piece)
  }

  /** What lies before the part and was read ahead by nobody. */
  private readRest({ read, buffer, start, position }: WaitingPart, from: Bytes): void {
    const length = position - from
    if (length === 0) return
    read.announce()
    this.core.readMiss(buffer, start - length, length, from, read.partDone)
  }

  private waitFor(piece: Piece, part: WaitingPart): void {
    part.read.announce()
    piece.waiting.push(part)
    piece.stream?.onWaited()
  }

  private serve(piece: Piece, part: WaitingPart): void {
    piece.copy(part.buffer, part.start, part.position, part.length)
    const usedBytes = Math.min(part.length, piece.length - piece.usedBytes)
    piece.usedBytes += usedBytes
    piece.stream?.onUsed(usedBytes)
    this.core.counters.readAheadUsedBytes += usedBytes
    if (piece.usedBytes < piece.length) return
    this.startBytes = Math.max(this.startBytes / 2, this.limits.startBytes)
    // While it is being handed out to several, onRead lets it go.
    if (!piece.isUnderWay) this.drop(piece)
  }

  private readAhead(stream: AheadStream, front: Bytes, wantedEnd: Bytes): void {
    const { core } = this
    const { pieceBytes, pieces } = this.limits
    const limit = Math.min(wantedEnd, core.sizeBytes)
    stream.end = Math.max(stream.end, front)
    while (stream.end < limit && this.active < pieces / 2) {
      const position = stream.end
      const number = Math.floor(position / pieceBytes)
      const end = Math.min((number + 1) * pieceBytes, core.sizeBytes)
      if (!this.table.has(number) && !this.isKnown(position, end)) {
        const piece = core.backing.overlapsWrite(position, end - position) ? null : this.take()
        if (piece === null) return
        this.begin(piece, { stream, number, position, length: end - position })
      }
      stream.end = end
    }
  }

  private begin(piece: Piece, what: Pick<Piece, 'stream' | 'number' | 'position' | 'length'>): void {
    Object.assign(piece, what)
    piece.usedBytes = 0
    piece.beganMs = this.lastMs
    piece.isUnderWay = true
    piece.isSpoiled = false
    this.table.set(piece.number, piece)
    this.active += 1
    this.core.counters.readAheadBytes += piece.length
    this.core.backing.read(piece.memory, piece.start, piece.length, piece.position, piece.done)
  }

  private onRead(piece: Piece, error: IoError | null): void {
    this.active -= 1
    const { waiting } = piece
    if (waiting.length > 0) piece.waiting = []
    // What forbids the use of one piece drops all of them, this one included.
    if (error !== null && !piece.isSpoiled) this.drop(piece)
    else if (!piece.isSpoiled) this.mayServe()
    const { isSpoiled } = piece
    if (!isSpoiled) for (const part of waiting) this.serve(piece, part)
    piece.isUnderWay = false
    if (isSpoiled) this.pieces.give(piece)
    else if (piece.usedBytes === piece.length) this.drop(piece)
    for (const { read, buffer, start, length, position } of waiting) {
      if (isSpoiled) this.core.readMiss(buffer, start, length, position, read.partDone)
      else read.partDone(null)
    }
  }

  /** From now on nobody is served from it. */
  private drop(piece: Piece): void {
    this.table.delete(piece.number)
    if (piece.stream?.onWasted(piece.length - piece.usedBytes) === true) {
      this.startBytes = Math.min(2 * this.startBytes, Math.max(BYPASS_AFTER_BYTES, this.limits.startBytes))
    }
    if (piece.isUnderWay) piece.isSpoiled = true
    else this.pieces.give(piece)
  }

  private dropBehind(stream: AheadStream, before: Bytes): void {
    for (const piece of this.table.values()) {
      const isBehind = piece.stream === stream && piece.position + piece.length <= before
      if (isBehind && piece.waiting.length === 0) this.drop(piece)
    }
  }

  private take(): Piece | null {
    if (!this.pieces.isAllocated) this.watchIdle()
    const piece = this.pieces.take()
    if (piece !== null) return piece
    const stalled = [...this.table.values()].find(
      (one) => !one.isUnderWay && one.stream !== null && this.lastMs - one.stream.lastMs > STALLED_AFTER_MS,
    )
    if (stalled === undefined) return null
    this.drop(stalled)
    return this.pieces.take()
  }

  /** The log, the read cache or a dirty zero has it, or is about to write it: it would be read for nothing. */
  private isKnown(position: Bytes, end: Bytes): boolean {
    const { index, zeros } = this.core
    const first = Math.floor(position / BLOCK_BYTES)
    const last = Math.floor((end - 1) / BLOCK_BYTES)
    if (index.hasDirty(first, last) || zeros.overlaps(position / SECTOR_BYTES, end / SECTOR_BYTES)) return true
    let known = 0
    for (let block = first; block <= last; block += 1) if (index.validMask(block) !== 0) known += 1
    return 2 * known > last - first
  }

  private isFresh(piece: Piece): boolean {
    if (piece.isUnderWay || this.core.ports.clock.monotonicMs() - piece.beganMs < AGE_MAX_MS) return true
    this.drop(piece)
    return false
  }

  private mayServe(): boolean {
    const { core } = this
    if (core.mayReadCache && core.mayAnswer && core.sizeBytes === this.sizeBytes) return true
    this.sizeBytes = core.sizeBytes
    for (const piece of this.table.values()) this.drop(piece)
    return false
  }

  private mayRead(): boolean {
    const { backing, previous, stopping } = this.core
    // While the cache of the owner before is faster than the backing, it has the stream to itself.
    return this.mayServe() && !stopping && backing.health.lastError === null && previous?.status().state !== 'open'
  }

  private watchIdle(): void {
    const { clock, timers } = this.core.ports
    timers.after(IDLE_MS, () => {
      if (this.core.stopping) return
      const nowMs = clock.monotonicMs()
      const isIdle = nowMs - this.lastMs >= IDLE_MS
      for (const piece of this.table.values()) {
        if (!piece.isUnderWay && (isIdle || nowMs - piece.beganMs >= AGE_MAX_MS)) this.drop(piece)
      }
      if (!isIdle || !this.pieces.giveBack()) this.watchIdle()
    })
  }
}
