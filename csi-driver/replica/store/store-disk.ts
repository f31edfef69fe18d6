// The superblocks and the volume table on the disk: what stands there, making a new store, a new incarnation. Cold paths
// only. Format: docs/formats/replica-store.md.
import { isZero } from '../../../base/bytes.ts'
import { CacheError, IoError } from '../../../base/errors.ts'
import type { Bytes } from '../../../base/units.ts'
import { BLOCK_BYTES, KIB, MIB, roundDown } from '../../../base/units.ts'
import type { AlignedMemory, Storage } from '../../io/storage.ts'
import { readRange } from './segment-scan.ts'
import { slotPosition, STORE_SUPERBLOCK_AREA_BYTES, VOLUME_SLOT_BYTES, VOLUME_SLOT_COPIES } from './store-geometry.ts'
import {
  decodeStoreSuperblock,
  encodeStoreSuperblock,
  hasStoreMagic,
  STORE_SUPERBLOCK_BYTES,
  STORE_SUPERBLOCK_POSITIONS,
  type StoreSuperblock,
} from './store-superblock.ts'
import { decodeSlot, type SlotContent } from './volume-slot.ts'

/** File systems, partition tables and RAID members leave traces in here … */
const FOREIGN_HEAD_BYTES: Bytes = MIB
/** … and in here. */
const FOREIGN_TAIL_BYTES: Bytes = 128 * KIB

export type StoreProbe =
  /** All zeros where anybody would leave a trace. */
  | { readonly kind: 'empty' }
  /** Data of somebody else. */
  | { readonly kind: 'foreign' }
  /** A store once, but no superblock is valid. */
  | { readonly kind: 'damaged' }
  /** `copies`: how many of the superblocks say this. */
  | { readonly kind: 'store'; readonly superblock: StoreSuperblock; readonly copies: number }

/** Says what stands on a storage. Never writes. Rejects with IoError where it cannot be read. */
export async function probeStore(storage: Storage, memory: AlignedMemory): Promise<StoreProbe> {
  const usableBytes = roundDown(storage.sizeBytes, BLOCK_BYTES)
  const headBytes = Math.min(FOREIGN_HEAD_BYTES, usableBytes)
  const tailBytes = Math.min(FOREIGN_TAIL_BYTES, usableBytes)
  const buffer = memory.allocate(FOREIGN_HEAD_BYTES)
  if (headBytes > 0) await readRange(storage, buffer, { start: 0, length: headBytes, position: 0 })
  const positions = headBytes < STORE_SUPERBLOCK_AREA_BYTES ? [] : STORE_SUPERBLOCK_POSITIONS
  const found = positions.map((position) => decodeStoreSuperblock(buffer, position))
  const newest = found.reduce((best, each) => ((each?.generation ?? 0) > (best?.generation ?? 0) ? each : best), null)
  if (newest !== null) {
    const copies = found.filter((each) => each?.generation === newest.generation).length
    return { kind: 'store', superblock: newest, copies }
  }
  if (positions.some((position) => hasStoreMagic(buffer, position))) return { kind: 'damaged' }
  if (!isZero(buffer, 0, headBytes)) return { kind: 'foreign' }
  const position = usableBytes - tailBytes
  if (tailBytes > 0) await readRange(storage, buffer, { start: 0, length: tailBytes, position })
  return { kind: isZero(buffer, 0, tailBytes) ? 'empty' : 'foreign' }
}

function writeRange(storage: Storage, buffer: Buffer, range: { length: Bytes; position: Bytes }): Promise<void> {
  return new Promise((resolve, reject) => {
    storage.write(buffer, 0, range.length, range.position, (error) => (error ? reject(error) : resolve()))
  })
}

/** Writes all copies, one after the other. Rejects with IoError; then either content may be found later. */
export async function writeSuperblock(storage: Storage, memory: AlignedMemory, superblock: StoreSuperblock) {
  const buffer = memory.allocate(STORE_SUPERBLOCK_BYTES)
  encodeStoreSuperblock(buffer, 0, superblock)
  for (const position of STORE_SUPERBLOCK_POSITIONS) {
    await writeRange(storage, buffer, { length: STORE_SUPERBLOCK_BYTES, position })
  }
}

/** Makes an empty store, whatever stood there; the caller has decided that it may go. Rejects with IoError. */
export async function formatStore(storage: Storage, memory: AlignedMemory, superblock: StoreSuperblock) {
  // Memory holds whatever stood there before; anything but zeros would count as a damaged slot.
  const table = memory.allocate(superblock.slotCount * VOLUME_SLOT_BYTES).fill(0)
  // Before the superblocks: a slot of an earlier store never stands under a new one.
  for (let copy = 0; copy < VOLUME_SLOT_COPIES; copy++) {
    await writeRange(storage, table, { length: table.length, position: slotPosition(superblock, 0, copy) })
  }
  await writeSuperblock(storage, memory, superblock)
}

/** One entry of the volume table. */
export interface FoundSlot {
  readonly index: number
  /** Null: neither copy is valid. */
  readonly content: SlotContent | null
  /** `unused`: never written, or its first writing was torn. `damaged`: both copies were written, neither is valid. */
  readonly state: 'good' | 'one-copy' | 'unused' | 'damaged'
  /** The copy to be written first. */
  readonly worseCopy: number
}

interface SlotCopy {
  readonly content: SlotContent | null
  readonly isZero: boolean
  /** The storage gave an error instead of it. */
  readonly error: IoError | null
}

/** Reads the volume table. One copy that cannot be read is as good as damaged; two of one slot reject with IoError. */
export async function readSlots(
  storage: Storage,
  memory: AlignedMemory,
  superblock: StoreSuperblock,
): Promise<FoundSlot[]> {
  const buffer = memory.allocate(superblock.slotCount * VOLUME_SLOT_BYTES)
  const first = await readCopies(storage, buffer, { superblock, copy: 0 })
  const second = await readCopies(storage, buffer, { superblock, copy: 1 })
  return first.map((copy, index) => judge(index, copy, second[index] ?? copy))
}

async function readCopies(
  storage: Storage,
  buffer: Buffer,
  { superblock, copy }: { superblock: StoreSuperblock; copy: number },
): Promise<SlotCopy[]> {
  const { slotCount, storeUuid } = superblock
  const position = slotPosition(superblock, 0, copy)
  const look = (index: number): SlotCopy => {
    const start = index * VOLUME_SLOT_BYTES
    const content = decodeSlot(buffer, start, { storeUuid, copy, index })
    return { content, isZero: isZero(buffer, start, start + VOLUME_SLOT_BYTES), error: null }
  }
  try {
    await readRange(storage, buffer, { start: 0, length: buffer.length, position })
    return Array.from({ length: slotCount }, (_, index) => look(index))
  } catch {
    // One bad place must not hide the others.
  }
  const copies: SlotCopy[] = []
  for (let index = 0; index < slotCount; index++) {
    const start = index * VOLUME_SLOT_BYTES
    try {
      await readRange(storage, buffer, { start, length: VOLUME_SLOT_BYTES, position: position + start })
      copies.push(look(index))
    } catch (error) {
      if (!(error instanceof IoError)) throw error
      copies.push({ content: null, isZero: false, error })
    }
  }
  return copies
}

function judge(index: number, first: SlotCopy, second: SlotCopy): FoundSlot {
  if (first.content === null && second.content === null) return judgeMissing(index, first, second)
  const ahead = (second.content?.generation ?? 0) - (first.content?.generation ?? 0)
  if (ahead === 0) return { index, content: first.content, state: 'good', worseCopy: 0 }
  return ahead > 0
    ? { index, content: second.content, state: 'one-copy', worseCopy: 0 }
    : { index, content: first.content, state: 'one-copy', worseCopy: 1 }
}

function judgeMissing(index: number, first: SlotCopy, second: SlotCopy): FoundSlot {
  const error = first.error ?? second.error
  if (error !== null) throw error
  // A first writing that a crash tore leaves the other copy as it was: zero.
  return { index, content: null, state: first.isZero || second.isZero ? 'unused' : 'damaged', worseCopy: 0 }
}

/** Why the storage cannot be opened as a store. */
export function refusedStorage(name: string, what: string, remedy: string): CacheError {
  return new CacheError('invalid', 'CACHE_STORE_REFUSED', `${what} path=${name}`, { remedy })
}

/** Something of somebody else stands there. */
export function refuseForeign(name: string): never {
  const remedy = 'Give another path, or wipe this one if nobody needs what is there.'
  throw refusedStorage(name, 'this is not a replica store, and not empty', remedy)
}
