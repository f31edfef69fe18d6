// Proves: the order sorts, is stable, and looks at no more than `count` numbers, for every width of numbers.
import { createPrng } from '../../../../../base/prng.ts'
import { blockOrder } from '../../../../../csi-driver/engine/index/block-order.ts'

describe('block order', () => {
  test.each([0, 1, 2, 1000, 5000])('%i numbers', (count) => {
    for (const width of [1, 5, 11, 12, 22, 23, 32]) {
      const prng = createPrng(`order ${count} ${width}`)
      const blocks = Uint32Array.from({ length: count + 10 }, () => prng.u32() >>> (32 - width))
      const expected = Array.from({ length: count }, (_, i) => i).toSorted(
        (a, b) => (blocks[a] as number) - (blocks[b] as number) || a - b,
      )
      expect([...blockOrder(blocks, count)]).toEqual(expected)
    }
  })
})
