// The four superblock slots: finding the newest valid one, and writing the next.
//
// Every update is written twice, as two successive generations in two successive slots, and counts only when both are
// durable. So the two newest valid superblocks of an update that was reported always say the same: one damaged slot
// loses nothing, and space below the tail may be re-used at once ("the older of the two newest" is the same tail).
// Of the pair before, both slots stay untouched meanwhile. Format: docs/formats/journal.md.
import { assert } from '../../base/assert.ts'
import { isZero } from '../../base/bytes.ts'
import type { IoError } from '../../base/errors.ts'
import { BLOCK_BYTES, type Bytes, KIB, MIB, roundDown } from '../../base/units.ts'
import type { AlignedMemory, IoDone, Storage } from '../io/storage.ts'
import {
  decodeSuperblock,
  encodeSuperblock,
  hasSuperblockMagic,
  SUPERBLOCK_AREA_BYTES,
  SUPERBLOCK_BYTES,
  SUPERBLOCK_SLOTS,
  type Superblock,
} from './superblock.ts'

/** Copies of one update. */
export const SUPERBLOCK_COPIES = 2
/** File systems, partition tables and RAID members leave traces in here (the farthest common one: Btrfs at 64 KiB). */
const FOREIGN_HEAD_BYTES: Bytes = MIB
/** … and in here (RAID 1.0, GPT backup). */
const FOREIGN_TAIL_BYTES: Bytes = 128 * KIB

export type CacheProbe =
  /** All zeros where anybody would leave a trace. */
  | { readonly kind: 'empty' }
  /** Data of somebody else. */
  | { readonly kind: 'foreign' }
  /** Ours once, but no slot is valid. */
  | { readonly kind: 'damaged'; readonly damagedSlots: number }
  /**
   * `damagedSlots` counts the slots that hold something, but no valid superblock: a write that a crash tore, or damage.
   * When it is not 0, what the newest update said may be lost: treat it as an open intent (PROTOCOL.md 1.3).
   */
  | { readonly kind: 'forebay'; readonly superblock: Superblock; readonly damagedSlots: number }

export interface SlotContent {
  readonly slot: number
  readonly state: 'valid' | 'damaged' | 'empty'
  readonly superblock: Superblock | null
}

/** A read as a promise, for cold paths. Rejects with the IoError of the storage. */
export function readStorage(
  storage: Storage,
  buffer: Buffer,
  range: { start: number; length: Bytes; position: Bytes },
) {
  return new Promise<void>((resolve, reject) => {
    storage.read(buffer, range.start, range.length, range.position, (error) => (error ? reject(error) : resolve()))
  })
}

function slotContent(buffer: Buffer, slot: number): SlotContent {
  const start = slot * SUPERBLOCK_BYTES
  const superblock = decodeSuperblock(buffer, start)
  if (superblock !== null && superblock.generation % SUPERBLOCK_SLOTS === slot) {
    return { slot, state: 'valid', superblock }
  }
  const empty = isZero(buffer, start, start + SUPERBLOCK_BYTES)
  return { slot, state: empty ? 'empty' : 'damaged', superblock: null }
}

/** Reads all four slots. The storage must be long enough. */
export async function readSlots(storage: Storage, memory: AlignedMemory): Promise<SlotContent[]> {
  const buffer = memory.allocate(SUPERBLOCK_AREA_BYTES)
  await readStorage(storage, buffer, { start: 0, length: SUPERBLOCK_AREA_BYTES, position: 0 })
  return Array.from({ length: SUPERBLOCK_SLOTS }, (_, slot) => slotContent(buffer, slot))
}

/** The superblock that counts: highest generation among the valid ones. */
export function newestSuperblock(slots: readonly SlotContent[]): Superblock | null {
  let newest: Superblock | null = null
  for (const { superblock } of slots) {
    if (superblock !== null && superblock.generation > (newest?.generation ?? -1)) newest = superblock
  }
  return newest
}

/** Says what stands on a cache storage. Never writes. Rejects with IoError when it cannot be read. */
export async function probeCache(storage: Storage, memory: AlignedMemory): Promise<CacheProbe> {
  const usableBytes = roundDown(storage.sizeBytes, BLOCK_BYTES)
  const headBytes = Math.min(FOREIGN_HEAD_BYTES, usableBytes)
  const tailBytes = Math.min(FOREIGN_TAIL_BYTES, usableBytes)
  const buffer = memory.allocate(FOREIGN_HEAD_BYTES)
  if (headBytes > 0) await readStorage(storage, buffer, { start: 0, length: headBytes, position: 0 })
  if (headBytes >= SUPERBLOCK_AREA_BYTES) {
    const slots = Array.from({ length: SUPERBLOCK_SLOTS }, (_, slot) => slotContent(buffer, slot))
    const superblock = newestSuperblock(slots)
    const damagedSlots = slots.filter((slot) => slot.state === 'damaged').length
    if (superblock !== null) return { kind: 'forebay', superblock, damagedSlots }
    if (slots.some(({ slot }) => hasSuperblockMagic(buffer, slot * SUPERBLOCK_BYTES))) {
      return { kind: 'damaged', damagedSlots }
    }
  }
  if (!isZero(buffer, 0, headBytes)) return { kind: 'foreign' }
  if (tailBytes > 0) {
    await readStorage(storage, buffer, { start: 0, length: tailBytes, position: usableBytes - tailBytes })
  }
  return { kind: isZero(buffer, 0, tailBytes) ? 'empty' : 'foreign' }
}

/** Writes superblocks one after the other. Its user never has two writes open at once. */
export class SuperblockWriter {
  private readonly storage: Storage
  private readonly buffer: Buffer
  private generation: number
  private copy = 0
  private copies = 0
  private content: Superblock | null = null
  private done: (error: IoError | null, written: Superblock | null) => void = () => {}

  /** `generation`: of the newest superblock there is, valid or not yet replaced. */
  constructor(storage: Storage, memory: AlignedMemory, generation: number) {
    this.storage = storage
    this.buffer = memory.allocate(SUPERBLOCK_BYTES)
    this.generation = generation
  }

  get isBusy(): boolean {
    return this.content !== null
  }

  /**
   * Writes `superblock` (its generation is replaced) `copies` times. `done` gets what was written last. On an error the
   * outcome is unknown: either content may be found later.
   */
  write(
    superblock: Superblock,
    copies: number,
    done: (error: IoError | null, written: Superblock | null) => void,
  ): void {
    assert(this.content === null, 'one superblock update at a time')
    this.content = superblock
    this.copy = 0
    this.copies = copies
    this.done = done
    this.writeCopy()
  }

  private writeCopy(): void {
    assert(this.content !== null, 'a superblock is being written')
    this.generation++
    this.copy++
    const next: Superblock = { ...this.content, generation: this.generation, copy: this.copy }
    this.content = next
    encodeSuperblock(this.buffer, 0, next)
    const position = (this.generation % SUPERBLOCK_SLOTS) * SUPERBLOCK_BYTES
    this.storage.write(this.buffer, 0, SUPERBLOCK_BYTES, position, this.onWritten)
  }

  private readonly onWritten: IoDone = (error) => {
    if (error === null && this.copy < this.copies) {
      this.writeCopy()
      return
    }
    const written = this.content
    this.content = null
    this.done(error, error === null ? written : null)
  }
}
