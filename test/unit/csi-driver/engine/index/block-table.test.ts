// Proves: the table answers like a map after any mix of inserts and removes at its highest load, also when clusters wrap
// around its end; refuses to overflow; and spreads dense and strided block numbers.
import { createPrng } from '../../../../../base/prng.ts'
import { BLOCK_NUMBER_MAX, BlockTable } from '../../../../../csi-driver/engine/index/block-table.ts'

describe('block table', () => {
  test.each([1, 3, 10, 100])('behaves like a map with capacity %i', (capacity) => {
    const prng = createPrng(`table ${capacity}`)
    const table = new BlockTable(capacity)
    const model = new Map<number, number>()
    for (let i = 0; i < 5000; i++) {
      const block = prng.chance(0.1) ? BLOCK_NUMBER_MAX - prng.below(3) : prng.below(capacity * 3)
      const position = table.probe(block)
      expect(position >= 0).toBe(model.has(block))
      if (position >= 0 && prng.chance(0.5)) {
        table.removeAt(position)
        model.delete(block)
      } else if (position < 0 && model.size < capacity) {
        table.insertAt(-1 - position, block)
        table.words[(-1 - position) * 3 + 1] = i
        table.words[(-1 - position) * 3 + 2] = i * 2
        table.bits[-1 - position] = i
        model.set(block, i)
      }
      if (i % 50 !== 0) continue
      expect(table.count).toBe(model.size)
      for (const [stored, value] of model) {
        const at = table.probe(stored)
        expect([table.blockAt(at), table.words[at * 3 + 1], table.words[at * 3 + 2], table.bits[at]]).toEqual([
          stored,
          value,
          value * 2,
          value,
        ])
      }
    }
  })

  test('an insert beyond the capacity is a programming error', () => {
    const table = new BlockTable(2)
    for (const block of [5, 6]) table.insertAt(-1 - table.probe(block), block)
    expect(() => table.insertAt(-1 - table.probe(7), 7)).toThrow('index table is full capacity=2')
  })

  test.each([1, 2, 8, 64, 256, 4096, 65_536])('a stride of %i fills it without long clusters', (stride) => {
    const table = new BlockTable(10_000)
    let steps = 0
    for (let i = 0; i < 10_000; i++) {
      const block = (i * stride) % 2 ** 31
      const position = table.probe(block)
      if (position < 0) table.insertAt(-1 - position, block)
    }
    // Probes of stored blocks walk from home to place; the mean run of full places says how long misses walk.
    let run = 0
    for (let position = 0; position < table.places; position++) {
      run = table.isEmptyAt(position) ? 0 : run + 1
      steps = Math.max(steps, run)
    }
    expect(steps).toBeLessThan(400)
  })
})
