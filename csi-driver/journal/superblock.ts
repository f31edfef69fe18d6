// The superblock: what the journal knows besides its batches. Identity, ownership, geometry, where the log begins, the
// last settled register record and the intent of an open compare-and-swap (PROTOCOL.md 1.3). This file owns the values,
// their ranges and the codec; superblock-store.ts owns the slots. Format: docs/formats/journal.md.
//
// One slot is 8 KiB with a CRC-32 over all of it: a torn write never passes. Names and JSON are UTF-8, length first.
import { CacheError } from '../../base/errors.ts'
import { assert } from '../../base/assert.ts'
import { crc32 } from '../../base/crc32.ts'
import { isU53, isZero } from '../../base/bytes.ts'
import { bytes, defineLayout, u16, u32, u64, u64big, u8, zeros } from '../../base/layout.ts'
import type { BatchSeq, Bytes, Epoch, Ms, Run, Seq } from '../../base/units.ts'
import { BLOCK_BYTES, KIB, MIB } from '../../base/units.ts'

/** "FBSB" in the file. */
export const SUPERBLOCK_MAGIC = 0x42_53_42_46
export const SUPERBLOCK_VERSION = 1
export const SUPERBLOCK_BYTES: Bytes = 8 * KIB
export const SUPERBLOCK_SLOTS = 4
/** The log begins behind the slots. */
export const SUPERBLOCK_AREA_BYTES: Bytes = SUPERBLOCK_SLOTS * SUPERBLOCK_BYTES
export const LINEAGE_ENTRIES_MAX = 16
export const VOLUME_NAME_BYTES_MAX = 256
export const BACKING_ID_BYTES_MAX = 128
export const REGISTER_NONCE_BYTES_MAX = 64
export const REGISTER_RECORD_BYTES_MAX = 2 * KIB
export const INTENT_BYTES_MAX = KIB
/** 4 KiB blocks of the first and of the last MiB of the backing. */
export const EDGE_HASHES = (2 * MIB) / BLOCK_BYTES

/** From `firstBatchSeq` on, batches carry `logUuid`; until the next entry begins. */
export interface LineageEntry {
  /** 32 hexadecimal digits. */
  readonly logUuid: string
  readonly firstBatchSeq: BatchSeq
}

/** Where the un-trimmed log begins and what its first batch must look like. */
export interface LogTail {
  /** Byte position in the cache storage where batch `batchSeq` is expected (or at the ring's start). */
  readonly position: Bytes
  readonly batchSeq: BatchSeq
  /** Seq of the first un-trimmed record. */
  readonly seq: Seq
  /** headerHash of batch batchSeq - 1; 0 for the first batch of all. */
  readonly previousHash: bigint
}

export interface LogGeometry {
  readonly logStart: Bytes
  /** Multiple of 4096. */
  readonly logBytes: Bytes
  /** End of what the cache uses on its storage. */
  readonly cacheBytes: Bytes
  /** No batch of this log is longer; bounds every scan. */
  readonly frameBytesMax: Bytes
}

export interface BackingIdentity {
  readonly kind: 'block' | 'file'
  readonly id: string
  readonly sizeBytes: Bytes
}

export interface Superblock {
  /** +1 per write; the slot is generation mod 4. */
  readonly generation: number
  /** Which writing of the same content this is, from 1. */
  readonly copy: number
  readonly wallMs: Ms
  /** 32 hexadecimal digits each. */
  readonly volumeUuid: string
  readonly storeUuid: string
  readonly volumeName: string
  readonly incarnation: number
  readonly registerNonce: string
  readonly epoch: Epoch
  readonly run: Run
  /** Batches from this one on were written by (epoch, run) or later; older leftovers with such numbers are void. */
  readonly runFirstBatchSeq: BatchSeq
  /** Next batch when this was written: every smaller one was complete on the device. */
  readonly headBatchSeq: BatchSeq
  readonly geometry: LogGeometry
  readonly sectorBytes: 512 | 4096
  readonly resource: 'flash' | 'memory'
  /** Oldest first, firstBatchSeq not falling; 1 to 16 entries. */
  readonly lineage: readonly LineageEntry[]
  /** Named by an open claim; becomes the last entry when the register names it, or is dropped. */
  readonly pendingLineage: LineageEntry | null
  readonly tail: LogTail
  readonly backing: BackingIdentity
  /** 512 numbers, 0 = not compared (DESIGN.md §7.15). */
  readonly edgeHashes: Uint32Array
  /** JSON of the last settled register record; '' = none. */
  readonly registerRecord: string
  /** JSON of an open compare-and-swap; '' = none. */
  readonly intent: string
}

const SUPERBLOCK = defineLayout('superblock', {
  magic: u32('"FBSB"'),
  version: u32('of this format: 1'),
  crc32: u32('CRC-32 of the 8192 bytes with this field as 0; a torn or damaged slot never passes'),
  sectorBytes: u32('512 or 4096'),
  generation: u64('+1 per write; newest valid slot wins; slot = generation mod 4, which finds misdirected writes'),
  wallMs: u64('when written, ms since 1970'),
  volumeUuid: bytes(16, 'the volume'),
  storeUuid: bytes(16, 'this cache, as register members name it'),
  incarnation: u64('life of this store; one that lost its content has a new one'),
  epoch: u64('ownership'),
  run: u64('life of the engine inside the epoch'),
  runFirstBatchSeq: u64('batches from here on belong to (epoch, run) or later'),
  headBatchSeq: u64('every smaller batch was complete when this was written; a missing one is damage, not a torn tail'),
  logStart: u64('position of the ring in bytes'),
  logBytes: u64('length of the ring in bytes, a multiple of 4096'),
  cacheBytes: u64('end of the cache on its storage'),
  frameBytesMax: u64('longest batch of this log in bytes'),
  tailPosition: u64('where batch tailBatchSeq is expected'),
  tailBatchSeq: u64('first un-trimmed batch'),
  tailSeq: u64('first un-trimmed record'),
  tailPreviousHash: u64big('headerHash of batch tailBatchSeq - 1'),
  backingSizeBytes: u64('size of the backing device'),
  resource: u8('1 flash, 2 memory'),
  backingKind: u8('1 block device, 2 file'),
  lineageCount: u8('1 to 16'),
  pendingCount: u8('1 when pendingLineage is set'),
  volumeNameBytes: u16('length of volumeName'),
  registerNonceBytes: u16('length of registerNonce'),
  backingIdBytes: u16('length of backingId'),
  registerRecordBytes: u16('length of registerRecord'),
  intentBytes: u16('length of intent'),
  copy: u8('1 for the first writing of this content, 2 for the second …; from 2 on the slot before says the same'),
  reserved: zeros(1),
  volumeName: bytes(VOLUME_NAME_BYTES_MAX, 'UTF-8, zeros behind'),
  registerNonce: bytes(REGISTER_NONCE_BYTES_MAX, 'identity of the register record; refuses a restored register'),
  backingId: bytes(BACKING_ID_BYTES_MAX, 'identity of the backing; refuses another device'),
  lineage: bytes(LINEAGE_ENTRIES_MAX * 24, 'entries of logUuid (16), firstBatchSeq (u64); zeros behind'),
  pendingLineage: bytes(24, 'one entry, or zeros'),
  edgeHashes: bytes(
    EDGE_HASHES * 4,
    '512 × u32: low half of xxHash64 of each 4 KiB of first and last MiB; 0 = not compared',
  ),
  registerRecord: bytes(REGISTER_RECORD_BYTES_MAX, 'JSON, zeros behind'),
  intent: bytes(INTENT_BYTES_MAX, 'JSON, zeros behind'),
  unused: zeros(2024),
})

const LINEAGE_ENTRY = defineLayout('lineage entry', {
  logUuid: bytes(16, 'first 8 bytes: the epoch that created it, big-endian; all zero: any log of this volume'),
  firstBatchSeq: u64('first batch that carries it'),
})

type Raw = ReturnType<typeof SUPERBLOCK.decode>

const RESOURCE_CODES = { flash: 1, memory: 2 } as const
const BACKING_CODES = { block: 1, file: 2 } as const

const SECTOR_CODES = { 512: 512, 4096: 4096 } as const

export const SUPERBLOCK_LAYOUT = SUPERBLOCK
export const LINEAGE_LAYOUT = LINEAGE_ENTRY
assert(SUPERBLOCK.size === SUPERBLOCK_BYTES, `superblock fills its slot bytes=${SUPERBLOCK.size}`)

/** Bytes of a uuid given as 32 hexadecimal digits. Throws AssertionError for anything else. */
export function uuidBytes(uuid: string): Buffer {
  assert(/^[0-9a-f]{32}$/.test(uuid), `uuid is 32 lower-case hexadecimal digits uuid=${uuid}`)
  return Buffer.from(uuid, 'hex')
}

function packText(text: string, size: number): Buffer {
  const packed = Buffer.alloc(size)
  const length = Buffer.byteLength(text)
  assert(length <= size, `text fits bytes=${length} limit=${size}`)
  packed.write(text)
  return packed
}

function packLineage(entries: readonly LineageEntry[], size: number): Buffer {
  const packed = Buffer.alloc(size)
  entries.forEach((entry, index) =>
    LINEAGE_ENTRY.encode(packed, index * LINEAGE_ENTRY.size, {
      logUuid: uuidBytes(entry.logUuid),
      firstBatchSeq: entry.firstBatchSeq,
    }),
  )
  return packed
}

/** Writes one slot at buffer[start, start+SUPERBLOCK_BYTES). Throws AssertionError for values that are not legal. */
export function encodeSuperblock(buffer: Buffer, start: number, superblock: Superblock): void {
  const problem = findProblem(superblock)
  assert(problem === null, `superblock is legal problem=${problem}`)
  const { geometry, tail, backing, pendingLineage } = superblock
  SUPERBLOCK.encode(buffer, start, {
    ...superblock,
    ...geometry,
    magic: SUPERBLOCK_MAGIC,
    version: SUPERBLOCK_VERSION,
    crc32: 0,
    volumeUuid: uuidBytes(superblock.volumeUuid),
    storeUuid: uuidBytes(superblock.storeUuid),
    tailPosition: tail.position,
    tailBatchSeq: tail.batchSeq,
    tailSeq: tail.seq,
    tailPreviousHash: tail.previousHash,
    backingSizeBytes: backing.sizeBytes,
    resource: RESOURCE_CODES[superblock.resource],
    backingKind: BACKING_CODES[backing.kind],
    lineageCount: superblock.lineage.length,
    pendingCount: pendingLineage === null ? 0 : 1,
    volumeNameBytes: Buffer.byteLength(superblock.volumeName),
    registerNonceBytes: Buffer.byteLength(superblock.registerNonce),
    backingIdBytes: Buffer.byteLength(backing.id),
    registerRecordBytes: Buffer.byteLength(superblock.registerRecord),
    intentBytes: Buffer.byteLength(superblock.intent),
    volumeName: packText(superblock.volumeName, VOLUME_NAME_BYTES_MAX),
    registerNonce: packText(superblock.registerNonce, REGISTER_NONCE_BYTES_MAX),
    backingId: packText(backing.id, BACKING_ID_BYTES_MAX),
    lineage: packLineage(superblock.lineage, LINEAGE_ENTRIES_MAX * LINEAGE_ENTRY.size),
    pendingLineage: packLineage(pendingLineage === null ? [] : [pendingLineage], LINEAGE_ENTRY.size),
    edgeHashes: packEdgeHashes(superblock.edgeHashes),
    registerRecord: packText(superblock.registerRecord, REGISTER_RECORD_BYTES_MAX),
    intent: packText(superblock.intent, INTENT_BYTES_MAX),
  })
  SUPERBLOCK.set(buffer, start, 'crc32', crc32(buffer, start, start + SUPERBLOCK_BYTES))
}

function packEdgeHashes(hashes: Uint32Array): Buffer {
  const packed = Buffer.alloc(EDGE_HASHES * 4)
  hashes.forEach((hash, index) => packed.writeUInt32LE(hash, index * 4))
  return packed
}

/** Whether a superblock (valid or not) seems to stand at buffer[start…). */
export function hasSuperblockMagic(buffer: Buffer, start: number): boolean {
  return buffer.readUInt32LE(start) === SUPERBLOCK_MAGIC
}

/** Reads one slot. Null for anything that is not a complete, legal superblock; never throws for what is in it. */
export function decodeSuperblock(buffer: Buffer, start: number): Superblock | null {
  if (start < 0 || start + SUPERBLOCK_BYTES > buffer.length || !hasSuperblockMagic(buffer, start)) return null
  const copy = Buffer.from(buffer.subarray(start, start + SUPERBLOCK_BYTES))
  const found = copy.readUInt32LE(SUPERBLOCK.offsets.crc32)
  copy.writeUInt32LE(0, SUPERBLOCK.offsets.crc32)
  if (crc32(copy, 0, SUPERBLOCK_BYTES) !== found) return null
  try {
    const superblock = fromRaw(SUPERBLOCK.decode(copy, 0))
    return findProblem(superblock) === null ? superblock : null
  } catch (error) {
    if (error instanceof CacheError) return null
    throw error
  }
}

/** Throws CacheError `corrupt` for a code or a length that is not legal. */
function fromRaw(raw: Raw): Superblock {
  requireLegal(raw.version === SUPERBLOCK_VERSION, 'version')
  return {
    generation: raw.generation,
    copy: raw.copy,
    wallMs: raw.wallMs,
    volumeUuid: raw.volumeUuid.toString('hex'),
    storeUuid: raw.storeUuid.toString('hex'),
    volumeName: unpackText(raw.volumeName, raw.volumeNameBytes),
    incarnation: raw.incarnation,
    registerNonce: unpackText(raw.registerNonce, raw.registerNonceBytes),
    epoch: raw.epoch,
    run: raw.run,
    runFirstBatchSeq: raw.runFirstBatchSeq,
    headBatchSeq: raw.headBatchSeq,
    geometry: {
      logStart: raw.logStart,
      logBytes: raw.logBytes,
      cacheBytes: raw.cacheBytes,
      frameBytesMax: raw.frameBytesMax,
    },
    sectorBytes: SECTOR_CODES[keyOf(SECTOR_CODES, raw.sectorBytes)],
    resource: keyOf(RESOURCE_CODES, raw.resource),
    lineage: unpackLineage(raw.lineage, raw.lineageCount),
    pendingLineage: unpackLineage(raw.pendingLineage, raw.pendingCount)[0] ?? null,
    tail: {
      position: raw.tailPosition,
      batchSeq: raw.tailBatchSeq,
      seq: raw.tailSeq,
      previousHash: raw.tailPreviousHash,
    },
    backing: {
      kind: keyOf(BACKING_CODES, raw.backingKind),
      id: unpackText(raw.backingId, raw.backingIdBytes),
      sizeBytes: raw.backingSizeBytes,
    },
    edgeHashes: Uint32Array.from({ length: EDGE_HASHES }, (_, index) => raw.edgeHashes.readUInt32LE(index * 4)),
    registerRecord: unpackText(raw.registerRecord, raw.registerRecordBytes),
    intent: unpackText(raw.intent, raw.intentBytes),
  }
}

function requireLegal(condition: boolean, what: string): void {
  if (!condition) throw new CacheError('corrupt', 'CACHE_SUPERBLOCK', `superblock value is not legal field=${what}`)
}

function keyOf<const Codes extends Readonly<Record<string, number>>>(codes: Codes, code: number): keyof Codes & string {
  const found = Object.entries(codes).find(([, value]) => value === code)
  requireLegal(found !== undefined, `code ${code}`)
  return found?.[0] as keyof Codes & string
}

function unpackText(packed: Buffer, length: number): string {
  requireLegal(length <= packed.length && isZero(packed, length, packed.length), 'text')
  const text = packed.toString('utf8', 0, length)
  requireLegal(Buffer.byteLength(text) === length, 'text')
  return text
}

function unpackLineage(packed: Buffer, count: number): LineageEntry[] {
  const used = count * LINEAGE_ENTRY.size
  requireLegal(used <= packed.length && isZero(packed, used, packed.length), 'lineage')
  return Array.from({ length: count }, (_, index) => {
    const raw = LINEAGE_ENTRY.decode(packed, index * LINEAGE_ENTRY.size)
    return { logUuid: raw.logUuid.toString('hex'), firstBatchSeq: raw.firstBatchSeq }
  })
}

/** First rule that the values break, in words, or null. The same rules hold before writing and after reading. */
export function findProblem(superblock: Superblock): string | null {
  return numberProblem(superblock) ?? geometryProblem(superblock) ?? lineageProblem(superblock)
}

function numberProblem(superblock: Superblock): string | null {
  const { generation, wallMs, incarnation, epoch, run, runFirstBatchSeq, headBatchSeq, tail, backing } = superblock
  const numbers = {
    generation,
    wallMs,
    incarnation,
    epoch,
    run,
    runFirstBatchSeq,
    headBatchSeq,
    size: backing.sizeBytes,
  }
  for (const [name, value] of Object.entries(numbers)) if (!isU53(value)) return `${name} is not a number`
  if (superblock.copy < 1 || superblock.copy > SUPERBLOCK_SLOTS) return 'copy is not 1 to 4'
  if (run >= 2 ** 32) return 'run is too large'
  if (!isU53(tail.batchSeq) || tail.batchSeq < 1 || !isU53(tail.seq) || tail.seq < 1) return 'tail is below 1'
  if (headBatchSeq < tail.batchSeq) return 'head is before tail'
  if (runFirstBatchSeq > headBatchSeq) return 'run begins behind the head'
  return superblock.edgeHashes.length === EDGE_HASHES ? null : 'edge hashes are not 512'
}

function geometryProblem({ geometry, tail }: Superblock): string | null {
  const { logStart, logBytes, cacheBytes, frameBytesMax } = geometry
  for (const value of [logStart, logBytes, frameBytesMax, tail.position]) {
    if (!isU53(value) || value % BLOCK_BYTES !== 0) return 'geometry is not in 4096-byte blocks'
  }
  if (logStart < SUPERBLOCK_AREA_BYTES) return 'log overlaps the superblocks'
  if (!isU53(cacheBytes) || logStart + logBytes > cacheBytes) return 'log is longer than the cache'
  if (logBytes < logBytesMin(frameBytesMax)) return 'log is too short'
  return tail.position >= logStart && tail.position < logStart + logBytes ? null : 'tail is outside the log'
}

function lineageProblem({ lineage, pendingLineage, tail }: Superblock): string | null {
  if (lineage.length < 1 || lineage.length > LINEAGE_ENTRIES_MAX) return 'lineage does not have 1 to 16 entries'
  const all = pendingLineage === null ? lineage : [...lineage, pendingLineage]
  let before = 0
  for (const { firstBatchSeq } of all) {
    if (!isU53(firstBatchSeq) || firstBatchSeq < 1 || firstBatchSeq < before) return 'lineage is not in order'
    before = firstBatchSeq
  }
  return (lineage[0]?.firstBatchSeq ?? 0) <= tail.batchSeq ? null : 'lineage does not reach back to the tail'
}

/** Frames of full length that a ring must hold at least: see LogRing for why. */
export const LOG_FRAMES_MIN = 8

/** Shortest ring for batches of up to `frameBytesMax`. */
export function logBytesMin(frameBytesMax: Bytes): Bytes {
  return LOG_FRAMES_MIN * frameBytesMax
}
