// Proves: the binary searches of a snapshot agree with a plain search, for data and zero ranges, at every border.
import { ExtentIndex } from '../../../../../csi-driver/engine/index/extent-index.ts'
import { ZeroRanges } from '../../../../../csi-driver/engine/index/zero-ranges.ts'

const DATA = [3, 4, 9, 20]

function createSnapshot() {
  const index = new ExtentIndex({
    capacityBlocks: 64,
    logEndSector: 1 << 20,
    fragmentsMax: 64,
    onCleanGone: () => undefined,
  })
  for (const block of DATA.toReversed()) index.putDirty(block, 255, 64 + block * 8, block)
  const zeros = new ZeroRanges()
  zeros.add(12 * 8 + 7, 13 * 8 + 1, 1)
  zeros.add(30 * 8, 31 * 8, 2)
  return index.freeze(zeros)
}

describe('generation snapshot', () => {
  test('lowerBound', () => {
    const snapshot = createSnapshot()
    for (let block = 0; block < 40; block++) {
      expect(snapshot.lowerBound(block)).toBe(DATA.filter((stored) => stored < block).length)
    }
  })

  test('overlaps', () => {
    const snapshot = createSnapshot()
    const touched = [...DATA, 12, 13, 30]
    for (let first = 0; first < 40; first++) {
      for (let last = first; last < 40; last++) {
        expect(snapshot.overlaps(first, last)).toBe(touched.some((block) => block >= first && block <= last))
      }
    }
  })

  test('an index without dirty data gives an empty one', () => {
    const index = new ExtentIndex({
      capacityBlocks: 4,
      logEndSector: 64,
      fragmentsMax: 4,
      onCleanGone: () => undefined,
    })
    const snapshot = index.freeze(new ZeroRanges())
    expect([snapshot.isEmpty, snapshot.count, snapshot.overlaps(0, 100)]).toEqual([true, 0, false])
    expect(createSnapshot().isEmpty).toBe(false)
  })
})
