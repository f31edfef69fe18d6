// The memory that is read ahead into, cut into pieces of one size. It is allocated when the first piece is taken and given
// back as a whole, when no piece is in use.
import { assert } from '../../../base/assert.ts'
import type { IoError } from '../../../base/errors.ts'
import type { Bytes, Ms } from '../../../base/units.ts'
import type { AlignedMemory, IoDone } from '../../io/storage.ts'
import type { AheadStream } from './ahead-stream.ts'
import type { ReadAheadLimits } from './read-ahead-limits.ts'
import type { SplitRead } from './split-read.ts'

/** A part of a read that waits for a piece. */
export interface WaitingPart {
  readonly read: SplitRead
  readonly buffer: Buffer
  readonly start: number
  readonly length: Bytes
  readonly position: Bytes
}

export class Piece {
  /** Its bytes are those of `memory` from `start`. */
  readonly memory: Buffer
  readonly start: number
  readonly done: IoDone
  /** Place on the volume in units of the piece size. */
  number = 0
  position: Bytes = 0
  length: Bytes = 0
  stream: AheadStream | null = null
  beganMs: Ms = 0
  usedBytes: Bytes = 0
  /** The memory belongs to the backing. */
  isUnderWay = false
  /** Under way for nothing: it may be old by the time it comes. */
  isSpoiled = false
  waiting: WaitingPart[] = []

  constructor(memory: Buffer, start: number, onDone: (piece: Piece, error: IoError | null) => void) {
    this.memory = memory
    this.start = start
    this.done = (error) => onDone(this, error)
  }

  covers(position: Bytes, end: Bytes): boolean {
    return this.position <= position && this.position + this.length >= end
  }

  copy(buffer: Buffer, start: number, position: Bytes, length: Bytes): void {
    const from = this.start + position - this.position
    this.memory.copy(buffer, start, from, from + length)
  }
}

export class Pieces {
  private readonly allocator: AlignedMemory
  private readonly limits: ReadAheadLimits
  private readonly onDone: (piece: Piece, error: IoError | null) => void
  private free: Piece[] = []
  private inUse = 0
  isAllocated = false

  constructor(
    allocator: AlignedMemory,
    limits: ReadAheadLimits,
    onDone: (piece: Piece, error: IoError | null) => void,
  ) {
    this.allocator = allocator
    this.limits = limits
    this.onDone = onDone
  }

  take(): Piece | null {
    if (!this.isAllocated) this.allocate()
    const piece = this.free.pop()
    if (piece === undefined) return null
    this.inUse += 1
    return piece
  }

  give(piece: Piece): void {
    piece.stream = null
    this.inUse -= 1
    this.free.push(piece)
  }

  /** Leaves the memory to the garbage collector; false while a piece is in use. */
  giveBack(): boolean {
    if (this.inUse > 0) return false
    this.free = []
    this.isAllocated = false
    return true
  }

  private allocate(): void {
    const { pieceBytes, pieces } = this.limits
    const memory = this.allocator.allocate(pieceBytes * pieces)
    assert(this.inUse === 0, `pieces of memory that was given back are in use count=${this.inUse}`)
    for (let i = pieces - 1; i >= 0; i -= 1) this.free.push(new Piece(memory, i * pieceBytes, this.onDone))
    this.isAllocated = true
  }
}
