// The envelope of a batch that is on its way to the peers: built once, in a buffer that is kept for the next ones, sent
// to each of them. In front of it is room for a frame header, so that the first peer gets header and body in one write
// (one TLS record, one system call); each further one gets a header of its own and the same body.
// The bytes of a frame are read by its stream until they are sent: a buffer is filled again only when every stream that
// was given a frame of it has sent it (the peer has acknowledged it) or is closed.
import { assert } from '../../../base/assert.ts'
import type { Bytes } from '../../../base/units.ts'
import { xxhash64 } from '../../../base/xxhash64.ts'
import {
  type BatchFrame,
  CODEC_RAW,
  ENVELOPE_BYTES_MAX,
  ENVELOPE_FIXED_BYTES,
  sentHeaderBytesOf,
  writeEnvelopeFixed,
} from './envelope.ts'
import { FRAME_HEADER_BYTES, writeFrameHeader } from './frame.ts'
import { bodyFrameFields, encodeBody, type FrameMark } from './message-codec.ts'
import type { BodyInMemory } from './messages.ts'
import { WIRE_VERSIONS, type WireVersions } from './versions.ts'

/** Writes input[start, start+length) compressed to the start of `output`; -1 where it does not fit there. */
export interface PayloadCompressor {
  /** As in the envelope, not CODEC_RAW. */
  readonly code: number
  compress(input: Buffer, start: number, length: Bytes, output: Buffer): number
}

const NO_BODY: BodyInMemory = { buffer: Buffer.alloc(0), start: 0, length: 0, hash: 0n }

export class EnvelopeBuffer {
  private readonly buffer: Buffer
  private filled: BodyInMemory = NO_BODY
  private codecUsed = CODEC_RAW
  private isRoomInFront = false

  /** `bytesMax`: of the largest envelope that it has to take. */
  constructor(bytesMax: Bytes = ENVELOPE_BYTES_MAX) {
    // Pages that no batch reaches are never touched, and take no memory.
    this.buffer = Buffer.allocUnsafeSlow(FRAME_HEADER_BYTES + bytesMax)
  }

  /** The envelope as filled last. */
  get body(): BodyInMemory {
    return this.filled
  }

  /** What its payload is compressed with: CODEC_RAW also where compression did not make it smaller. */
  get codec(): number {
    return this.codecUsed
  }

  /** Builds the envelope of a frame that is sealed, or verified. Afterwards the frame is the caller's again. */
  fill(frame: BatchFrame, compressor: PayloadCompressor | null = null): void {
    const { buffer } = this
    const headerBytes = sentHeaderBytesOf(frame)
    const payloadStart = frame.start + frame.headerBytes
    const rawPayloadBytes = frame.payloadBytes
    const headerAt = FRAME_HEADER_BYTES + ENVELOPE_FIXED_BYTES
    const payloadAt = headerAt + headerBytes
    assert(payloadAt + rawPayloadBytes <= buffer.length, `envelope has room rawPayloadBytes=${rawPayloadBytes}`)
    frame.buffer.copy(buffer, headerAt, frame.start, frame.start + headerBytes)
    const compressed = compressor === null ? -1 : this.compress(compressor, frame, payloadAt)
    const isRaw = compressed < 1 || compressed >= rawPayloadBytes
    if (isRaw) frame.buffer.copy(buffer, payloadAt, payloadStart, payloadStart + rawPayloadBytes)
    const payloadBytes = isRaw ? rawPayloadBytes : compressed
    this.codecUsed = isRaw || compressor === null ? CODEC_RAW : compressor.code
    writeEnvelopeFixed(buffer, FRAME_HEADER_BYTES, {
      codec: this.codecUsed,
      headerBytes,
      rawPayloadBytes,
      payloadBytes,
    })
    const end = payloadAt + payloadBytes
    const hash = xxhash64(buffer, FRAME_HEADER_BYTES, end)
    this.filled = { buffer, start: FRAME_HEADER_BYTES, length: end - FRAME_HEADER_BYTES, hash }
    this.isRoomInFront = true
  }

  /** The envelope as an APPEND frame for one more peer. */
  append(mark: FrameMark, versions: WireVersions = WIRE_VERSIONS): Buffer[] {
    if (!this.isRoomInFront) return encodeBody('APPEND', this.filled, mark, versions)
    this.isRoomInFront = false
    writeFrameHeader(this.buffer, 0, bodyFrameFields('APPEND', this.filled, mark, versions))
    return [this.buffer.subarray(0, FRAME_HEADER_BYTES + this.filled.length)]
  }

  private compress(compressor: PayloadCompressor, frame: BatchFrame, payloadAt: number): number {
    const { buffer, start, headerBytes, payloadBytes } = frame
    if (payloadBytes === 0) return -1
    // One byte less than raw: what is not smaller is sent raw.
    const output = this.buffer.subarray(payloadAt, payloadAt + payloadBytes - 1)
    return compressor.compress(buffer, start + headerBytes, payloadBytes, output)
  }
}
