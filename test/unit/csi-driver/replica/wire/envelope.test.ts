// Proves: a frame of the log comes back byte for byte from its envelope, raw or compressed; the envelope carries no zeros
// of the header's end and no padding; bytes that do not hold together as an envelope are refused.
import fc from 'fast-check'
import { BatchView, PAYLOAD_OK } from '../../../../../csi-driver/batch/batch-view.ts'
import {
  type BatchFrame,
  type Decompress,
  ENVELOPE,
  ENVELOPE_BYTES_MAX,
  ENVELOPE_BYTES_MIN,
  envelopeBytes,
  envelopeOf,
  envelopeProblem,
  restoreFrame,
  writeEnvelope,
} from '../../../../../csi-driver/replica/wire/envelope.ts'
import type { BatchEnvelope } from '../../../../../csi-driver/replica/wire/messages.ts'
import { batchFrame, writeFrame } from './wire-kit.ts'

const E = ENVELOPE.offsets

const frames: fc.Arbitrary<BatchFrame> = fc.array(fc.nat(9), { maxLength: 240 }).map((sizes) =>
  batchFrame(
    sizes.map((sectors, index) => ({
      sector: index * 10,
      data: sectors === 0 ? 7 : Buffer.alloc(sectors * 512, index + 1),
    })),
  ),
)

/** The payload backwards, and one byte short: stands for a codec. */
function squeeze(envelope: BatchEnvelope): BatchEnvelope {
  return { ...envelope, codec: 2, payload: Buffer.from(envelope.payload.toReversed().subarray(1)) }
}

function unsqueezeTo(original: BatchEnvelope): Decompress {
  return (codec, payload, output) => {
    expect(codec).toBe(2)
    Buffer.concat([original.payload.subarray(-1), payload])
      .reverse()
      .copy(output)
    return output.length
  }
}

function bytesOf(envelope: BatchEnvelope): Buffer {
  const buffer = Buffer.alloc(envelopeBytes(envelope) + 10, 0xee)
  writeEnvelope(buffer, 5, envelope)
  return buffer.subarray(5, buffer.length - 5)
}

test('a frame survives its envelope', () => {
  fc.assert(
    fc.property(frames, (frame) => {
      const envelope = envelopeOf(frame)
      expect(envelopeBytes(envelope)).toBeLessThanOrEqual(ENVELOPE_BYTES_MAX)
      const bytes = bytesOf(envelope)
      expect(envelopeProblem(bytes, 0, bytes.length)).toBe(null)
      const out = Buffer.alloc(frame.buffer.length + 100, 0xee)
      expect(restoreFrame(envelope, out)).toBe(frame.buffer.length)
      expect(out.subarray(0, frame.buffer.length).equals(frame.buffer)).toBe(true)
      expect(out.subarray(frame.buffer.length).equals(Buffer.alloc(100, 0xee))).toBe(true)
      const view = new BatchView()
      expect(view.parse(out, 0, frame.buffer.length)).toBe('ok')
      expect(view.checkPayload()).toBe(PAYLOAD_OK)
    }),
    { numRuns: 60 },
  )
})

test('a compressed payload comes back through the given function', () => {
  const frame = writeFrame(3072)
  const raw = envelopeOf(frame)
  const squeezed = squeeze(raw)
  expect(envelopeProblem(bytesOf(squeezed), 0, envelopeBytes(squeezed))).toBe(null)
  const out = Buffer.alloc(frame.buffer.length, 0xee)
  // The last byte of the text, reversed, is its first.
  expect(restoreFrame(squeezed, out, unsqueezeTo({ ...raw, payload: raw.payload.subarray(0, 1) }))).not.toBe(null)
  expect(restoreFrame(squeezed, out, () => -1)).toBe(null)
  expect(restoreFrame(squeezed, out, () => 3071)).toBe(null)
  expect(() => restoreFrame(squeezed, out)).toThrow('decompressor')
  expect(() => restoreFrame(raw, Buffer.alloc(frame.buffer.length - 1))).toThrow('fits')
})

test('no zeros of the header and no padding are sent', () => {
  expect(envelopeBytes(envelopeOf(writeFrame(512)))).toBe(32 + 128 + 32 + 512)
  expect(envelopeBytes(envelopeOf(batchFrame([])))).toBe(ENVELOPE_BYTES_MIN)
  const many = Array.from({ length: 240 }, (_, index) => ({ sector: index, data: 1 }))
  expect(envelopeBytes(envelopeOf(batchFrame(many)))).toBe(32 + 128 + 240 * 32)
})

test('a frame that is not what the caller says is an assertion', () => {
  const frame = writeFrame(512)
  expect(() => envelopeOf({ ...frame, headerBytes: 8192 })).toThrow('header blocks')
  expect(() => envelopeOf({ ...frame, payloadBytes: 1024 })).toThrow('payload')
})

const WHOLE = bytesOf(envelopeOf(writeFrame(1024)))
const HEADER_AT = ENVELOPE.size

test.each<[string, string, (bytes: Buffer) => unknown]>([
  ['an unknown codec', 'codec', (bytes) => bytes.writeUInt8(3, E.codec)],
  ['padding', 'padding', (bytes) => bytes.writeUInt8(1, E.reserved)],
  ['padding at the end', 'padding', (bytes) => bytes.writeUInt8(1, E.reserved2 + 15)],
  ['lengths that do not add up', 'lengths', (bytes) => bytes.writeUInt32LE(1023, E.payloadBytes)],
  ['lengths that add up over 2^32', 'lengths', (bytes) => bytes.writeUInt32LE(0xffff_ffff, E.headerBytes)],
  ['raw but shorter', 'header', (bytes) => bytes.writeUInt32LE(512, E.rawPayloadBytes)],
  ['compressed but not shorter', 'payload', (bytes) => bytes.writeUInt8(1, E.codec)],
  ['another format of batches', 'header', (bytes) => bytes.writeUInt16LE(2, HEADER_AT + 4)],
  ['no batch', 'header', (bytes) => bytes.writeUInt8(0, HEADER_AT)],
  ['more header blocks than records', 'header', (bytes) => bytes.writeUInt16LE(2, HEADER_AT + 6)],
  ['another count of records', 'header', (bytes) => bytes.writeUInt16LE(2, HEADER_AT + 52)],
])('refuses %s', (_name, problem, change) => {
  const bytes = Buffer.from(WHOLE)
  change(bytes)
  expect(envelopeProblem(bytes, 0, bytes.length)).toBe(problem)
})

test('random bytes and cut-off envelopes are refused', () => {
  for (let length = 0; length < WHOLE.length; length += 7) {
    expect(envelopeProblem(WHOLE, 0, length)).toBe(length < ENVELOPE_BYTES_MIN ? 'short' : 'lengths')
  }
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 600 }), (bytes) => {
      expect(envelopeProblem(Buffer.from(bytes), 0, bytes.length)).not.toBe(null)
    }),
  )
})
