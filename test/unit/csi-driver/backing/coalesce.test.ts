// Proves: the runs are exactly the maximal stretches of covered sectors, cut at the limit and only at block
// boundaries, and name the entries that they touch.
import * as fc from 'fast-check'

import { RUN_SECTORS_MAX, RunCursor } from '../../../../csi-driver/backing/coalesce.ts'

type Entry = [block: number, mask: number]
type Run = { start: number; end: number; first: number; last: number }

function runsOf(entries: Entry[], max = RUN_SECTORS_MAX): Run[] {
  const cursor = new RunCursor()
  cursor.reset(
    Uint32Array.from(entries, ([block]) => block),
    Uint8Array.from(entries, ([, mask]) => mask),
    entries.length,
    max,
  )
  const runs: Run[] = []
  while (cursor.next()) {
    runs.push({ start: cursor.startSector, end: cursor.endSector, first: cursor.firstEntry, last: cursor.endEntry })
  }
  return runs
}

test('neighbouring full blocks are one run', () => {
  expect(
    runsOf([
      [7, 0xff],
      [8, 0xff],
      [9, 0x0f],
      [20, 0xff],
    ]),
  ).toEqual([
    { start: 56, end: 76, first: 0, last: 3 },
    { start: 160, end: 168, first: 3, last: 4 },
  ])
})

test('holes inside a block part it; fragments of one block join', () => {
  expect(
    runsOf([
      [1, 0b1001_0110],
      [2, 0b0000_0001],
    ]),
  ).toEqual([
    { start: 9, end: 11, first: 0, last: 1 },
    { start: 12, end: 13, first: 0, last: 1 },
    { start: 15, end: 17, first: 0, last: 2 },
  ])
  expect(
    runsOf([
      [1, 0x0f],
      [1, 0xf0],
      [2, 0x01],
    ]),
  ).toEqual([{ start: 8, end: 17, first: 0, last: 3 }])
})

test('a run is cut before the block that would exceed the limit', () => {
  const blocks: Entry[] = Array.from({ length: 300 }, (_, i) => [i, 0xff])
  expect(runsOf(blocks).map(({ start, end }) => [start, end])).toEqual([
    [0, 2048],
    [2048, 2400],
  ])
  expect(
    runsOf(
      [
        [0, 0xf0],
        [1, 0xff],
        [2, 0xff],
      ],
      16,
    ).map(({ start, end }) => [start, end]),
  ).toEqual([
    [4, 16],
    [16, 24],
  ])
})

test('the last block number and an empty generation', () => {
  expect(runsOf([[0xffff_ffff, 0xff]])).toEqual([{ start: 0xffff_ffff * 8, end: 0x1_0000_0000 * 8, first: 0, last: 1 }])
  expect(runsOf([])).toEqual([])
  expect(runsOf([[3, 0]])).toEqual([])
})

test('property: covers each sector once, nothing else', () => {
  const entry = fc.tuple(fc.nat({ max: 40 }), fc.integer({ min: 0, max: 255 }))
  fc.assert(
    fc.property(fc.array(entry, { maxLength: 60 }), fc.integer({ min: 1, max: 6 }), (unsorted, maxBlocks) => {
      const entries = unsorted.toSorted(([a], [b]) => a - b)
      const wanted = new Set(entries.flatMap(([block, mask]) => bitsOf(mask).map((bit) => block * 8 + bit)))
      const seen = new Set<number>()
      let previousEnd = -1
      for (const { start, end, first, last } of runsOf(entries, maxBlocks * 8)) {
        expect(end - start).toBeLessThanOrEqual(maxBlocks * 8)
        expect(start).toBeGreaterThanOrEqual(previousEnd)
        // Touching runs exist only where the limit cut, and there at a block boundary.
        if (start === previousEnd) expect(start % 8).toBe(0)
        previousEnd = end
        for (let sector = start; sector < end; sector++) seen.add(sector)
        const touching = entries.flatMap(([block], i) => (block * 8 < end && block * 8 + 8 > start ? [i] : []))
        expect([first, last]).toEqual([touching[0], (touching.at(-1) as number) + 1])
      }
      expect(seen).toEqual(wanted)
    }),
  )
})

function bitsOf(mask: number): number[] {
  return [0, 1, 2, 3, 4, 5, 6, 7].filter((bit) => (mask >>> bit) & 1)
}
