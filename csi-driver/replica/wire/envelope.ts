// The envelope of a batch: body of APPEND and BATCH, and what a replica store keeps on its disk, byte for byte.
//
//   fixed part (32) │ batch header: fixed part and descriptors │ payload, raw without padding, or compressed
//
// It is no part of the batch's identity: the header's zeros and the payload's padding come back when the batch is
// restored to a frame of the log, whose hashes then prove it. Offsets: docs/formats/wire.md; batch: docs/formats/batch.md.
import { assert } from '../../../base/assert.ts'
import { isZero } from '../../../base/bytes.ts'
import { defineLayout, u32, u8, zeros } from '../../../base/layout.ts'
import type { Bytes } from '../../../base/units.ts'
import { SECTOR_BYTES } from '../../../base/units.ts'
import {
  BATCH_HEADER,
  BATCH_MAGIC,
  BATCH_PAYLOAD_BYTES_MAX,
  BATCH_RECORDS_MAX,
  BATCH_VERSION,
  DESCRIPTOR_BYTES,
  frameBytesFor,
  HEADER_BLOCK_BYTES,
  HEADER_BYTES,
  headerBlocksFor,
} from '../../batch/batch-format.ts'
import type { BatchEnvelope } from './messages.ts'

export const CODEC_RAW = 0
/** Raw, LZ4 block, zstd frame. */
const CODEC_MAX = 2

export const ENVELOPE = defineLayout('envelope', {
  codec: u8('of the payload: 0 raw, 1 LZ4 block, 2 zstd frame'),
  reserved: zeros(3),
  headerBytes: u32('of the batch header as it follows: 128 + 32 × count'),
  rawPayloadBytes: u32('payloadBytes of the batch header: before compression, without padding'),
  payloadBytes: u32('of the payload as it follows: rawPayloadBytes where codec is 0, else less'),
  reserved2: zeros(16),
})
export const ENVELOPE_FIXED_BYTES: Bytes = ENVELOPE.size

export const ENVELOPE_BYTES_MIN: Bytes = ENVELOPE.size + HEADER_BYTES
export const ENVELOPE_BYTES_MAX: Bytes =
  ENVELOPE.size + HEADER_BYTES + BATCH_RECORDS_MAX * DESCRIPTOR_BYTES + BATCH_PAYLOAD_BYTES_MAX

const E = ENVELOPE.offsets
const H = BATCH_HEADER.offsets

/** A batch as the log's frame in memory: header blocks, then the payload; padding behind it. */
export interface BatchFrame {
  readonly buffer: Buffer
  readonly start: number
  /** Of the header blocks: the payload begins behind them. */
  readonly headerBytes: Bytes
  /** Without padding. */
  readonly payloadBytes: Bytes
}

/** Length of a batch header without the zeros behind its last descriptor. */
export function sentHeaderBytes(count: number): Bytes {
  return HEADER_BYTES + count * DESCRIPTOR_BYTES
}

/** Length of a frame's header as it is sent. Asserts that the frame is what the caller says. */
export function sentHeaderBytesOf({ buffer, start, headerBytes, payloadBytes }: BatchFrame): Bytes {
  const count = buffer.readUInt16LE(start + H.count)
  assert(headerBytes === headerBlocksFor(count) * HEADER_BLOCK_BYTES, `header blocks headerBytes=${headerBytes}`)
  assert(buffer.readUInt32LE(start + H.payloadBytes) === payloadBytes, `payload payloadBytes=${payloadBytes}`)
  return sentHeaderBytes(count)
}

/** The batch raw in an envelope whose parts are views of the frame. The frame is one of ours: sealed, or verified. */
export function envelopeOf(frame: BatchFrame): BatchEnvelope {
  const { buffer, start, headerBytes, payloadBytes } = frame
  const payloadStart = start + headerBytes
  return {
    codec: CODEC_RAW,
    rawPayloadBytes: payloadBytes,
    header: buffer.subarray(start, start + sentHeaderBytesOf(frame)),
    payload: buffer.subarray(payloadStart, payloadStart + payloadBytes),
  }
}

/** Writes the fixed part at buffer[at, at+ENVELOPE_FIXED_BYTES). */
export function writeEnvelopeFixed(
  buffer: Buffer,
  at: number,
  fields: { codec: number; headerBytes: Bytes; rawPayloadBytes: Bytes; payloadBytes: Bytes },
): void {
  buffer.fill(0, at, at + ENVELOPE.size)
  buffer.writeUInt8(fields.codec, at + E.codec)
  buffer.writeUInt32LE(fields.headerBytes, at + E.headerBytes)
  buffer.writeUInt32LE(fields.rawPayloadBytes, at + E.rawPayloadBytes)
  buffer.writeUInt32LE(fields.payloadBytes, at + E.payloadBytes)
}

export function envelopeBytes({ header, payload }: BatchEnvelope): Bytes {
  return ENVELOPE.size + header.length + payload.length
}

/** Writes the whole envelope at buffer[at, at+envelopeBytes). */
export function writeEnvelope(buffer: Buffer, at: number, envelope: BatchEnvelope): void {
  const { codec, rawPayloadBytes, header, payload } = envelope
  writeEnvelopeFixed(buffer, at, { codec, headerBytes: header.length, rawPayloadBytes, payloadBytes: payload.length })
  header.copy(buffer, at + ENVELOPE.size)
  payload.copy(buffer, at + ENVELOPE.size + header.length)
  const problem = envelopeProblem(buffer, at, envelopeBytes(envelope))
  assert(problem === null, `envelope is legal problem=${problem}`)
}

export const envelopeCodec = (buffer: Buffer, start: number): number => buffer.readUInt8(start + E.codec)
export const envelopeHeaderBytes = (buffer: Buffer, start: number): Bytes => buffer.readUInt32LE(start + E.headerBytes)
export const envelopeRawPayloadBytes = (buffer: Buffer, start: number): Bytes =>
  buffer.readUInt32LE(start + E.rawPayloadBytes)

/** Why bytes are no envelope. What the batch header says besides its lengths is checked by EnvelopeView.checkHeader. */
export type EnvelopeProblem = 'short' | 'codec' | 'padding' | 'lengths' | 'header' | 'payload'

/** Do the bytes buffer[start, start+length) hold together as one envelope? */
export function envelopeProblem(buffer: Buffer, start: number, length: Bytes): EnvelopeProblem | null {
  if (length < ENVELOPE_BYTES_MIN) return 'short'
  const codec = envelopeCodec(buffer, start)
  if (codec > CODEC_MAX) return 'codec'
  const isPadded = isZero(buffer, start + E.reserved, start + E.headerBytes)
  if (!isPadded || !isZero(buffer, start + E.reserved2, start + ENVELOPE.size)) return 'padding'
  const payloadBytes = buffer.readUInt32LE(start + E.payloadBytes)
  if (ENVELOPE.size + envelopeHeaderBytes(buffer, start) + payloadBytes !== length) return 'lengths'
  return headerProblem(buffer, start) ?? payloadProblem(codec, envelopeRawPayloadBytes(buffer, start), payloadBytes)
}

/** Only what the envelope itself relies on: whose header it is, and its lengths. */
function headerProblem(buffer: Buffer, start: number): EnvelopeProblem | null {
  const at = start + ENVELOPE.size
  const isBatch =
    buffer.readUInt32LE(at + H.magic) === BATCH_MAGIC && buffer.readUInt16LE(at + H.version) === BATCH_VERSION
  const count = buffer.readUInt16LE(at + H.count)
  if (!isBatch || count > BATCH_RECORDS_MAX || envelopeHeaderBytes(buffer, start) !== sentHeaderBytes(count)) {
    return 'header'
  }
  const isSame = buffer.readUInt32LE(at + H.payloadBytes) === envelopeRawPayloadBytes(buffer, start)
  return isSame && buffer.readUInt16LE(at + H.headerBlocks) === headerBlocksFor(count) ? null : 'header'
}

function payloadProblem(codec: number, rawPayloadBytes: Bytes, payloadBytes: Bytes): EnvelopeProblem | null {
  if (rawPayloadBytes > BATCH_PAYLOAD_BYTES_MAX || rawPayloadBytes % SECTOR_BYTES !== 0) return 'payload'
  const isLegal =
    codec === CODEC_RAW ? payloadBytes === rawPayloadBytes : payloadBytes > 0 && payloadBytes < rawPayloadBytes
  return isLegal ? null : 'payload'
}

/**
 * Fills `output`, which is as long as the raw payload, from a payload compressed with `codec`. Returns how many bytes it
 * has written, -1 where the input is damaged.
 */
export type Decompress = (codec: number, payload: Buffer, output: Buffer) => number

/** Length of the frame that restoreFrame makes of an envelope. */
export function restoredFrameBytes({ rawPayloadBytes, header }: BatchEnvelope): Bytes {
  return frameBytesFor(header.readUInt16LE(H.count), rawPayloadBytes)
}

/**
 * The way back: writes the frame of the log, header blocks and padded payload, at the start of `out`. Returns its length,
 * or null where the payload does not decompress to what the header names. What was written is to be verified like any
 * frame (BatchView): an envelope proves nothing.
 */
export function restoreFrame(envelope: BatchEnvelope, out: Buffer, decompress?: Decompress): Bytes | null {
  const { codec, rawPayloadBytes, header, payload } = envelope
  const frameBytes = restoredFrameBytes(envelope)
  assert(frameBytes <= out.length, `frame fits frameBytes=${frameBytes} room=${out.length}`)
  const payloadStart = headerBlocksFor(header.readUInt16LE(H.count)) * HEADER_BLOCK_BYTES
  const payloadEnd = payloadStart + rawPayloadBytes
  header.copy(out, 0)
  out.fill(0, header.length, payloadStart)
  out.fill(0, payloadEnd, frameBytes)
  if (codec === CODEC_RAW) {
    payload.copy(out, payloadStart)
    return frameBytes
  }
  assert(decompress !== undefined, `a decompressor is given codec=${codec}`)
  return decompress(codec, payload, out.subarray(payloadStart, payloadEnd)) === rawPayloadBytes ? frameBytes : null
}
