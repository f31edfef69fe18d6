// The clean blocks in the cache storage: which slot (4 KiB of the read-cache area) holds which block, and which slot is
// given up next. Where a block is found is the extent index's business; the two agree on a slot's life:
//
//   insert(block) → slot, (fill it, then) index.putClean(block, slot) or index.settle(…, slot)
//   index lost it (overwritten, zeroed): onCleanGone(slot) → release(slot)
//   the cache gives it up:               onEvict(block, slot) → index.dropClean(block, slot)
//
// A slot that the index refused must be given back with `release`. Between insert and the end of the fill the slot
// should be pinned: an evicted slot may be refilled at once, and two writes to it could land in either order. Reads need
// no pin: they compare `generationOf` before and after, and the hash.
//
// Nothing allocates after construction. Memory: next 4, state 1, block 4, generation 2, ghost 0.9 × 2.1 = 12.9 bytes a
// slot, and 17.5 in the extent index: 30.4 bytes a cached block (the bound is 32).
import type { BlockNumber, Bytes } from '../../../base/units.ts'
import { Ghost } from './ghost.ts'
import { S3Fifo } from './s3-fifo.ts'
import { NO_SLOT } from './slot-queue.ts'

export interface ReadCacheOptions {
  /** Number of 4 KiB slots; 0 makes a cache that refuses everything. */
  readonly slots: number
  /** The slot no longer holds the block. Must not call the cache. */
  readonly onEvict: (block: BlockNumber, slot: number) => void
}

const BYTES_PER_SLOT_HERE = 6

export class ReadCache {
  readonly slots: number
  /** Slots that hold a block (or are being filled). */
  used = 0
  inserts = 0
  evictions = 0
  /** Inserts of blocks that had been evicted not long ago. */
  ghostHits = 0
  /** Inserts that found no slot to give up. */
  refusals = 0
  private readonly policy: S3Fifo
  private readonly ghost: Ghost
  private readonly block: Uint32Array
  private readonly generation: Uint16Array
  private readonly onEvict: (block: BlockNumber, slot: number) => void

  constructor(options: ReadCacheOptions) {
    this.slots = options.slots
    this.onEvict = options.onEvict
    this.policy = new S3Fifo(options.slots, this.evicted.bind(this))
    this.ghost = new Ghost(this.policy.mainTarget)
    this.block = new Uint32Array(options.slots)
    this.generation = new Uint16Array(options.slots)
  }

  /** Bytes of all arrays of a cache of that size. */
  static bytesFor(slots: number): Bytes {
    const ghostEntries = slots - Math.max(1, Math.floor(slots / 10))
    return S3Fifo.bytesFor(slots) + Ghost.bytesFor(ghostEntries) + slots * BYTES_PER_SLOT_HERE
  }

  /** Slots given up although in use, since the search is bounded. */
  get forcedEvictions(): number {
    return this.policy.forcedEvictions
  }

  /** Moves from the small to the main queue. */
  get promotions(): number {
    return this.policy.promotions
  }

  /** Released slots that wait to be found again: about a sixteenth of the slots at most, all of them after `clear`. */
  get deadSlots(): number {
    return this.policy.deadSlots
  }

  /** A slot for the block, which must have none yet; -1 when no slot can be given up now. Steps are bounded (s3-fifo.ts). */
  insert(block: BlockNumber): number {
    const slot = this.slots === 0 ? NO_SLOT : this.policy.take()
    if (slot === NO_SLOT) {
      this.refusals++
      return NO_SLOT
    }
    const wanted = this.ghost.take(block)
    if (wanted) this.ghostHits++
    this.policy.admit(slot, wanted)
    this.block[slot] = block
    this.inserts++
    this.used++
    return slot
  }

  /** A read found its block in the slot. */
  touch(slot: number): void {
    this.policy.touch(slot)
  }

  /** The slot's content is void or was never put into the index; no callback. Asserts that the slot holds a block. */
  release(slot: number): void {
    this.policy.kill(slot)
    this.left(slot)
  }

  /** Keeps the slot from being handed out again, even after `release`, until `unpin`. One pin a slot, for its fill. */
  pin(slot: number): void {
    this.policy.pin(slot)
  }

  unpin(slot: number): void {
    this.policy.unpin(slot)
  }

  /**
   * 0 … 65535, another one whenever the slot stops holding its block (evicted, released, cleared): an async read or fill
   * that sees it change has lost the slot and must neither use nor release it.
   */
  generationOf(slot: number): number {
    return this.generation[slot] as number
  }

  /** The block in the slot; -1 when it holds none. */
  blockOf(slot: number): BlockNumber {
    return this.policy.isLive(slot) ? (this.block[slot] as number) : -1
  }

  /** Gives up every block, with a callback for each, and forgets the past. */
  clear(): void {
    for (let slot = 0; slot < this.slots; slot++) {
      if (!this.policy.isLive(slot)) continue
      this.release(slot)
      this.onEvict(this.block[slot] as number, slot)
    }
    this.ghost.clear()
  }

  private evicted(slot: number, fromSmall: boolean): void {
    const block = this.block[slot] as number
    if (fromSmall) this.ghost.add(block)
    this.evictions++
    this.left(slot)
    this.onEvict(block, slot)
  }

  private left(slot: number): void {
    this.generation[slot] = (this.generation[slot] as number) + 1
    this.used--
  }
}
