// One entry of the volume table: everything that a store knows durably of a volume, apart from its batches. An entry is
// one block and stands in two copies, which are written one after the other (slot-writer.ts); each carries a CRC-32, so
// that a torn or damaged copy never passes, and its own place, so that a misdirected one does not either. This file owns
// the values, their ranges and the codec. Format: docs/formats/replica-store.md.
import { assert } from '../../../base/assert.ts'
import { isU53, isZero } from '../../../base/bytes.ts'
import { crc32 } from '../../../base/crc32.ts'
import { CacheError } from '../../../base/errors.ts'
import { bytes, defineLayout, u16, u32, u64, u64big, u8, zeros } from '../../../base/layout.ts'
import type { BatchSeq, Bytes, Epoch, Ms, Run, Seq } from '../../../base/units.ts'
import { BLOCK_BYTES } from '../../../base/units.ts'
import { LOG_NAMES_MAX, type LogBegin, type LogName } from '../../protocol/stored-log.ts'
import { isLineage } from './log-names.ts'
import { SEGMENT_HEADER_BYTES, VOLUME_SLOT_BYTES } from './store-geometry.ts'

/** "FBVS" in the file. */
export const SLOT_MAGIC = 0x53_56_42_46
const SLOT_VERSION = 1
export const VOLUME_KEY_BYTES: Bytes = 32
export const STORED_NAME_BYTES_MAX: Bytes = 64
export const STORED_NODE_BYTES_MAX: Bytes = 256
const NO_SEGMENT = 2 ** 32 - 1

/** Where a batch is expected: at `offset` of the segment, or, where it does not stand there, first in the next one. */
export interface LogPlace {
  readonly segment: number
  /** In bytes from the segment's start; may be its end. */
  readonly offset: Bytes
  /** The segment's number in the log: 0, 1, 2 … */
  readonly ordinal: number
}

export interface SlotLog {
  /** Drawn at random with each LEARN: segments and batches that carry another one are void. */
  readonly logId: bigint
  /** What the owner's log may hold; as much always fits here. */
  readonly logBytes: Bytes
  readonly reservedSegments: number
  /** Oldest first, 1 to LOG_NAMES_MAX. */
  readonly lineage: readonly LogName[]
  readonly pending: LogName | null
  readonly tail: LogBegin
  /** Of batch tail.batchSeq; null: first in the first segment of the log. */
  readonly tailPlace: LogPlace | null
  readonly ackedSeq: Seq
  /** Every smaller batch was complete when this was written: a missing one is damage, not a torn write. */
  readonly headBatchSeq: BatchSeq
  /** headerHash of batch headBatchSeq - 1; 0n: not known. */
  readonly headHash: bigint
  /** Batches from here on that were written under a smaller slot generation than `cutGeneration` are void. */
  readonly cutBatchSeq: BatchSeq
  readonly cutGeneration: number
}

interface SlotHead {
  readonly index: number
  /** +1 per change; both copies of a change have the same. */
  readonly generation: number
  readonly wallMs: Ms
}

export interface VolumeSlot extends SlotHead {
  readonly kind: 'volume'
  readonly volume: string
  /** 32 hexadecimal digits. */
  readonly volumeUuid: string
  readonly volumeKey: Buffer
  /** The node by whose certificate it came; empty: not known. */
  readonly createdBy: string
  /** Life of the store that created it; register members name it. */
  readonly incarnation: number
  readonly promise: Epoch
  readonly epoch: Epoch
  readonly run: Run
  readonly log: SlotLog | null
}

/** `free`: may be used; keeps counting generations. `lost`: both copies were unreadable once; never used again. */
export interface OtherSlot extends SlotHead {
  readonly kind: 'free' | 'lost'
}

export type SlotContent = VolumeSlot | OtherSlot

export const VOLUME_SLOT = defineLayout('volume slot', {
  magic: u32('"FBVS"'),
  version: u32('of this format: 1'),
  crc32: u32('CRC-32 of the 4096 bytes with this field as 0'),
  index: u16('of the slot in the table; finds misdirected writes'),
  copy: u8('0 or 1; as index'),
  kind: u8('0 free, 1 volume, 2 lost: both copies were unreadable once, not used again'),
  generation: u64('+1 per change; the same in both copies; the newest valid copy counts'),
  wallMs: u64('when written, ms since 1970'),
  storeUuid: bytes(16, 'the store; slots of another one are void'),
  incarnation: u64('life of the store in which the volume was created; its register members name it'),
  volumeUuid: bytes(16, 'the volume'),
  volumeKey: bytes(VOLUME_KEY_BYTES, 'proves that an engine may write the volume'),
  volumeName: bytes(STORED_NAME_BYTES_MAX, 'ASCII, zeros behind'),
  promise: u64('engines of a smaller epoch are refused'),
  epoch: u64('of the newest engine that has written'),
  run: u64('life of that engine inside the epoch'),
  hasLog: u8('0: no log of the volume is here; the fields below are 0'),
  lineageCount: u8('1 to 16'),
  pendingCount: u8('1 when pending is set'),
  reserved: zeros(1),
  reservedSegments: u32('kept free for the log, those in use counted'),
  logBytes: u64('length of the log on its owner, for which they are enough'),
  logId: u64big('random, drawn with each LEARN; segments and batches that carry another one are void'),
  tailBatchSeq: u64('first un-trimmed batch'),
  tailSeq: u64('its first record'),
  tailPreviousHash: u64big('headerHash of batch tailBatchSeq - 1; 0 where there is none'),
  tailSegment: u32('where it is expected; 2^32 - 1: in the first segment of the log, whichever that will be'),
  tailOffset: u32('in bytes from the start of that segment'),
  tailOrdinal: u64('number of that segment in the log'),
  ackedSeq: u64('largest ackedSeq of any batch'),
  headBatchSeq: u64('every smaller batch was complete when this was written; a missing one is damage'),
  headHash: u64big(
    'headerHash of batch headBatchSeq - 1; finds dropped batches in place of those kept; 0: not compared',
  ),
  cutBatchSeq: u64('batches from here on are void if they were written under a smaller generation than cutGeneration'),
  cutGeneration: u64('see there'),
  lineage: bytes(LOG_NAMES_MAX * 24, 'names, oldest first; zeros behind'),
  pending: bytes(24, 'one name, or zeros'),
  createdBy: bytes(STORED_NODE_BYTES_MAX, 'name of the node that brought it, ASCII, zeros behind; all zero: not known'),
  unused: zeros(4096 - 960),
})
assert(VOLUME_SLOT.size === VOLUME_SLOT_BYTES, `slot fills its block bytes=${VOLUME_SLOT.size}`)

export const STORED_LOG_NAME = defineLayout('log name', {
  logUuid: bytes(16, 'first 8 bytes: the epoch that created it, big-endian; all zero: any log of this volume'),
  firstBatchSeq: u64('first batch that carries it'),
})

type Raw = ReturnType<typeof VOLUME_SLOT.decode>

const KIND_CODES = { free: 0, volume: 1, lost: 2 } as const
const EMPTY: Omit<
  Raw,
  'magic' | 'version' | 'crc32' | 'index' | 'copy' | 'kind' | 'generation' | 'wallMs' | 'storeUuid'
> = {
  incarnation: 0,
  volumeUuid: Buffer.alloc(16),
  volumeKey: Buffer.alloc(VOLUME_KEY_BYTES),
  volumeName: Buffer.alloc(STORED_NAME_BYTES_MAX),
  promise: 0,
  epoch: 0,
  run: 0,
  hasLog: 0,
  lineageCount: 0,
  pendingCount: 0,
  reservedSegments: 0,
  logBytes: 0,
  logId: 0n,
  tailBatchSeq: 0,
  tailSeq: 0,
  tailPreviousHash: 0n,
  tailSegment: 0,
  tailOffset: 0,
  tailOrdinal: 0,
  ackedSeq: 0,
  headBatchSeq: 0,
  headHash: 0n,
  cutBatchSeq: 0,
  cutGeneration: 0,
  lineage: Buffer.alloc(LOG_NAMES_MAX * 24),
  pending: Buffer.alloc(24),
  createdBy: Buffer.alloc(STORED_NODE_BYTES_MAX),
}

/** Which store, and which of the two copies. */
export interface SlotPlace {
  readonly storeUuid: string
  readonly copy: number
}

/** Writes one copy at buffer[start, start+4096). Throws AssertionError for values that are not legal. */
export function encodeSlot(buffer: Buffer, start: number, slot: SlotContent, place: SlotPlace): void {
  const problem = slotProblem(slot)
  assert(problem === null, `slot is legal problem=${problem}`)
  VOLUME_SLOT.encode(buffer, start, {
    ...EMPTY,
    ...(slot.kind === 'volume' ? packVolume(slot) : {}),
    magic: SLOT_MAGIC,
    version: SLOT_VERSION,
    crc32: 0,
    index: slot.index,
    copy: place.copy,
    kind: KIND_CODES[slot.kind],
    generation: slot.generation,
    wallMs: slot.wallMs,
    storeUuid: Buffer.from(place.storeUuid, 'hex'),
  })
  VOLUME_SLOT.set(buffer, start, 'crc32', crc32(buffer, start, start + VOLUME_SLOT_BYTES))
}

function packVolume(slot: VolumeSlot): Partial<Raw> {
  return {
    incarnation: slot.incarnation,
    volumeUuid: Buffer.from(slot.volumeUuid, 'hex'),
    volumeKey: slot.volumeKey,
    volumeName: packText(slot.volume, STORED_NAME_BYTES_MAX),
    createdBy: packText(slot.createdBy, STORED_NODE_BYTES_MAX),
    promise: slot.promise,
    epoch: slot.epoch,
    run: slot.run,
    ...(slot.log === null ? {} : packLog(slot.log)),
  }
}

function packText(text: string, room: Bytes): Buffer {
  const packed = Buffer.alloc(room)
  packed.write(text, 'latin1')
  return packed
}

function packLog(log: SlotLog): Partial<Raw> {
  const { tail, tailPlace, pending } = log
  return {
    hasLog: 1,
    lineageCount: log.lineage.length,
    pendingCount: pending === null ? 0 : 1,
    reservedSegments: log.reservedSegments,
    logBytes: log.logBytes,
    logId: log.logId,
    tailBatchSeq: tail.batchSeq,
    tailSeq: tail.seq,
    tailPreviousHash: tail.previousHash,
    tailSegment: tailPlace?.segment ?? NO_SEGMENT,
    tailOffset: tailPlace?.offset ?? 0,
    tailOrdinal: tailPlace?.ordinal ?? 0,
    ackedSeq: log.ackedSeq,
    headBatchSeq: log.headBatchSeq,
    headHash: log.headHash,
    cutBatchSeq: log.cutBatchSeq,
    cutGeneration: log.cutGeneration,
    lineage: packNames(log.lineage, LOG_NAMES_MAX),
    pending: packNames(pending === null ? [] : [pending], 1),
  }
}

function packNames(names: readonly LogName[], room: number): Buffer {
  const packed = Buffer.alloc(room * STORED_LOG_NAME.size)
  names.forEach(({ logUuid, firstBatchSeq }, at) =>
    STORED_LOG_NAME.encode(packed, at * STORED_LOG_NAME.size, { logUuid: Buffer.from(logUuid, 'hex'), firstBatchSeq }),
  )
  return packed
}

/** Reads one copy. Null for anything that is no legal slot of this store at this place; never throws for its content. */
export function decodeSlot(buffer: Buffer, start: number, place: SlotPlace & { index: number }): SlotContent | null {
  if (start < 0 || start + VOLUME_SLOT_BYTES > buffer.length || buffer.readUInt32LE(start) !== SLOT_MAGIC) return null
  const copy = Buffer.from(buffer.subarray(start, start + VOLUME_SLOT_BYTES))
  const found = copy.readUInt32LE(VOLUME_SLOT.offsets.crc32)
  copy.writeUInt32LE(0, VOLUME_SLOT.offsets.crc32)
  if (crc32(copy, 0, VOLUME_SLOT_BYTES) !== found) return null
  try {
    const raw = VOLUME_SLOT.decode(copy, 0)
    requireLegal(raw.version === SLOT_VERSION && raw.index === place.index && raw.copy === place.copy, 'place')
    requireLegal(raw.storeUuid.toString('hex') === place.storeUuid, 'storeUuid')
    const slot = unpackSlot(raw)
    return slotProblem(slot) === null ? slot : null
  } catch (error) {
    if (error instanceof CacheError) return null
    throw error
  }
}

function requireLegal(condition: boolean, what: string): void {
  if (!condition) throw new CacheError('corrupt', 'CACHE_STORE_SLOT', `slot value is not legal field=${what}`)
}

function unpackSlot(raw: Raw): SlotContent {
  const { index, generation, wallMs, incarnation, volumeKey, promise, epoch, run } = raw
  const head = { index, generation, wallMs }
  if (raw.kind === KIND_CODES.free) return { ...head, kind: 'free' }
  if (raw.kind === KIND_CODES.lost) return { ...head, kind: 'lost' }
  requireLegal(raw.kind === KIND_CODES.volume && raw.hasLog <= 1, 'kind')
  return {
    ...head,
    kind: 'volume',
    volume: unpackText(raw.volumeName, 'volumeName'),
    volumeUuid: raw.volumeUuid.toString('hex'),
    volumeKey,
    createdBy: unpackText(raw.createdBy, 'createdBy'),
    incarnation,
    promise,
    epoch,
    run,
    log: raw.hasLog === 1 ? unpackLog(raw) : null,
  }
}

function unpackText(packed: Buffer, field: string): string {
  const zero = packed.indexOf(0)
  const end = zero === -1 ? packed.length : zero
  requireLegal(isZero(packed, end, packed.length), field)
  return packed.toString('latin1', 0, end)
}

function unpackLog(raw: Raw): SlotLog {
  const { logId, logBytes, reservedSegments, ackedSeq, headBatchSeq, headHash, cutBatchSeq, cutGeneration } = raw
  const numbers = { logId, logBytes, reservedSegments, ackedSeq, headBatchSeq, headHash, cutBatchSeq, cutGeneration }
  const place = { segment: raw.tailSegment, offset: raw.tailOffset, ordinal: raw.tailOrdinal }
  return {
    ...numbers,
    lineage: unpackNames(raw.lineage, raw.lineageCount),
    pending: unpackNames(raw.pending, raw.pendingCount)[0] ?? null,
    tail: { batchSeq: raw.tailBatchSeq, seq: raw.tailSeq, previousHash: raw.tailPreviousHash },
    tailPlace: raw.tailSegment === NO_SEGMENT ? null : place,
  }
}

function unpackNames(packed: Buffer, count: number): LogName[] {
  const used = count * STORED_LOG_NAME.size
  requireLegal(used <= packed.length && isZero(packed, used, packed.length), 'lineage')
  return Array.from({ length: count }, (_, at) => {
    const { logUuid, firstBatchSeq } = STORED_LOG_NAME.decode(packed, at * STORED_LOG_NAME.size)
    return { logUuid: logUuid.toString('hex'), firstBatchSeq }
  })
}

/** First rule that the values break, in words, or null. The same rules hold before writing and after reading. */
export function slotProblem(slot: SlotContent): string | null {
  if (!isU53(slot.generation) || slot.generation < 1 || !isU53(slot.wallMs)) return 'generation is not from 1 on'
  if (slot.kind !== 'volume') return null
  for (const value of [slot.promise, slot.epoch, slot.run, slot.incarnation]) if (!isU53(value)) return 'not a number'
  const problem = identityProblem(slot)
  if (problem !== null || slot.log === null) return problem
  return logProblem(slot.log) ?? cutProblem(slot.log, slot.generation)
}

function identityProblem({ volume, volumeUuid, volumeKey, createdBy }: VolumeSlot): string | null {
  if (volumeKey.length !== VOLUME_KEY_BYTES) return 'volume key is not 32 bytes'
  if (!/^[\x21-\x7e]{1,64}$/.test(volume)) return 'volume name is not 1 to 64 printable characters'
  if (!/^[\x21-\x7e]{0,256}$/.test(createdBy)) return 'node is not 0 to 256 printable characters'
  return /^[0-9a-f]{32}$/.test(volumeUuid) ? null : 'volumeUuid is not 32 hexadecimal digits'
}

function logProblem({ tail, tailPlace, lineage, pending, headBatchSeq, ...log }: SlotLog): string | null {
  if (![tail.batchSeq, tail.seq].every(isFromOne)) return 'tail is below 1'
  if (!isU53(headBatchSeq) || headBatchSeq < tail.batchSeq) return 'head is before the tail'
  if (![log.ackedSeq, log.logBytes].every(isU53) || log.reservedSegments < 1) return 'space is out of range'
  if (tailPlace !== null && !isPlace(tailPlace)) return 'place of the tail is illegal'
  if (pending !== null && pending.firstBatchSeq < tail.batchSeq) return 'pending name begins before the tail'
  return isLineage(lineage, tail.batchSeq) ? null : 'lineage is not one of a log that begins there'
}

function isFromOne(value: number): boolean {
  return isU53(value) && value >= 1
}

function isPlace({ segment, offset, ordinal }: LogPlace): boolean {
  return segment < NO_SEGMENT && offset % BLOCK_BYTES === 0 && offset >= SEGMENT_HEADER_BYTES && isU53(ordinal)
}

function cutProblem({ cutBatchSeq, cutGeneration }: SlotLog, generation: number): string | null {
  if (!isU53(cutBatchSeq) || cutBatchSeq < 1) return 'cut is below 1'
  return isU53(cutGeneration) && cutGeneration <= generation ? null : 'cut is of a later generation'
}
