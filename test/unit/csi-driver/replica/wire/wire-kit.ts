// What the tests of the wire share: batches as frames of the log, any message as an arbitrary, a pair of encoder and
// reader that counts sequences, and chunkings of a stream.
import fc from 'fast-check'
import { crc32 } from '../../../../../base/crc32.ts'
import { BLOCK_BYTES } from '../../../../../base/units.ts'
import { xxhash64 } from '../../../../../base/xxhash64.ts'
import { BatchBuilder } from '../../../../../csi-driver/batch/batch-builder.ts'
import {
  BATCH_RECORDS_MAX,
  HEADER_BLOCK_BYTES,
  headerBlocksFor,
  LOG_NUMBER_LIMIT,
} from '../../../../../csi-driver/batch/batch-format.ts'
import type { LogName, RefusalCode, VolumeState } from '../../../../../csi-driver/protocol/stored-log.ts'
import { type BatchFrame, envelopeOf } from '../../../../../csi-driver/replica/wire/envelope.ts'
import { FRAME_HEADER, FRAME_HEADER_BYTES, nextSequence } from '../../../../../csi-driver/replica/wire/frame.ts'
import {
  type FrameProblem,
  FrameReader,
  type FrameReaderOptions,
} from '../../../../../csi-driver/replica/wire/frame-reader.ts'
import { READ_BLOCKS_MAX } from '../../../../../csi-driver/replica/wire/cache-bodies.ts'
import { REFUSAL_NUMBERS } from '../../../../../csi-driver/replica/wire/handshake-bodies.ts'
import { encodeMessage } from '../../../../../csi-driver/replica/wire/message-codec.ts'
import type {
  EngineMessage,
  MessageFrom,
  Side,
  StoreMessage,
  WireMessage,
} from '../../../../../csi-driver/replica/wire/messages.ts'
import { HANDSHAKE, WIRE_VERSIONS } from '../../../../../csi-driver/replica/wire/versions.ts'
import { build, type Entry, frameOf, heapMemory, SEAL } from '../../batch/batch-kit.ts'

export { SEAL }

const BUILDER = new BatchBuilder(heapMemory)

/** A frame of the log with these records. */
export function batchFrame(entries: readonly Entry[], seal = {}): BatchFrame {
  const builder = build(entries, seal, BUILDER)
  const { payloadBytes } = builder
  return {
    buffer: frameOf(builder),
    start: 0,
    headerBytes: headerBlocksFor(entries.length) * HEADER_BLOCK_BYTES,
    payloadBytes,
  }
}

/** A batch of one write. */
export function writeFrame(bytes: number, batchSeq = 17): BatchFrame {
  return batchFrame([{ sector: 8, data: Buffer.alloc(bytes, 'forebay ') }], { batchSeq })
}

const number = fc.oneof(
  fc.nat(),
  fc.maxSafeNat().map((value) => value % LOG_NUMBER_LIMIT),
)
const hash = fc.bigInt({ min: 0n, max: (1n << 64n) - 1n })
const positive = number.map((value) => Math.max(1, value))
const bytesOf = (length: number) =>
  fc.uint8Array({ minLength: length, maxLength: length }).map((found) => Buffer.from(found))
const uuid = bytesOf(16).map((found) => found.toString('hex'))
const node = fc.stringMatching(/^[A-Za-z0-9]([A-Za-z0-9._-]{0,251}[A-Za-z0-9])?$/)
const volume = fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/)
const u32 = fc.nat(2 ** 32 - 1)

const lineage: fc.Arbitrary<LogName[]> = fc
  .array(fc.record({ logUuid: uuid, firstBatchSeq: positive }), { minLength: 1, maxLength: 16 })
  .map((names) => names.toSorted((a, b) => a.firstBatchSeq - b.firstBatchSeq))
const begin = fc.record({ batchSeq: positive, seq: positive, previousHash: hash })

const state: fc.Arbitrary<VolumeState> = fc
  .record({
    promise: number,
    epoch: number,
    run: u32,
    log: fc.option(
      fc.record({
        lineage,
        pending: fc.option(fc.record({ logUuid: uuid, firstBatchSeq: positive })),
        tail: fc.record({ batchSeq: fc.integer({ min: 1 }), seq: fc.integer({ min: 1 }), previousHash: hash }),
        lastBatchSeq: fc.nat(),
        lastSeq: fc.nat(),
        lastHash: hash,
        ackedSeq: number,
        storedBytes: number,
      }),
    ),
  })
  .map((found) => {
    if (found.log === null) return found
    const { log } = found
    const { tail, lastBatchSeq } = log
    return lastBatchSeq % 3 === 0
      ? {
          ...found,
          log: { ...log, lastBatchSeq: tail.batchSeq - 1, lastSeq: tail.seq - 1, lastHash: tail.previousHash },
        }
      : { ...found, log: { ...log, lastBatchSeq: tail.batchSeq + lastBatchSeq, lastSeq: tail.seq + log.lastSeq } }
  })

const batch = fc
  .tuple(fc.array(fc.integer({ min: 0, max: 9 }), { maxLength: 130 }), fc.integer({ min: 0, max: 2 }), fc.nat())
  .map(([sizes, codec, cut]) => {
    const entries = sizes.slice(0, BATCH_RECORDS_MAX).map((sectors, index) => ({
      sector: index * 10,
      data: sectors === 0 ? 3 : Buffer.alloc(sectors * 512, index),
    }))
    const raw = envelopeOf(batchFrame(entries))
    // What stands in a compressed payload is nobody's business here, as long as it is shorter.
    const isCompressed = codec > 0 && raw.payload.length > 0
    return isCompressed
      ? { ...raw, codec, payload: raw.payload.subarray(0, 1 + (cut % (raw.payload.length - 1))) }
      : raw
  })

/** Any held blocks of a READ, with any hashes. */
const blocks = fc
  .record({ number: u32, held: fc.nat(2 ** READ_BLOCKS_MAX - 1), fill: u32 })
  .map(({ number, held, fill }) => {
    const count = held.toString(2).replaceAll('0', '').length
    const hashes = Array.from({ length: count }, (_, index) => (fill + index) >>> 0)
    return { type: 'BLOCKS' as const, number, held, hashes, data: Buffer.alloc(count * BLOCK_BYTES, `block ${fill} `) }
  })

const type = <const Type extends string>(name: Type) => fc.constant(name)
const numbered = <const Type extends string>(name: Type) => fc.record({ type: type(name), batchSeq: number })

export const engineMessage: fc.Arbitrary<Exclude<EngineMessage, { type: 'HELLO' }>> = fc.oneof(
  batch.map((envelope) => ({ type: 'APPEND' as const, ...envelope })),
  numbered('TRIM'),
  fc.record({ type: type('HEARTBEAT'), number }),
  fc.record({ type: type('RELEASE') }),
  fc.record({ type: type('LEARN'), lineage, begin, logBytes: number }),
  fc.record({ type: type('SEAL'), predecessorOff: fc.boolean() }),
  fc.record({ type: type('FETCH'), fromBatchSeq: positive, bytesMax: number }),
  fc.record({
    type: type('PREPARE'),
    authoritativeLogUuid: uuid,
    newLogUuid: uuid,
    lastBatchSeq: number,
    lastHash: hash,
  }),
  fc.record({ type: type('PROMOTE'), logUuid: uuid }),
  fc.record({ type: type('STATE') }),
  fc.record({ type: type('CACHE'), registerRv: positive }),
  fc.record({
    type: type('READ'),
    number: u32,
    firstBlock: number,
    count: fc.integer({ min: 1, max: READ_BLOCKS_MAX }),
  }),
)

export const hello = fc
  .record({
    type: type('HELLO'),
    versionMin: fc.integer({ min: 1, max: 65_535 }),
    versionMax: fc.integer({ min: 1, max: 65_535 }),
    volume,
    volumeUuid: uuid,
    node,
    epoch: positive,
    run: u32,
    purpose: fc.constantFrom('owner' as const, 'opener' as const, 'reader' as const),
    proof: bytesOf(32),
    volumeKey: fc.option(bytesOf(32)),
  })
  .map((found) => ({ ...found, versionMax: Math.max(found.versionMin, found.versionMax) }))

const refused = fc.record({
  type: type('REFUSED'),
  code: fc.constantFrom(...(Object.keys(REFUSAL_NUMBERS) as RefusalCode[])),
  message: fc.string({ unit: 'grapheme', maxLength: 60 }).map((text) => text.replace(/\p{Cc}/gu, ' ')),
})

export const welcome = fc.record({
  type: type('WELCOME'),
  version: fc.constant(1),
  node,
  storeUuid: uuid,
  incarnation: positive,
  resource: fc.constantFrom('flash' as const, 'memory' as const),
  freeBytes: number,
  state,
})

export const storeMessage: fc.Arbitrary<Exclude<StoreMessage, { type: 'WELCOME' }>> = fc.oneof(
  refused,
  numbered('APPENDED'),
  numbered('TRIMMED'),
  fc.record({ type: type('ALIVE'), number }),
  fc.record({ type: type('RELEASED') }),
  fc.record({ type: type('LEARNING') }),
  fc.record({ type: type('SEALED'), state }),
  fc.record({ type: type('SEAL_WAIT'), remainingMs: number }),
  batch.map((envelope) => ({ type: 'BATCH' as const, ...envelope })),
  fc.record({ type: type('FETCH_END'), lastBatchSeq: number, more: fc.boolean() }),
  fc.record({ type: type('PREPARED') }),
  fc.record({ type: type('PROMOTED') }),
  fc.record({ type: type('STATE_IS'), state }),
  fc.record({ type: type('CACHE_IS'), epochLeft: number, blocks: number, remainingMs: number }),
  blocks,
)

export const WELCOME: StoreMessage = {
  type: 'WELCOME',
  version: 1,
  node: 'node-b',
  storeUuid: 'bb'.repeat(16),
  incarnation: 1,
  resource: 'flash',
  freeBytes: 2 ** 34,
  state: { promise: 0, epoch: 0, run: 0, log: null },
}

export const HELLO: EngineMessage = {
  type: 'HELLO',
  versionMin: 1,
  versionMax: 1,
  volume: 'database',
  volumeUuid: '11'.repeat(16),
  node: 'node-a',
  epoch: 3,
  run: 4,
  purpose: 'owner',
  proof: Buffer.alloc(32, 7),
  volumeKey: null,
}

/** The messages as one stream of bytes. */
export function streamOf(
  messages: readonly (WireMessage | { readonly type: string })[],
  { version = 1, sequence = 1, versions = WIRE_VERSIONS } = {},
): Buffer {
  let next = sequence
  const parts = messages.flatMap((message) => {
    const frame = encodeMessage(message, { version, sequence: next }, versions)
    next = nextSequence(next)
    return frame
  })
  return Buffer.concat(parts)
}

/** Changes a frame so that body hash and header checksum fit again: what no accident leaves, but somebody may send. */
export function forge(frame: Buffer, change: (frame: Buffer) => void): Buffer {
  const forged = Buffer.from(frame)
  change(forged)
  forged.writeBigUInt64LE(xxhash64(forged, FRAME_HEADER_BYTES, forged.length), FRAME_HEADER.offsets.bodyHash)
  forged.writeUInt32LE(crc32(forged, 0, FRAME_HEADER.offsets.headerCrc), FRAME_HEADER.offsets.headerCrc)
  return forged
}

/** The same bytes in pieces of these lengths, over and over. */
export function chunksOf(stream: Buffer, lengths: readonly number[]): Buffer[] {
  const chunks: Buffer[] = []
  let at = 0
  for (let turn = 0; at < stream.length; turn++) {
    const length = lengths[turn % lengths.length] ?? stream.length
    chunks.push(Buffer.from(stream.subarray(at, at + length)))
    at += length
  }
  return chunks
}

/** A message as its sender gave it: the views of a received batch made plain, without the place of its body. */
export function plain(message: MessageFrom<Side>): WireMessage {
  if (message.type !== 'APPEND' && message.type !== 'BATCH') return message
  const { type, codec, rawPayloadBytes, header, payload } = message
  return { type, codec, rawPayloadBytes, header: Buffer.from(header), payload: Buffer.from(payload) }
}

/** Reads with the version agreed as soon as the first message has come. */
export function listen<From extends Side>(from: From, options: Partial<FrameReaderOptions<From>> = {}, version = 1) {
  const messages: WireMessage[] = []
  const problems: FrameProblem[] = []
  const reader: FrameReader<From> = new FrameReader<From>({
    from,
    onMessage: (message) => {
      if (HANDSHAKE.byType.has(message.type) && message.type !== 'REFUSED') reader.agree(version)
      messages.push(plain(message))
    },
    onProblem: (problem) => problems.push(problem),
    ...options,
  })
  return { reader, messages, problems }
}
