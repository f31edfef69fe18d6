// Proves: the header is the declared struct, whichever way it is written; each bit of it is under the checksum.
import fc from 'fast-check'
import {
  FRAME_HEADER,
  FRAME_HEADER_BYTES,
  FRAME_MAGIC,
  frameBodyBytes,
  frameBodyHash,
  frameHeaderProblem,
  frameSequence,
  frameType,
  frameVersion,
  nextSequence,
  writeFrameHeader,
} from '../../../../../csi-driver/replica/wire/frame.ts'

const fields = fc.record({
  version: fc.nat(65_535),
  type: fc.nat(255),
  sequence: fc.nat(2 ** 32 - 1),
  bodyBytes: fc.nat(2 ** 32 - 1),
  bodyHash: fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }),
})

test('round trip, by the layout and by the accessors', () => {
  fc.assert(
    fc.property(fields, (values) => {
      const header = Buffer.alloc(40, 0xff)
      writeFrameHeader(header, 3, values)
      const { headerCrc, ...decoded } = FRAME_HEADER.decode(header, 3)
      expect(decoded).toEqual({ magic: FRAME_MAGIC, ...values })
      expect(headerCrc).toBeGreaterThanOrEqual(0)
      const alone = header.subarray(3, 3 + FRAME_HEADER_BYTES)
      expect(frameHeaderProblem(alone)).toBe(null)
      expect(frameVersion(alone)).toBe(values.version)
      expect(frameType(alone)).toBe(values.type)
      expect(frameSequence(alone)).toBe(values.sequence)
      expect(frameBodyBytes(alone)).toBe(values.bodyBytes)
      expect(frameBodyHash(alone)).toBe(values.bodyHash)
      expect([header.subarray(0, 3), header.subarray(35)]).toEqual([Buffer.alloc(3, 0xff), Buffer.alloc(5, 0xff)])
    }),
  )
})

test('no flipped bit passes', () => {
  const header = Buffer.alloc(FRAME_HEADER_BYTES)
  writeFrameHeader(header, 0, { version: 1, type: 2, sequence: 3, bodyBytes: 4, bodyHash: 5n })
  for (let bit = 0; bit < FRAME_HEADER_BYTES * 8; bit++) {
    const flipped = Buffer.from(header)
    flipped.writeUInt8((flipped[bit >>> 3] ?? 0) ^ (1 << (bit & 7)), bit >>> 3)
    expect(frameHeaderProblem(flipped)).not.toBe(null)
  }
})

test('sequences go round', () => {
  expect([nextSequence(1), nextSequence(2 ** 32 - 2), nextSequence(2 ** 32 - 1)]).toEqual([2, 2 ** 32 - 1, 0])
})
