// Proves what the property test against the map does not spell out: which slot is reported when, the rules of putClean
// and settle, records that share a base, ranges larger than the table, and the limits.
import { ExtentIndex } from '../../../../../csi-driver/engine/index/extent-index.ts'
import { ZeroRanges } from '../../../../../csi-driver/engine/index/zero-ranges.ts'

const LOG_END = 1 << 20
const NO_ZEROS = new ZeroRanges()

function createIndex(capacityBlocks = 64, fragmentsMax = 64) {
  const gone: number[] = []
  const index = new ExtentIndex({
    capacityBlocks,
    logEndSector: LOG_END,
    fragmentsMax,
    onCleanGone: (slot) => gone.push(slot),
  })
  return { index, gone }
}

/** [base, valid, orig, hash] of every fragment of the block, by first valid sector. */
function fragmentsOf(index: ExtentIndex, block: number): number[][] {
  const count = index.find(block)
  return Array.from({ length: count }, (_, i) => [
    index.fragmentBase[i] as number,
    index.fragmentValid[i] as number,
    index.fragmentOrig[i] as number,
    index.fragmentHash[i] as number,
  ]).toSorted(([, a], [, b]) => ((a as number) & -(a as number)) - ((b as number) & -(b as number)))
}

describe('puts', () => {
  test('a partial write leaves the rest of the clean block readable', () => {
    const { index, gone } = createIndex()
    expect(index.putClean(7, 3, 0xdeadbeef)).toBe(true)
    index.putDirty(7, 0b0001_1000, 100, 5)
    expect(fragmentsOf(index, 7)).toEqual([
      [LOG_END + 24, 0b1110_0111, 255, 0xdeadbeef],
      [100, 0b0001_1000, 0b0001_1000, 5],
    ])
    expect([index.dirtySectors, index.dirtyMask(7), index.validMask(7)]).toEqual([2, 0b0001_1000, 255])
    expect(gone).toEqual([])
    index.putDirty(7, 255, 200, 6)
    expect(fragmentsOf(index, 7)).toEqual([[200, 255, 255, 6]])
    expect(gone).toEqual([3])
    expect([index.dirtySectors, index.usedFragments]).toEqual([8, 0])
  })

  test('eight writes of one sector each are eight fragments', () => {
    const { index } = createIndex()
    for (let sector = 7; sector >= 0; sector--) index.putDirty(1, 1 << sector, 64 + sector * 100, sector)
    expect(fragmentsOf(index, 1)).toEqual(
      Array.from({ length: 8 }, (_, sector) => [64 + sector * 100, 1 << sector, 1 << sector, sector]),
    )
    expect(index.freeze(NO_ZEROS).count).toBe(8)
  })

  test('putClean gives way to anything that the index has', () => {
    const { index } = createIndex(2)
    index.putDirty(1, 1, 64, 0)
    expect(index.putClean(1, 0, 0)).toBe(false)
    expect(index.putClean(2, 0, 0)).toBe(true)
    expect(index.putClean(2, 1, 0)).toBe(false)
    expect(index.isFull).toBe(true)
    expect(index.putClean(3, 1, 0)).toBe(false)
    expect(index.dropClean(2, 1)).toBe(false)
    expect(index.dropClean(2, 0)).toBe(true)
    expect([index.isFull, index.freeBlocks]).toEqual([false, 1])
  })

  test('records of neighbouring sectors that share a base are two fragments', () => {
    const { index } = createIndex()
    index.putDirty(1, 0b01, 64, 1)
    const snapshot = index.freeze(NO_ZEROS)
    index.putDirty(1, 0b10, 64, 2)
    expect(index.settle(snapshot, 0, -1)).toBe(false)
    expect(fragmentsOf(index, 1)).toEqual([[64, 0b10, 0b10, 2]])
  })

  test.each([
    ['dirty base outside the log', (index: ExtentIndex) => index.putDirty(1, 255, LOG_END, 0)],
    ['mask is no run of sectors', (index: ExtentIndex) => index.putDirty(1, 0b101, 64, 0)],
    ['mask is no run of sectors', (index: ExtentIndex) => index.putDirty(1, 0, 64, 0)],
    ['block out of range', (index: ExtentIndex) => index.putDirty(2 ** 32 - 1, 255, 64, 0)],
    ['index table is full', (index: ExtentIndex) => [1, 2, 3].forEach((block) => index.putDirty(block, 255, 64, 0))],
    ['fragment pool is full', (index: ExtentIndex) => [1, 2, 4].forEach((mask) => index.putDirty(1, mask, 64, 0))],
  ])('%s is a programming error', (message, put) => {
    const { index } = createIndex(2, 2)
    expect(() => put(index)).toThrow(message)
  })

  test('the pool limit for a log is not passed when every sector of the log is a fragment of its own', () => {
    const logSectors = 64
    const { index } = createIndex(64, ExtentIndex.fragmentsMaxFor(logSectors * 512))
    for (let slot = 0; slot < 64; slot++) index.putClean(slot, slot, 0)
    for (let i = 0; i < logSectors; i++) index.putDirty(i, 1, i, 0)
    expect(index.usedFragments).toBe(128)
    expect(index.freeFragments).toBeGreaterThanOrEqual(0)
  })
})

describe('generations', () => {
  test('a whole fragment that nobody touched becomes clean in its slot', () => {
    const { index, gone } = createIndex()
    index.putDirty(5, 255, 64, 9)
    const snapshot = index.freeze(NO_ZEROS)
    expect(index.settle(snapshot, 0, 2)).toBe(true)
    expect(fragmentsOf(index, 5)).toEqual([[LOG_END + 16, 255, 255, 9]])
    expect([index.dirtySectors, index.slotOfBase(LOG_END + 16), index.isListed(5)]).toEqual([0, 2, false])
    index.removeRange(40, 48)
    expect(gone).toEqual([2])
  })

  test('a block that was written again keeps its new fragment and is in the next generation', () => {
    const { index } = createIndex()
    index.putDirty(5, 255, 64, 9)
    const first = index.freeze(NO_ZEROS)
    index.putDirty(5, 0b1, 128, 10)
    expect(index.settle(first, 0, 2)).toBe(false)
    expect(fragmentsOf(index, 5)).toEqual([[128, 1, 1, 10]])
    expect([first.count, first.base[0], first.valid[0]]).toEqual([1, 64, 255])
    const second = index.freeze(NO_ZEROS)
    expect([second.count, second.base[0], second.valid[0], second.dirtySectorsTotal]).toEqual([1, 128, 1, 1])
  })

  test('an untouched block is in one generation only, unless that one failed', () => {
    const { index } = createIndex()
    index.putDirty(5, 255, 64, 9)
    const first = index.freeze(NO_ZEROS)
    expect(index.freeze(NO_ZEROS).count).toBe(0)
    index.relist(first)
    expect(index.freeze(NO_ZEROS).count).toBe(1)
  })

  test('a block that was zeroed and written between two freezes appears once', () => {
    const { index } = createIndex()
    for (let round = 0; round < 3; round++) {
      index.putDirty(5, 255, 64 + round * 8, round)
      if (round < 2) index.removeRange(40, 48)
    }
    const snapshot = index.freeze(NO_ZEROS)
    expect([snapshot.count, snapshot.base[0]]).toEqual([1, 80])
  })
})

describe('ranges', () => {
  test.each([20, 10_000])('removal of a range longer than a table of %i places', (capacity) => {
    const { index, gone } = createIndex(capacity)
    for (let block = 0; block < 10; block++) index.putDirty(block * 100, 255, 64 + block * 8, 0)
    index.putClean(50, 1, 0)
    index.removeRange(4, 850 * 8)
    expect(gone).toEqual([1])
    expect([index.blocks, index.dirtySectors]).toEqual([2, 12])
    expect([index.validMask(0), index.validMask(900)]).toEqual([0b1111, 255])
    expect([index.hasDirty(0, 0), index.hasDirty(1, 899), index.hasDirty(1, 2 ** 32)]).toEqual([true, false, true])
  })

  test('clean blocks are not dirty', () => {
    const { index } = createIndex()
    index.putClean(1, 1, 0)
    index.putDirty(9, 255, 64, 0)
    expect([index.hasDirty(0, 8), index.hasDirty(0, 9), index.dirtyMask(1), index.dirtyMask(2)]).toEqual([
      false,
      true,
      0,
      0,
    ])
  })
})

test('sizes are those of the real arrays', () => {
  const { index } = createIndex(1000, 64)
  expect(ExtentIndex.bytesFor(1000)).toBe(1250 * 14)
  expect(index.bytes).toBeGreaterThan(ExtentIndex.bytesFor(1000))
})
