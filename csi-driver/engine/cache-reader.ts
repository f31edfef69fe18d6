// Reads pieces of cached blocks into one buffer and verifies each against the hash that the index keeps. Used by reads
// and by destage: nothing leaves the cache device unverified (a flipped or misdirected sector must never reach a reader
// or the backing).
//
// A piece names a fragment as it was written (`orig`: its first sector on the cache storage, its length and hash) and
// the part of it that is wanted. Pieces that are wanted whole and follow each other on both sides are read by one
// transfer straight into the target; others go through a scratch buffer, because the hash covers the whole fragment.
// While a transfer is under way its place may be reused; the owner checks that afterwards (slot generations, trimCount).
import type { IoError } from '../../base/errors.ts'
import type { Bytes } from '../../base/units.ts'
import { BLOCK_BYTES, roundDown, roundUp, SECTOR_BYTES } from '../../base/units.ts'
import { xxhash64Low32 } from '../../base/xxhash64.ts'
import type { AlignedMemory, IoDone, Storage } from '../io/storage.ts'

/** A fragment of up to 4096 bytes that starts anywhere, read with the device's alignment. */
const SCRATCH_BYTES = 2 * BLOCK_BYTES
/** Transfers that one reader has under way. */
const TRANSFERS_MAX = 32

/** Scratch buffers, shared by all readers of a volume; as many as were ever needed at once, at most
 * TRANSFERS_MAX for each reader. */
export class ScratchPool {
  private readonly memory: AlignedMemory
  private readonly free: Buffer[] = []

  constructor(memory: AlignedMemory) {
    this.memory = memory
  }

  take(): Buffer {
    return this.free.pop() ?? this.memory.allocate(SCRATCH_BYTES)
  }

  give(buffer: Buffer): void {
    this.free.push(buffer)
  }
}

/** What went wrong: the device refused (`error`), or the data is not what was written. */
export type CacheReadResult = 'ok' | 'mismatch' | 'error'

/** One transfer and what to do with it when it ends; pooled by its reader. */
class Transfer {
  firstPiece = 0
  pieces = 0
  scratch: Buffer | null = null
  /** Byte offset of the first piece's data in the scratch buffer. */
  scratchStart = 0
  readonly done: IoDone

  constructor(onDone: (transfer: Transfer, error: IoError | null) => void) {
    this.done = (error) => onDone(this, error)
  }
}

/** What is read from: the cache device, or what stands in for it. */
export type CacheSource = Pick<Storage, 'read' | 'alignmentBytes'>

export class CacheReader {
  private readonly storage: CacheSource
  private readonly scratch: ScratchPool
  private readonly onFinished: (result: CacheReadResult) => void
  private readonly idle: Transfer[] = []
  private target: Buffer | null = null

  private readonly sector: number[] = []
  private readonly sectors: number[] = []
  private readonly hash: number[] = []
  private readonly wantStart: number[] = []
  private readonly wantBytes: number[] = []
  private readonly destination: number[] = []
  private count = 0
  private next = 0
  private underWay = 0
  private issuing = false
  private result: CacheReadResult = 'ok'
  /** Piece that failed first; the owner maps it back to its block. */
  failedPiece = -1
  lastError: IoError | null = null

  constructor(storage: CacheSource, scratch: ScratchPool, onFinished: (result: CacheReadResult) => void) {
    this.storage = storage
    this.scratch = scratch
    this.onFinished = onFinished
  }

  get pieces(): number {
    return this.count
  }

  clear(): void {
    this.count = 0
  }

  /**
   * Adds a piece: the fragment at [sector, sector+sectors) of the cache storage with `hash`, of which `wantBytes` from
   * byte `wantStart` go to byte `destination` of the target.
   */
  add(sector: number, sectors: number, hash: number, wantStart: Bytes, wantBytes: Bytes, destination: number): void {
    const i = this.count
    this.sector[i] = sector
    this.sectors[i] = sectors
    this.hash[i] = hash
    this.wantStart[i] = wantStart
    this.wantBytes[i] = wantBytes
    this.destination[i] = destination
    this.count += 1
  }

  /** Reads all pieces; the finish callback runs once, possibly before this returns. */
  start(target: Buffer): void {
    this.target = target
    this.next = 0
    this.result = 'ok'
    this.failedPiece = -1
    this.lastError = null
    this.issue()
  }

  private issue(): void {
    if (this.issuing) return
    this.issuing = true
    while (this.next < this.count && this.underWay < TRANSFERS_MAX && this.result !== 'error') this.issueOne()
    this.issuing = false
    if (this.underWay === 0 && (this.next >= this.count || this.result === 'error')) {
      this.target = null
      this.onFinished(this.result)
    }
  }

  private issueOne(): void {
    const transfer = this.idle.pop() ?? new Transfer((t, error) => this.finish(t, error))
    const first = this.next
    transfer.firstPiece = first
    this.underWay += 1
    if (this.isDirect(first)) this.issueDirect(transfer, first)
    else this.issueScratch(transfer, first)
  }

  private isDirect(i: number): boolean {
    const align = this.storage.alignmentBytes
    const position = (this.sector[i] as number) * SECTOR_BYTES
    const length = (this.sectors[i] as number) * SECTOR_BYTES
    const whole = this.wantStart[i] === 0 && this.wantBytes[i] === length
    return (
      whole && position % align === 0 && length % align === 0 && (this.destination[i] as number) % SECTOR_BYTES === 0
    )
  }

  private issueDirect(transfer: Transfer, first: number): void {
    let last = first
    let bytes = this.wantBytes[first] as number
    while (last + 1 < this.count && this.follows(last, last + 1) && this.isDirect(last + 1)) {
      last += 1
      bytes += this.wantBytes[last] as number
    }
    this.next = last + 1
    transfer.pieces = last - first + 1
    transfer.scratch = null
    const position = (this.sector[first] as number) * SECTOR_BYTES
    this.storage.read(this.target as Buffer, this.destination[first] as number, bytes, position, transfer.done)
  }

  private follows(a: number, b: number): boolean {
    return (
      (this.sector[a] as number) + (this.sectors[a] as number) === this.sector[b] &&
      (this.destination[a] as number) + (this.wantBytes[a] as number) === this.destination[b]
    )
  }

  private issueScratch(transfer: Transfer, i: number): void {
    this.next = i + 1
    const align = this.storage.alignmentBytes
    const start = (this.sector[i] as number) * SECTOR_BYTES
    const end = start + (this.sectors[i] as number) * SECTOR_BYTES
    const from = roundDown(start, align)
    transfer.pieces = 1
    transfer.scratch = this.scratch.take()
    transfer.scratchStart = start - from
    this.storage.read(transfer.scratch, 0, roundUp(end, align) - from, from, transfer.done)
  }

  private finish(transfer: Transfer, error: IoError | null): void {
    this.underWay -= 1
    if (error !== null) {
      this.note('error', transfer.firstPiece)
      this.lastError = error
    } else if (transfer.scratch === null) this.verifyDirect(transfer)
    else this.verifyScratch(transfer, transfer.scratch)
    if (transfer.scratch !== null) this.scratch.give(transfer.scratch)
    transfer.scratch = null
    this.idle.push(transfer)
    this.issue()
  }

  private verifyDirect(transfer: Transfer): void {
    const target = this.target as Buffer
    for (let i = transfer.firstPiece; i < transfer.firstPiece + transfer.pieces; i += 1) {
      const at = this.destination[i] as number
      if (xxhash64Low32(target, at, at + (this.wantBytes[i] as number)) !== this.hash[i]) this.note('mismatch', i)
    }
  }

  private verifyScratch(transfer: Transfer, scratch: Buffer): void {
    const i = transfer.firstPiece
    const start = transfer.scratchStart
    if (xxhash64Low32(scratch, start, start + (this.sectors[i] as number) * SECTOR_BYTES) !== this.hash[i]) {
      this.note('mismatch', i)
      return
    }
    const from = start + (this.wantStart[i] as number)
    scratch.copy(this.target as Buffer, this.destination[i], from, from + (this.wantBytes[i] as number))
  }

  private note(result: CacheReadResult, piece: number): void {
    if (this.result === 'ok') this.failedPiece = piece
    if (this.result !== 'error') this.result = result
  }
}
