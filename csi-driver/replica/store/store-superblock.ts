// The superblock of a replica store: who the store is and how it is divided. Written when the store is made, and again
// when a new incarnation begins; three copies far enough apart that one worn page takes only one. The newest valid copy
// counts. This file owns the values, their ranges and the codec. Format: docs/formats/replica-store.md.
import { assert } from '../../../base/assert.ts'
import { crc32 } from '../../../base/crc32.ts'
import { CacheError } from '../../../base/errors.ts'
import { bytes, defineLayout, u32, u64, u8, zeros } from '../../../base/layout.ts'
import type { Bytes, Ms } from '../../../base/units.ts'
import { BLOCK_BYTES, KIB } from '../../../base/units.ts'
import { geometryProblem, type StoreGeometry } from './store-geometry.ts'

/** "FBRS" in the file. */
export const STORE_MAGIC = 0x53_52_42_46
export const STORE_VERSION = 1
export const STORE_SUPERBLOCK_BYTES: Bytes = BLOCK_BYTES
export const STORE_SUPERBLOCK_POSITIONS: readonly Bytes[] = [0, 28 * KIB, 60 * KIB]

export type StoreResource = 'flash' | 'memory'

export interface StoreSuperblock extends StoreGeometry {
  /** +1 per writing; all copies of one writing say the same. */
  readonly generation: number
  /** 32 hexadecimal digits; drawn when the store is made. */
  readonly storeUuid: string
  /** What the next volume that is created gets; grows when the store has lost or discarded a volume. */
  readonly incarnation: number
  readonly resource: StoreResource
  /** When the store was made, since 1970. */
  readonly madeWallMs: Ms
}

export const STORE_SUPERBLOCK = defineLayout('replica store superblock', {
  magic: u32('"FBRS"'),
  version: u32('of this format: 1'),
  crc32: u32('CRC-32 of the 4096 bytes with this field as 0'),
  resource: u8('1 flash, 2 memory'),
  reserved: zeros(3),
  generation: u64('+1 per writing; the newest valid copy counts'),
  storeUuid: bytes(16, 'the store, as register members name it; all else that is valid here names it too'),
  incarnation: u64('given to the next volume that is created; +1 when a volume was lost or discarded'),
  capacityBytes: u64('end of the store on its storage'),
  segmentBytes: u32('length of a segment'),
  slotCount: u32('volumes that the table has room for'),
  madeWallMs: u64('when the store was made, ms since 1970'),
  unused: zeros(4096 - 72),
})
assert(STORE_SUPERBLOCK.size === STORE_SUPERBLOCK_BYTES, `superblock fills its block bytes=${STORE_SUPERBLOCK.size}`)

const RESOURCE_CODES = { flash: 1, memory: 2 } as const

/** Writes one copy at buffer[start, start+4096). Throws AssertionError for values that are not legal. */
export function encodeStoreSuperblock(buffer: Buffer, start: number, superblock: StoreSuperblock): void {
  const problem = superblockProblem(superblock)
  assert(problem === null, `superblock is legal problem=${problem}`)
  STORE_SUPERBLOCK.encode(buffer, start, {
    ...superblock,
    magic: STORE_MAGIC,
    version: STORE_VERSION,
    crc32: 0,
    resource: RESOURCE_CODES[superblock.resource],
    storeUuid: Buffer.from(superblock.storeUuid, 'hex'),
  })
  STORE_SUPERBLOCK.set(buffer, start, 'crc32', crc32(buffer, start, start + STORE_SUPERBLOCK_BYTES))
}

/** Whether a copy (valid or not) seems to stand at buffer[start…). */
export function hasStoreMagic(buffer: Buffer, start: number): boolean {
  return buffer.readUInt32LE(start) === STORE_MAGIC
}

/** Reads one copy. Null for anything that is no complete, legal superblock; never throws for what is in it. */
export function decodeStoreSuperblock(buffer: Buffer, start: number): StoreSuperblock | null {
  if (start < 0 || start + STORE_SUPERBLOCK_BYTES > buffer.length || !hasStoreMagic(buffer, start)) return null
  const copy = Buffer.from(buffer.subarray(start, start + STORE_SUPERBLOCK_BYTES))
  const found = copy.readUInt32LE(STORE_SUPERBLOCK.offsets.crc32)
  copy.writeUInt32LE(0, STORE_SUPERBLOCK.offsets.crc32)
  if (crc32(copy, 0, STORE_SUPERBLOCK_BYTES) !== found) return null
  try {
    const raw = STORE_SUPERBLOCK.decode(copy, 0)
    if (raw.version !== STORE_VERSION || raw.resource < 1 || raw.resource > 2) return null
    const { generation, incarnation, capacityBytes, segmentBytes, slotCount, madeWallMs } = raw
    const resource: StoreResource = raw.resource === RESOURCE_CODES.flash ? 'flash' : 'memory'
    const storeUuid = raw.storeUuid.toString('hex')
    const geometry = { capacityBytes, segmentBytes, slotCount }
    const superblock = { ...geometry, generation, storeUuid, incarnation, resource, madeWallMs }
    return superblockProblem(superblock) === null ? superblock : null
  } catch (error) {
    if (error instanceof CacheError) return null
    throw error
  }
}

/** First rule that the values break, in words, or null. The same rules hold before writing and after reading. */
function superblockProblem(superblock: StoreSuperblock): string | null {
  if (!/^[0-9a-f]{32}$/.test(superblock.storeUuid)) return 'storeUuid is not 32 hexadecimal digits'
  for (const value of [superblock.generation, superblock.incarnation]) {
    if (!Number.isSafeInteger(value) || value < 1) return 'generation and incarnation begin at 1'
  }
  return geometryProblem(superblock)
}
