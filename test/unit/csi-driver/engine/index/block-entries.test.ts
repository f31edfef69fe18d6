// Proves the steps that the index is made of where it cannot show them: a chain shrinks back into its entry, keeps the
// listed flag through it, and gives all its nodes back.
import { BlockEntries, LISTED } from '../../../../../csi-driver/engine/index/block-entries.ts'

function createEntries() {
  const gone: number[] = []
  const entries = new BlockEntries({
    capacityBlocks: 8,
    logEndSector: 1 << 20,
    fragmentsMax: 16,
    onCleanGone: (slot) => gone.push(slot),
  })
  const position = -1 - entries.table.probe(1)
  entries.table.insertAt(position, 1)
  return { entries, position, gone }
}

describe('block entries', () => {
  test('a chain of three shrinks to two, to one in the entry, to none', () => {
    const { entries, position } = createEntries()
    entries.setSingle(position, 0b0000_1111, 64, 1)
    entries.table.bits[position] = (entries.table.bits[position] as number) | LISTED
    entries.addToChain(position, 0b0011_0000, 128, 2)
    entries.addToChain(position, 0b1100_0000, 256, 3)
    entries.dirtySectors = 8
    expect([entries.load(position), entries.pool.used]).toEqual([3, 3])
    expect(entries.removeFragment(position, 128, 0b0011_0000)).toBe(true)
    expect([entries.load(position), entries.pool.used, entries.dirtySectors]).toEqual([2, 2, 6])
    expect(entries.removeFragment(position, 64, 0b0000_0011)).toBe(false)
    entries.subtract(position, 0b0000_1111)
    expect([entries.load(position), entries.pool.used, entries.dirtySectors]).toEqual([1, 0, 2])
    expect([entries.fragmentBase[0], entries.fragmentHash[0], entries.fragmentOrig[0]]).toEqual([256, 3, 0b1100_0000])
    expect(entries.table.bits[position] & LISTED).toBe(LISTED)
    expect(entries.subtractOrRemove(position, 255)).toBe(true)
    expect([entries.table.count, entries.dirtySectors]).toEqual([0, 0])
  })

  test('a clean fragment in a chain is reported when its last sector goes, not before', () => {
    const { entries, position, gone } = createEntries()
    entries.setSingle(position, 255, (1 << 20) + 8, 1)
    entries.subtract(position, 0b1)
    entries.addToChain(position, 0b1, 64, 2)
    entries.dirtySectors = 1
    entries.subtract(position, 0b0111_1110)
    expect(gone).toEqual([])
    entries.subtract(position, 0b1000_0000)
    expect(gone).toEqual([1])
    expect(entries.isWholeAndOnly(position, 64)).toBe(false)
  })
})
