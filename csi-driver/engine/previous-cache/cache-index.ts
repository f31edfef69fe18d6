// The index of a cache that is left behind after a planned move: which blocks of the volume stand clean in which slots,
// with their hashes. Written by the engine that leaves, read once by the peer's process of its node. It is bound to the
// volume, to one life of the cache, and to the version of the register that it was left at. Format: docs/formats/cache-index.md.
import { assert } from '../../../base/assert.ts'
import { crc32 } from '../../../base/crc32.ts'
import { CacheError } from '../../../base/errors.ts'
import { bytes, defineLayout, u32, u64, u64big, zeros } from '../../../base/layout.ts'
import { BLOCK_BYTES, type BlockNumber, type Bytes, type Epoch, type Ms } from '../../../base/units.ts'
import { xxhash64 } from '../../../base/xxhash64.ts'
import { NODE_NAME_PATTERN, UUID_PATTERN, VOLUME_NAME_PATTERN } from '../../register/record.ts'

const MAGIC = 0x49_43_42_46
const VERSION = 1
const VOLUME_NAME_BYTES = 64
const NODE_NAME_BYTES = 256

/** Blocks of one index: 16 GiB of cache, 48 MiB in memory. What is beyond is left out, and read from the backing. */
export const INDEX_BLOCKS_MAX = 2 ** 22

export const CACHE_INDEX_HEADER = defineLayout('cache index header', {
  magic: u32('"FBCI"'),
  version: u32('of this format: 1'),
  crc32: u32('CRC-32 of the header with this field as 0'),
  blockCount: u32('entries behind the header, at most 4194304'),
  volumeUuid: bytes(16, 'the volume'),
  storeUuid: bytes(16, 'the cache, as its superblock and register members name it'),
  incarnation: u64('life of the cache, at least 1'),
  epochLeft: u64('epoch of the owner that leaves it, at least 1'),
  registerRv: u64('version of the register record once the volume was left, at least 1'),
  wallMs: u64('when it was written, ms since 1970; for people'),
  slotsStart: u64('first byte of slot 0 on the cache storage; a multiple of 4096'),
  slotCount: u32('slots of the cache; each entry names one of them'),
  reserved: zeros(4),
  entriesHash: u64big('xxHash64 of all entries'),
  volume: bytes(VOLUME_NAME_BYTES, 'name of the volume, ASCII, zeros behind'),
  movedTo: bytes(NODE_NAME_BYTES, 'name of the node that may read the cache, ASCII, zeros behind'),
  unused: zeros(88),
})

export const CACHE_INDEX_ENTRY = defineLayout('cache index entry', {
  block: u32('number of the 4096-byte block of the volume; larger than that of the entry before'),
  slot: u32('slot that holds it: 4096 bytes at slotsStart + slot × 4096'),
  hash: u32('xxHash64 of the block, its low 32 bits'),
})
const HEADER_BYTES: Bytes = CACHE_INDEX_HEADER.size
const ENTRY_BYTES: Bytes = CACHE_INDEX_ENTRY.size
/** The largest file that is read. */
export const INDEX_BYTES_MAX: Bytes = HEADER_BYTES + INDEX_BLOCKS_MAX * ENTRY_BYTES

export interface CacheIndex {
  readonly volume: string
  readonly volumeUuid: string
  readonly storeUuid: string
  readonly incarnation: number
  readonly epochLeft: Epoch
  readonly registerRv: number
  readonly movedTo: string
  readonly wallMs: Ms
  readonly slotsStart: Bytes
  readonly slotCount: number
  /** Ascending. Slots and hashes stand in the same places. */
  readonly blocks: Uint32Array
  readonly slots: Uint32Array
  readonly hashes: Uint32Array
}

/** Place of the block; -1: it is not in the index. */
export function findBlock({ blocks }: CacheIndex, block: BlockNumber): number {
  let low = 0
  let high = blocks.length - 1
  while (low <= high) {
    const middle = (low + high) >>> 1
    const found = blocks[middle] as number
    if (found === block) return middle
    if (found < block) low = middle + 1
    else high = middle - 1
  }
  return -1
}

export function encodeCacheIndex(index: CacheIndex): Buffer {
  const { blocks, slots, hashes } = index
  const problem = indexProblem(index)
  assert(problem === null && slots.length === blocks.length && hashes.length === blocks.length, `index: ${problem}`)
  const file = Buffer.alloc(HEADER_BYTES + blocks.length * ENTRY_BYTES)
  for (let i = 0, at = HEADER_BYTES; i < blocks.length; i += 1, at += ENTRY_BYTES) {
    file.writeUInt32LE(blocks[i] as number, at)
    file.writeUInt32LE(slots[i] as number, at + 4)
    file.writeUInt32LE(hashes[i] as number, at + 8)
  }
  CACHE_INDEX_HEADER.encode(file, 0, {
    magic: MAGIC,
    version: VERSION,
    crc32: 0,
    blockCount: blocks.length,
    volumeUuid: Buffer.from(index.volumeUuid, 'hex'),
    storeUuid: Buffer.from(index.storeUuid, 'hex'),
    incarnation: index.incarnation,
    epochLeft: index.epochLeft,
    registerRv: index.registerRv,
    wallMs: index.wallMs,
    slotsStart: index.slotsStart,
    slotCount: index.slotCount,
    entriesHash: xxhash64(file, HEADER_BYTES, file.length),
    volume: padded(index.volume, VOLUME_NAME_BYTES),
    movedTo: padded(index.movedTo, NODE_NAME_BYTES),
  })
  CACHE_INDEX_HEADER.set(file, 0, 'crc32', crc32(file, 0, HEADER_BYTES))
  return file
}

/** Throws CacheError `corrupt` for whatever is not a whole index. */
export function decodeCacheIndex(file: Buffer): CacheIndex {
  if (file.length < HEADER_BYTES) throw damaged('it is too short')
  const header = Buffer.from(file.subarray(0, HEADER_BYTES))
  const crc = header.readUInt32LE(CACHE_INDEX_HEADER.offsets.crc32)
  header.writeUInt32LE(0, CACHE_INDEX_HEADER.offsets.crc32)
  if (header.readUInt32LE(0) !== MAGIC) throw damaged('it is none')
  if (crc !== crc32(header, 0, HEADER_BYTES)) throw damaged('checksum of its header')
  const fields = CACHE_INDEX_HEADER.decode(header, 0)
  const { version, blockCount, entriesHash } = fields
  if (version !== VERSION) throw damaged(`version=${version}`)
  if (blockCount > INDEX_BLOCKS_MAX || file.length !== HEADER_BYTES + blockCount * ENTRY_BYTES)
    throw damaged('its length')
  if (xxhash64(file, HEADER_BYTES, file.length) !== entriesHash) throw damaged('checksum of its entries')
  const index: CacheIndex = {
    ...fields,
    volumeUuid: fields.volumeUuid.toString('hex'),
    storeUuid: fields.storeUuid.toString('hex'),
    volume: unpadded(fields.volume),
    movedTo: unpadded(fields.movedTo),
    ...entriesOf(file, blockCount),
  }
  const problem = indexProblem(index)
  if (problem !== null) throw damaged(problem)
  return index
}

function entriesOf(file: Buffer, count: number): Pick<CacheIndex, 'blocks' | 'slots' | 'hashes'> {
  const blocks = new Uint32Array(count)
  const slots = new Uint32Array(count)
  const hashes = new Uint32Array(count)
  for (let i = 0, at = HEADER_BYTES; i < count; i += 1, at += ENTRY_BYTES) {
    blocks[i] = file.readUInt32LE(at)
    slots[i] = file.readUInt32LE(at + 4)
    hashes[i] = file.readUInt32LE(at + 8)
  }
  return { blocks, slots, hashes }
}

function indexProblem(index: CacheIndex): string | null {
  const { volume, volumeUuid, storeUuid, movedTo, incarnation, epochLeft, registerRv, slotsStart, slotCount } = index
  if (!VOLUME_NAME_PATTERN.test(volume)) return 'name of the volume'
  if (!NODE_NAME_PATTERN.test(movedTo)) return 'name of the node'
  if (!UUID_PATTERN.test(volumeUuid) || !UUID_PATTERN.test(storeUuid)) return 'a uuid'
  if (incarnation < 1 || epochLeft < 1 || registerRv < 1) return 'a number that begins at 1'
  if (slotsStart % BLOCK_BYTES !== 0) return `slotsStart=${slotsStart}`
  if (index.blocks.length > INDEX_BLOCKS_MAX) return `blocks=${index.blocks.length}`
  for (let i = 0; i < index.blocks.length; i += 1) {
    if (i > 0 && (index.blocks[i] as number) <= (index.blocks[i - 1] as number)) return `order of blocks entry=${i}`
    if ((index.slots[i] as number) >= slotCount) return `slot entry=${i}`
  }
  return null
}

function padded(name: string, size: Bytes): Buffer {
  const field = Buffer.alloc(size)
  field.write(name, 'latin1')
  return field
}

/** Zeros only behind the name, or no pattern takes it. */
function unpadded(field: Buffer): string {
  return field.toString('latin1').replace(/\0+$/, '')
}

function damaged(what: string): CacheError {
  return new CacheError('corrupt', 'CACHE_INDEX_DAMAGED', `the index of a left cache cannot be used: ${what}`)
}
