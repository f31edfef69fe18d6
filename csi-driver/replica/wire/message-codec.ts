// Messages to bytes. What is returned is to be written in order, and never changes afterwards, except `encodeBody`, whose
// body stays the caller's. The way back is frame-reader.ts. Format: docs/formats/wire.md.
import { assert } from '../../../base/assert.ts'
import { xxhash64 } from '../../../base/xxhash64.ts'
import { envelopeBytes, writeEnvelope } from './envelope.ts'
import { FRAME_HEADER_BYTES, type FrameFields, writeFrameHeader } from './frame.ts'
import type { BatchEnvelope, BodyInMemory, WireMessage } from './messages.ts'
import { HANDSHAKE, type MessageKind, WIRE_VERSIONS, type WireVersions } from './versions.ts'

/** How a frame is to be marked. */
export interface FrameMark {
  /** What WELCOME chose; HELLO, WELCOME and REFUSED don't look at it. */
  readonly version: number
  /** FIRST_SEQUENCE, then nextSequence, per direction. */
  readonly sequence: number
}

/** A message that some version of the table knows; production code passes WireMessages. */
type AnyMessage = WireMessage | { readonly type: string }

/**
 * One message as a frame. A batch is copied, once: hash and TLS want it in one piece. Who sends batches all day takes
 * EnvelopeBuffer, who sends a stored one takes encodeBody.
 */
export function encodeMessage(message: AnyMessage, mark: FrameMark, versions: WireVersions = WIRE_VERSIONS): Buffer[] {
  const handshake = HANDSHAKE.byType.get(message.type)
  const kind = handshake ?? kindIn(versions, mark.version, message.type)
  const bodyBytes = kind.body === null ? envelopeBytes(envelopeIn(message)) : kind.body.size(message as WireMessage)
  const frame = Buffer.allocUnsafe(FRAME_HEADER_BYTES + bodyBytes)
  if (kind.body === null) writeEnvelope(frame, FRAME_HEADER_BYTES, envelopeIn(message))
  else kind.body.encode(message as WireMessage, frame, FRAME_HEADER_BYTES)
  const bodyHash = xxhash64(frame, FRAME_HEADER_BYTES, frame.length)
  const version = handshake === undefined ? mark.version : HANDSHAKE.number
  writeFrameHeader(frame, 0, { version, type: kind.code, sequence: mark.sequence, bodyBytes, bodyHash })
  return [frame]
}

/** Header of the frame in which an envelope that stands in memory is sent. */
export function bodyFrameFields(
  type: 'APPEND' | 'BATCH',
  { length, hash }: BodyInMemory,
  { version, sequence }: FrameMark,
  versions: WireVersions,
): FrameFields {
  const { code, bytesMin, bytesMax } = kindIn(versions, version, type)
  assert(length >= bytesMin && length <= bytesMax, `body is within its limits bytes=${length}`)
  return { version, type: code, sequence, bodyBytes: length, bodyHash: hash }
}

/** A batch whose envelope stands in memory: a frame header, then the body by reference; it must not change until sent. */
export function encodeBody(
  type: 'APPEND' | 'BATCH',
  body: BodyInMemory,
  mark: FrameMark,
  versions: WireVersions = WIRE_VERSIONS,
): Buffer[] {
  const header = Buffer.allocUnsafe(FRAME_HEADER_BYTES)
  writeFrameHeader(header, 0, bodyFrameFields(type, body, mark, versions))
  return [header, body.buffer.subarray(body.start, body.start + body.length)]
}

function kindIn(versions: WireVersions, version: number, type: string): MessageKind {
  const kind = versions.get(version)?.byType.get(type)
  assert(kind !== undefined, `message exists version=${version} type=${type}`)
  return kind
}

function envelopeIn(message: AnyMessage): BatchEnvelope {
  assert('header' in message && 'payload' in message, `message is a batch type=${message.type}`)
  return message
}
