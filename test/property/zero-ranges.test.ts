// Proves: after any sequence of zero records and finished generations the intervals say for every sector what a plain
// array of sequence numbers says, stay sorted and disjoint, and a snapshot of them is not changed by what follows.
import * as fc from 'fast-check'
import { ExtentIndex } from '../../csi-driver/engine/index/extent-index.ts'
import { ZeroRanges } from '../../csi-driver/engine/index/zero-ranges.ts'

const SECTORS = 200

const step = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      start: fc.nat({ max: SECTORS - 1 }),
      length: fc.nat({ max: 40 }),
      through: fc.constant(-1),
    }),
  },
  { weight: 1, arbitrary: fc.record({ start: fc.constant(0), length: fc.constant(0), through: fc.nat({ max: 30 }) }) },
)

function check(ranges: ZeroRanges, seqOf: number[]): void {
  const seen = new Array<number>(SECTORS).fill(0)
  let disorder = 0
  for (let i = 0; i < ranges.count; i++) {
    const start = ranges.startSector[i] as number
    const end = ranges.endSector[i] as number
    if (end <= start || (i > 0 && start < (ranges.endSector[i - 1] as number))) disorder++
    seen.fill(ranges.seq[i] as number, start, end)
  }
  expect(disorder).toBe(0)
  expect(seen).toEqual(seqOf)
  const covered = seqOf.map((seq) => seq > 0)
  expect(ranges.sectors).toBe(covered.filter(Boolean).length)
  expect(covered.map((_, sector) => ranges.covers(sector))).toEqual(covered)
  expect(covered.map((_, sector) => ranges.overlaps(sector, sector + 8))).toEqual(
    covered.map((_, sector) => covered.slice(sector, sector + 8).includes(true)),
  )
  // Nothing changes between a sector and the boundary behind it.
  const wrongBoundaries = covered.filter((isCovered, sector) => {
    const boundary = ranges.nextBoundary(sector)
    return boundary <= sector || covered.slice(sector, Math.min(boundary, SECTORS)).includes(!isCovered)
  })
  expect(wrongBoundaries).toEqual([])
}

describe('zero ranges against an array of sectors', () => {
  test('same answers after every step', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
        const ranges = new ZeroRanges()
        let seqOf = new Array<number>(SECTORS).fill(0)
        for (const [i, { start, length, through }] of steps.entries()) {
          const end = Math.min(start + length, SECTORS)
          if (through >= 0) {
            ranges.removeThrough(through)
            seqOf = seqOf.map((seq) => (seq <= through ? 0 : seq))
          } else {
            expect(ranges.add(start, end, i + 1)).toBe(true)
            if (end > start) seqOf.fill(i + 1, start, end)
          }
          check(ranges, seqOf)
        }
      }),
      { numRuns: 100 },
    )
  })

  test('a snapshot keeps what was zero at the freeze', () => {
    const ranges = new ZeroRanges()
    ranges.add(8, 24, 1)
    const index = new ExtentIndex({
      capacityBlocks: 8,
      logEndSector: 64,
      fragmentsMax: 8,
      onCleanGone: () => undefined,
    })
    const snapshot = index.freeze(ranges)
    ranges.add(0, 100, 2)
    ranges.removeThrough(1)
    expect([snapshot.zeroCount, snapshot.zeroStart[0], snapshot.zeroEnd[0], snapshot.zeroSeq[0]]).toEqual([1, 8, 24, 1])
    expect([0, 1, 2, 3].map((block) => snapshot.overlaps(block, block))).toEqual([false, true, true, false])
  })
})
