// Proves: the numbers of the ring against a plain map of its blocks: no batch crosses the end or lies on another, used
// space is exact, two of the longest batches always fit into what is kept back, a full ring is never taken for empty.
import fc from 'fast-check'
import { LogRing } from '../../../../csi-driver/journal/log-ring.ts'

const BLOCK = 4096
const FRAME_BLOCKS = 3
const BLOCKS = 8 * FRAME_BLOCKS
const START = 8 * BLOCK
const GEOMETRY = { logStart: START, logBytes: BLOCKS * BLOCK, cacheBytes: 1 << 30, frameBytesMax: FRAME_BLOCKS * BLOCK }

interface Taken {
  readonly position: number
  readonly bytes: number
}

function usedBlocks(batches: readonly Taken[], tail: number, head: number): number {
  return batches.length === 0 ? 0 : ((head - tail) / BLOCK + BLOCKS) % BLOCKS
}

test('agrees with a list of batches', () => {
  const step = fc.record({ blocks: fc.integer({ min: 1, max: FRAME_BLOCKS }), frees: fc.integer({ min: 0, max: 3 }) })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), fc.nat({ max: BLOCKS }), (steps, first) => {
      const ring = new LogRing(GEOMETRY, START + first * BLOCK)
      let batches: Taken[] = []
      let tail = ring.head
      for (const { blocks, frees } of steps) {
        const bytes = blocks * BLOCK
        if (ring.fits(bytes)) {
          const before = ring.head
          const position = ring.take(bytes)
          expect(position + bytes).toBeLessThanOrEqual(ring.end)
          if (position !== before) expect([position, before + bytes > ring.end]).toEqual([ring.start, true])
          for (const other of batches) {
            expect(position + bytes <= other.position || other.position + other.bytes <= position).toBe(true)
          }
          // Recovery looks at `before` first: a batch that went to the start must not reach over it.
          if (position !== before) expect(position + bytes).toBeLessThanOrEqual(before)
          batches.push({ position, bytes })
        }
        for (let count = 0; count < frees && batches.length > 0; count++) {
          const freed = batches[0] as Taken
          batches = batches.slice(1)
          tail = ring.wrap(freed.position + freed.bytes)
          ring.release(tail)
        }
        expect(ring.usedBytes).toBe(usedBlocks(batches, tail, ring.head) * BLOCK)
        expect(ring.freeBytes).toBe(Math.max(0, (BLOCKS - 3 * FRAME_BLOCKS) * BLOCK - ring.usedBytes))
      }
      for (let extra = 0; extra < 2; extra++) {
        expect(ring.fitsReserved(GEOMETRY.frameBytesMax)).toBe(true)
        const position = ring.take(GEOMETRY.frameBytesMax)
        for (const other of batches) {
          const isApart =
            position + GEOMETRY.frameBytesMax <= other.position || other.position + other.bytes <= position
          expect(isApart).toBe(true)
        }
        batches.push({ position, bytes: GEOMETRY.frameBytesMax })
      }
    }),
  )
})

test('recovery adopts what was taken, with the same numbers', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: FRAME_BLOCKS })), fc.nat({ max: BLOCKS }), (sizes, first) => {
      const written = new LogRing(GEOMETRY, START + first * BLOCK)
      const found = new LogRing(GEOMETRY, START + first * BLOCK)
      for (const blocks of sizes) {
        if (!written.fits(blocks * BLOCK)) continue
        const position = written.take(blocks * BLOCK)
        expect(found.canAdopt(position, blocks * BLOCK)).toBe(true)
        found.adopt(position, blocks * BLOCK)
        expect([found.head, found.usedBytes]).toEqual([written.head, written.usedBytes])
      }
    }),
  )
})

test('refuses what cannot be', () => {
  const ring = new LogRing(GEOMETRY, START)
  expect(() => ring.take(GEOMETRY.frameBytesMax + BLOCK)).toThrow('legal')
  expect(() => ring.take(0)).toThrow('legal')
  expect(() => ring.wrap(START - BLOCK)).toThrow('in the ring')
  ring.take(BLOCK)
  expect(() => ring.release(START + 2 * BLOCK)).toThrow('forward')
  expect(ring.canAdopt(START + BLOCK, GEOMETRY.frameBytesMax + BLOCK)).toBe(false)
  expect(ring.canAdopt(ring.end - BLOCK, 2 * BLOCK)).toBe(false)
})
