// Proves: the parts of a store do not overlap and fill it; what a batch takes here against its owner's log is bounded as
// the arithmetic says; and the segments that are reserved for a log hold every log of that length, wherever it begins,
// however its batches are chosen, while it is trimmed and grows.
import fc from 'fast-check'
import { BLOCK_BYTES, MIB } from '../../../../../base/units.ts'
import { frameBytesFor, HEADER_BYTES, DESCRIPTOR_BYTES } from '../../../../../csi-driver/batch/batch-format.ts'
import {
  geometryProblem,
  segmentBytesFor,
  segmentCount,
  segmentPosition,
  segmentsForLog,
  segmentsStart,
  slotPosition,
  STORED_BODY_BYTES_MAX,
  storedBytesFor,
} from '../../../../../csi-driver/replica/store/store-geometry.ts'
import { ENVELOPE_FIXED_BYTES } from '../../../../../csi-driver/replica/wire/envelope.ts'

test('the parts of a store lie one behind the other', () => {
  const geometry = { capacityBytes: 100 * MIB, segmentBytes: 4 * MIB, slotCount: 256 }
  expect(geometryProblem(geometry)).toBeNull()
  expect(slotPosition(geometry, 0, 0)).toBe(65_536)
  expect(slotPosition(geometry, 0, 1)).toBe(slotPosition(geometry, 255, 0) + 4096)
  expect(segmentsStart(geometry)).toBe(slotPosition(geometry, 255, 1) + 4096)
  const last = segmentCount(geometry) - 1
  expect(segmentPosition(geometry, last) + geometry.segmentBytes).toBeLessThanOrEqual(geometry.capacityBytes)
  expect(segmentPosition(geometry, last + 1) + geometry.segmentBytes).toBeGreaterThan(geometry.capacityBytes)
  expect(() => slotPosition(geometry, 256, 0)).toThrow('slot exists')
})

test('the longest batch fits into a segment of a new store', () => {
  for (const capacity of [16 * MIB, 10_000 * MIB]) {
    expect(segmentBytesFor(capacity)).toBeGreaterThanOrEqual(BLOCK_BYTES + storedBytesFor(STORED_BODY_BYTES_MAX))
  }
})

/** Blocks of a batch in the owner's log, and here. */
function blocksOf(count: number, payloadBytes: number): { frame: number; stored: number } {
  const body = ENVELOPE_FIXED_BYTES + HEADER_BYTES + count * DESCRIPTOR_BYTES + payloadBytes
  return { frame: frameBytesFor(count, payloadBytes) / BLOCK_BYTES, stored: storedBytesFor(body) / BLOCK_BYTES }
}

test('a batch takes one block more here at most, and only with 122 to 124 records', () => {
  for (let count = 0; count <= 240; count++) {
    for (const payloadBytes of [0, 512, 3584, 4096, 8192, 61_440, 62_464, 2 * MIB]) {
      const { frame, stored } = blocksOf(count, payloadBytes)
      expect(stored - frame).toBeLessThanOrEqual(count >= 122 && count <= 124 ? 1 : 0)
      expect(stored).toBeLessThanOrEqual(2 * frame)
    }
  }
})

interface Batch {
  readonly frame: number
  readonly stored: number
}

/** A log that grows and is trimmed as its owner's ring lets it; counts the segments that it has at once. */
class Placing {
  segmentsMax = 0
  private readonly dataBlocks: number
  private batches: (Batch & { segment: number })[] = []
  private ring = 0
  private segment = 0
  private used: number

  constructor(dataBlocks: number, firstUsed: number) {
    this.dataBlocks = dataBlocks
    this.used = firstUsed
  }

  push(batch: Batch, logBlocks: number): void {
    while (this.ring + batch.frame > logBlocks) {
      const trimmed = this.batches.shift()
      if (trimmed === undefined) return
      this.ring -= trimmed.frame
    }
    if (this.used + batch.stored > this.dataBlocks) {
      this.segment += 1
      this.used = 0
    }
    this.used += batch.stored
    this.ring += batch.frame
    this.batches.push({ ...batch, segment: this.segment })
    this.segmentsMax = Math.max(this.segmentsMax, this.segment - (this.batches[0]?.segment ?? 0) + 1)
  }
}

test('what is reserved for a log holds it', () => {
  const small = { dataBlocks: 7, longest: 5 }
  const large = { dataBlocks: 40, longest: 30 }
  // Any batch that the bounds above allow, the worst ones often.
  const batches = (longest: number) =>
    fc.array(
      fc
        .record({
          frame: fc.oneof(fc.constantFrom(1, longest - 1, longest), fc.integer({ min: 1, max: longest })),
          extra: fc.boolean(),
        })
        .map(({ frame, extra }) => ({ frame, stored: extra && frame < longest ? frame + 1 : frame })),
      { minLength: 1, maxLength: 300 },
    )
  for (const { dataBlocks, longest } of [small, large]) {
    fc.assert(
      fc.property(
        batches(longest),
        fc.nat({ max: dataBlocks }),
        fc.integer({ min: 1, max: 200 }),
        (list, first, logBlocks) => {
          const placing = new Placing(dataBlocks, first)
          for (const batch of list) placing.push(batch, logBlocks)
          expect(placing.segmentsMax).toBeLessThanOrEqual(
            segmentsForLog(logBlocks * BLOCK_BYTES, (dataBlocks + 1) * BLOCK_BYTES),
          )
        },
      ),
      { numRuns: 400 },
    )
  }
})

test('the worst logs come near to what is reserved', () => {
  const logBlocks = 10_000
  const dataBlocks = 2047
  const worst = new Placing(dataBlocks, dataBlocks)
  for (let count = 0; count < logBlocks; count++) worst.push({ frame: 1, stored: 2 }, logBlocks)
  const reserved = segmentsForLog(logBlocks * BLOCK_BYTES, (dataBlocks + 1) * BLOCK_BYTES)
  expect(reserved - worst.segmentsMax).toBeLessThanOrEqual(1)
})

test.each([
  [{ capacityBytes: 1000 }, 'capacity'],
  [{ segmentBytes: 1000 }, 'segments'],
  [{ segmentBytes: 8192 }, 'out of range'],
  [{ slotCount: 0 }, 'slots'],
  [{ slotCount: 257 }, 'slots'],
  [{ capacityBytes: 2 * MIB }, 'number of segments'],
])('refuses %j', (change, words) => {
  const geometry = { capacityBytes: 100 * MIB, segmentBytes: 4 * MIB, slotCount: 256, ...change }
  expect(geometryProblem(geometry)).toContain(words)
})
