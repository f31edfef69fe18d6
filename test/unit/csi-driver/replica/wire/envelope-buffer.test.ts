// Proves: a buffer gives each peer the same bytes that encodeMessage makes, the first one in one piece; compression is
// used only where it makes the payload smaller; filling again leaves nothing of the batch before.
import { EnvelopeBuffer, type PayloadCompressor } from '../../../../../csi-driver/replica/wire/envelope-buffer.ts'
import { ENVELOPE_BYTES_MIN, envelopeOf } from '../../../../../csi-driver/replica/wire/envelope.ts'
import { encodeBody, encodeMessage } from '../../../../../csi-driver/replica/wire/message-codec.ts'
import { batchFrame, HELLO, listen, streamOf, writeFrame } from './wire-kit.ts'

const FRAME = writeFrame(4096)
const mark = (sequence: number) => ({ version: 1, sequence })
const encoded = (sequence: number): Buffer =>
  Buffer.concat(encodeMessage({ type: 'APPEND', ...envelopeOf(FRAME) }, mark(sequence)))

test('the first peer gets one piece, the others the same body', () => {
  const envelope = new EnvelopeBuffer()
  for (const sequence of [1, 8]) {
    envelope.fill(FRAME)
    const first = envelope.append(mark(sequence))
    const second = envelope.append(mark(sequence + 1))
    const third = envelope.append(mark(2))
    expect([first.length, second.length, third.length]).toEqual([1, 2, 2])
    expect(Buffer.concat(first).equals(encoded(sequence))).toBe(true)
    expect(Buffer.concat(second).equals(encoded(sequence + 1))).toBe(true)
    expect(Buffer.concat(third).equals(encoded(2))).toBe(true)
  }
})

test('the frame may change once it is in the envelope', () => {
  const frame = { ...FRAME, buffer: Buffer.from(FRAME.buffer) }
  const envelope = new EnvelopeBuffer()
  envelope.fill(frame)
  frame.buffer.fill(0xff)
  expect(Buffer.concat(envelope.append(mark(3))).equals(encoded(3))).toBe(true)
})

function compressor(result: number): PayloadCompressor {
  return {
    code: 1,
    compress(input, start, length, output) {
      expect([input, start, length, output.length]).toEqual([FRAME.buffer, 4096, 4096, 4095])
      output.fill(0xcc)
      return result
    },
  }
}

test('a compressed payload stands where the raw one would', () => {
  const envelope = new EnvelopeBuffer()
  envelope.fill(FRAME, compressor(100))
  const { reader, messages, problems } = listen('engine')
  reader.push(streamOf([HELLO]))
  for (const part of envelope.append(mark(2))) reader.push(part)
  expect(problems).toEqual([])
  expect(messages[1]).toMatchObject({ codec: 1, rawPayloadBytes: 4096, payload: Buffer.alloc(100, 0xcc) })
  expect([envelope.codec, envelope.body.length]).toEqual([1, 32 + 160 + 100])
})

test.each([-1, 0, 4096])('a payload that does not get smaller goes raw: %i', (result) => {
  const envelope = new EnvelopeBuffer()
  envelope.fill(FRAME, compressor(result))
  expect(Buffer.concat(envelope.append(mark(4))).equals(encoded(4))).toBe(true)
  expect(envelope.codec).toBe(0)
})

test('an empty batch is not compressed, a batch that has no room is an assertion', () => {
  const small = new EnvelopeBuffer(ENVELOPE_BYTES_MIN)
  small.fill(batchFrame([]), compressor(1))
  expect(small.body.length).toBe(ENVELOPE_BYTES_MIN)
  expect(() => small.fill(FRAME)).toThrow('room')
})

test('a stored body is sent as it is', () => {
  const envelope = new EnvelopeBuffer()
  envelope.fill(FRAME)
  const [header, body] = encodeBody('BATCH', envelope.body, mark(2))
  const sent = Buffer.concat(encodeMessage({ type: 'BATCH', ...envelopeOf(FRAME) }, mark(2)))
  expect(Buffer.concat([header as Buffer, body as Buffer]).equals(sent)).toBe(true)
  expect(body?.buffer).toBe(envelope.body.buffer.buffer)
  expect(() => encodeBody('BATCH', { ...envelope.body, length: 10 }, mark(2))).toThrow('limits')
  expect(() => encodeBody('BATCH', envelope.body, { version: 9, sequence: 2 })).toThrow('version=9')
})
