// Segments and what stands in them. A segment belongs to one log: a header block, then batches one behind the other,
// each a header of 64 bytes, the body as it came over the wire, zeros up to the next multiple of 4096. A batch never
// spans segments. Both headers name the log by its random logId and carry the generation of the volume's slot under
// which they were written, by which a cut makes them void. Format: docs/formats/replica-store.md.
import { assert } from '../../../base/assert.ts'
import { crc32 } from '../../../base/crc32.ts'
import { CacheError } from '../../../base/errors.ts'
import { bytes, defineLayout, u32, u64, u64big, zeros } from '../../../base/layout.ts'
import type { BatchSeq, Bytes } from '../../../base/units.ts'
import { SEGMENT_HEADER_BYTES, STORED_BODY_BYTES_MAX, STORED_HEADER_BYTES } from './store-geometry.ts'

/** "FBSG" in the file. */
const SEGMENT_MAGIC = 0x47_53_42_46
/** "FBSR" in the file. */
export const STORED_BATCH_MAGIC = 0x52_53_42_46
const FORMAT_VERSION = 1

export const SEGMENT_HEADER = defineLayout('segment header', {
  magic: u32('"FBSG"'),
  version: u32('of this format: 1'),
  crc32: u32('CRC-32 of the 4096 bytes with this field as 0'),
  slot: u32('of the volume in the table'),
  segment: u32('its own number; finds misdirected writes'),
  reserved: zeros(4),
  storeUuid: bytes(16, 'the store'),
  volumeUuid: bytes(16, 'the volume'),
  logId: u64big('the log; void where its slot names another'),
  slotGeneration: u64('of the slot when this was written; see cutGeneration'),
  ordinal: u64('number of the segment in its log; of two with the same the one of the larger slotGeneration counts'),
  firstBatchSeq: u64('its first batch; every smaller one was complete when this was written'),
  unused: zeros(4096 - 88),
})
assert(SEGMENT_HEADER.size === SEGMENT_HEADER_BYTES, `segment header fills its block bytes=${SEGMENT_HEADER.size}`)

export interface SegmentHeader {
  readonly slot: number
  readonly segment: number
  /** 32 hexadecimal digits each. */
  readonly storeUuid: string
  readonly volumeUuid: string
  readonly logId: bigint
  readonly slotGeneration: number
  readonly ordinal: number
  readonly firstBatchSeq: BatchSeq
}

export const STORED_BATCH_HEADER = defineLayout('stored batch header', {
  magic: u32('"FBSR"'),
  crc32: u32('CRC-32 of these 64 bytes with this field as 0'),
  version: u32('of this format: 1'),
  bodyBytes: u32('length of the body behind this header'),
  bodyHash: u64big('xxHash64 of the body, as it came on the wire; finds a torn write'),
  batchSeq: u64('number of the batch, as in the body'),
  logId: u64big('the log; void where its slot names another'),
  slotGeneration: u64('of the slot when this was written; see cutGeneration'),
  previousHash: u64big('headerHash of the batch before, as in the body'),
  headerHash: u64big('of the batch, as in the body'),
})
assert(STORED_BATCH_HEADER.size === STORED_HEADER_BYTES, `stored header is small bytes=${STORED_BATCH_HEADER.size}`)

export interface StoredBatchHeader {
  readonly bodyBytes: Bytes
  readonly bodyHash: bigint
  readonly batchSeq: BatchSeq
  readonly logId: bigint
  readonly slotGeneration: number
  readonly previousHash: bigint
  readonly headerHash: bigint
}

export function encodeSegmentHeader(buffer: Buffer, start: number, header: SegmentHeader): void {
  SEGMENT_HEADER.encode(buffer, start, {
    ...header,
    magic: SEGMENT_MAGIC,
    version: FORMAT_VERSION,
    crc32: 0,
    storeUuid: Buffer.from(header.storeUuid, 'hex'),
    volumeUuid: Buffer.from(header.volumeUuid, 'hex'),
  })
  SEGMENT_HEADER.set(buffer, start, 'crc32', crc32(buffer, start, start + SEGMENT_HEADER_BYTES))
}

/** Null for anything that is no legal header; never throws for its content. */
export function decodeSegmentHeader(buffer: Buffer, start: number): SegmentHeader | null {
  if (start + SEGMENT_HEADER_BYTES > buffer.length || buffer.readUInt32LE(start) !== SEGMENT_MAGIC) return null
  const at = start + SEGMENT_HEADER.offsets.crc32
  if (crcWithout(buffer, { start, end: start + SEGMENT_HEADER_BYTES, at }) !== buffer.readUInt32LE(at)) return null
  const raw = orNull(() => SEGMENT_HEADER.decode(buffer, start))
  if (raw === null || raw.version !== FORMAT_VERSION || raw.firstBatchSeq < 1) return null
  const { slot, segment, logId, slotGeneration, ordinal, firstBatchSeq } = raw
  const uuids = { storeUuid: raw.storeUuid.toString('hex'), volumeUuid: raw.volumeUuid.toString('hex') }
  return { ...uuids, slot, segment, logId, slotGeneration, ordinal, firstBatchSeq }
}

const B = STORED_BATCH_HEADER.offsets

/** Hot: one per batch. Fills buffer[start, start+64). */
export function writeStoredHeader(buffer: Buffer, start: number, header: StoredBatchHeader): void {
  buffer.writeUInt32LE(STORED_BATCH_MAGIC, start + B.magic)
  buffer.writeUInt32LE(0, start + B.crc32)
  buffer.writeUInt32LE(FORMAT_VERSION, start + B.version)
  buffer.writeUInt32LE(header.bodyBytes, start + B.bodyBytes)
  buffer.writeBigUInt64LE(header.bodyHash, start + B.bodyHash)
  writeU53(buffer, start + B.batchSeq, header.batchSeq)
  buffer.writeBigUInt64LE(header.logId, start + B.logId)
  writeU53(buffer, start + B.slotGeneration, header.slotGeneration)
  buffer.writeBigUInt64LE(header.previousHash, start + B.previousHash)
  buffer.writeBigUInt64LE(header.headerHash, start + B.headerHash)
  buffer.writeUInt32LE(crc32(buffer, start, start + STORED_HEADER_BYTES), start + B.crc32)
}

function writeU53(buffer: Buffer, at: number, value: number): void {
  buffer.writeUInt32LE(value % 2 ** 32, at)
  buffer.writeUInt32LE(Math.floor(value / 2 ** 32), at + 4)
}

/** Null for anything that is no legal header; never throws for its content. Read once per block in searches. */
export function readStoredHeader(buffer: Buffer, start: number): StoredBatchHeader | null {
  if (start + STORED_HEADER_BYTES > buffer.length || buffer.readUInt32LE(start) !== STORED_BATCH_MAGIC) return null
  const at = start + B.crc32
  if (crcWithout(buffer, { start, end: start + STORED_HEADER_BYTES, at }) !== buffer.readUInt32LE(at)) return null
  const version = buffer.readUInt32LE(start + B.version)
  const bodyBytes = buffer.readUInt32LE(start + B.bodyBytes)
  const batchSeq = readU53(buffer, start + B.batchSeq)
  const slotGeneration = readU53(buffer, start + B.slotGeneration)
  if (version !== FORMAT_VERSION || !(batchSeq >= 1 && slotGeneration >= 1)) return null
  if (bodyBytes < 1 || bodyBytes > STORED_BODY_BYTES_MAX) return null
  return {
    bodyBytes,
    bodyHash: buffer.readBigUInt64LE(start + B.bodyHash),
    batchSeq,
    logId: buffer.readBigUInt64LE(start + B.logId),
    slotGeneration,
    previousHash: buffer.readBigUInt64LE(start + B.previousHash),
    headerHash: buffer.readBigUInt64LE(start + B.headerHash),
  }
}

/** NaN for a number of 2^53 or more. */
function readU53(buffer: Buffer, at: number): number {
  const value = buffer.readUInt32LE(at) + buffer.readUInt32LE(at + 4) * 2 ** 32
  return Number.isSafeInteger(value) ? value : Number.NaN
}

const ZERO_WORD = Buffer.alloc(4)

/** CRC-32 of buffer[start, end) with the four bytes at `at` taken as 0. */
function crcWithout(buffer: Buffer, { start, end, at }: { start: number; end: number; at: number }): number {
  return crc32(buffer, at + 4, end, crc32(ZERO_WORD, 0, 4, crc32(buffer, start, at)))
}

function orNull<Value>(read: () => Value): Value | null {
  try {
    return read()
  } catch (error) {
    if (error instanceof CacheError) return null
    throw error
  }
}
