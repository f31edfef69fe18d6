// Proves the bitmap against a set of numbers: exactly the blocks that a write touches, over the borders of its pieces, and a
// discard of a whole large volume in no time.
import fc from 'fast-check'
import { WrittenBlocks } from '../../../../../csi-driver/engine/previous-cache/written-blocks.ts'

const PIECE = 2 ** 18
const place = fc.oneof(fc.nat(300), fc.integer({ min: PIECE - 100, max: PIECE + 200 }))

test('exactly the blocks that are touched', () => {
  const writes = fc.array(fc.tuple(place, fc.nat(7), fc.integer({ min: 1, max: 1000 })), { maxLength: 20 })
  fc.assert(
    fc.property(writes, fc.tuple(place, fc.nat(40)), (all, [first, more]) => {
      const written = new WrittenBlocks()
      const model = new Set<number>()
      for (const [block, sector, sectors] of all) {
        const position = block * 4096 + sector * 512
        written.add(position, sectors * 512)
        for (let at = position; at < position + sectors * 512; at += 512) model.add(Math.floor(at / 4096))
      }
      for (let block = first; block <= first + more; block += 1)
        expect(written.hasAny(block, block)).toBe(model.has(block))
      expect(written.hasAny(first, first + more)).toBe(
        [...model].some((block) => block >= first && block <= first + more),
      )
    }),
  )
})

test('a whole volume', () => {
  const written = new WrittenBlocks()
  written.add(4096, 2 ** 40)
  expect([0, 1, 2 ** 28, 2 ** 28 + 1].map((block) => written.hasAny(block, block))).toEqual([false, true, true, false])
})
