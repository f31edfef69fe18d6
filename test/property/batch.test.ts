// Proves: every batch survives encoding and decoding; one flipped bit anywhere in a frame is detected, also in padding;
// random bytes, random bytes behind a right magic, and truncated frames are refused and never throw.
import fc from 'fast-check'
import { BatchBuilder } from '../../csi-driver/batch/batch-builder.ts'
import { BATCH_MAGIC, OP_WRITE, OP_ZERO } from '../../csi-driver/batch/batch-format.ts'
import { BatchView, PAYLOAD_OK } from '../../csi-driver/batch/batch-view.ts'
import { build, type Entry, frameOf, heapMemory } from '../unit/csi-driver/batch/batch-kit.ts'

const BUILDER = new BatchBuilder(heapMemory)

const entry: fc.Arbitrary<Entry> = fc.oneof(
  fc.record({
    sector: fc.integer({ min: 0, max: 2 ** 48 - 1 - 2048 }),
    data: fc
      .tuple(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 0, max: 255 }))
      .map(([sectors, fill]) => Buffer.alloc(sectors * 512, fill)),
  }),
  fc.record({
    sector: fc.integer({ min: 0, max: 2 ** 47 }),
    data: fc.integer({ min: 1, max: 2 ** 32 - 1 }),
    mayUnmap: fc.boolean(),
  }),
)

const entries = fc.oneof(fc.array(entry, { maxLength: 8 }), fc.array(entry, { minLength: 120, maxLength: 130 }))

function accepts(frame: Buffer): boolean {
  const view = new BatchView()
  return view.parse(frame, 0, frame.length) === 'ok' && view.isWhole && view.checkPayload() === PAYLOAD_OK
}

function flip(frame: Buffer, bit: number): void {
  const byte = bit >>> 3
  frame.writeUInt8(frame.readUInt8(byte) ^ (1 << (bit & 7)), byte)
}

test('round trip', () => {
  fc.assert(
    fc.property(entries, (list) => {
      const frame = frameOf(build(list, {}, BUILDER))
      expect(accepts(frame)).toBe(true)
      const view = new BatchView()
      view.parse(frame, 0, frame.length)
      list.forEach(({ sector, data, mayUnmap = false }, index) => {
        expect([view.sector(index), view.mayUnmap(index)]).toEqual([sector, mayUnmap])
        if (typeof data === 'number') {
          expect([view.op(index), view.sectors(index)]).toEqual([OP_ZERO, data])
        } else {
          const at = view.dataStart(index)
          expect(view.op(index)).toBe(OP_WRITE)
          expect(data.equals(frame.subarray(at, at + view.sectors(index) * 512))).toBe(true)
        }
      })
    }),
    { numRuns: 60 },
  )
})

test('one flipped bit anywhere is detected', () => {
  fc.assert(
    fc.property(entries, fc.array(fc.nat(), { minLength: 20, maxLength: 20 }), (list, picks) => {
      const frame = frameOf(build(list, {}, BUILDER))
      for (const pick of picks) {
        const bit = pick % (frame.length * 8)
        flip(frame, bit)
        expect(accepts(frame)).toBe(false)
        flip(frame, bit)
      }
      expect(accepts(frame)).toBe(true)
    }),
    { numRuns: 150 },
  )
})

test('each bit of the fixed header and of a descriptor, one by one', () => {
  const frame = frameOf(build([{ sector: 5, data: Buffer.alloc(512, 1) }]))
  for (let bit = 0; bit < (128 + 64) * 8; bit++) {
    flip(frame, bit)
    expect(accepts(frame)).toBe(false)
    flip(frame, bit)
  }
})

test('random bytes never pass and never throw', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 9000 }), fc.boolean(), (bytes, plausible) => {
      const frame = Buffer.from(bytes)
      if (plausible && frame.length >= 8) {
        frame.writeUInt32LE(BATCH_MAGIC, 0)
        frame.writeUInt32LE(0x0001_0001, 4)
      }
      expect(accepts(frame)).toBe(false)
    }),
  )
})

test('a frame that was cut off is not whole', () => {
  const frame = frameOf(build([{ sector: 5, data: Buffer.alloc(9 * 512, 1) }]))
  for (let length = 0; length < frame.length; length += 512) expect(accepts(frame.subarray(0, length))).toBe(false)
})
