// Proves the limits of the zero ranges: the admission limit is reported, the hard limit refuses without a change, and
// neighbours of different records stay apart.
import {
  ZERO_RANGES_HARD_MAX,
  ZERO_RANGES_MAX,
  ZeroRanges,
} from '../../../../../csi-driver/engine/index/zero-ranges.ts'

describe('zero ranges', () => {
  test('report full at the admission limit and refuse at the hard limit', () => {
    const ranges = new ZeroRanges()
    let added = 0
    while (!ranges.isFull) ranges.add(added * 16, added++ * 16 + 8, added)
    expect(ranges.count).toBe(ZERO_RANGES_MAX - 1)
    while (ranges.add(added * 16, added * 16 + 8, added + 1)) added++
    expect(ranges.count).toBe(ZERO_RANGES_HARD_MAX - 1)
    const { count, sectors } = ranges
    expect(ranges.add(2, 4, 1e9)).toBe(false)
    expect([ranges.count, ranges.sectors]).toEqual([count, sectors])
    ranges.removeThrough(10)
    expect(ranges.count).toBe(count - 10)
    expect(ranges.covers(9 * 16)).toBe(false)
    expect(ranges.covers(10 * 16)).toBe(true)
    ranges.clear()
    expect([ranges.count, ranges.sectors, ranges.isFull]).toEqual([0, 0, false])
  })

  test('neighbours of different records are not joined', () => {
    const ranges = new ZeroRanges()
    ranges.add(0, 8, 1)
    ranges.add(8, 16, 2)
    ranges.removeThrough(1)
    expect([ranges.covers(7), ranges.covers(8)]).toEqual([false, true])
  })

  test('an empty range is nothing', () => {
    const ranges = new ZeroRanges()
    expect(ranges.add(8, 8, 1)).toBe(true)
    expect(ranges.count).toBe(0)
  })
})
