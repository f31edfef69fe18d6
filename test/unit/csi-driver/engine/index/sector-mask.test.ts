// Proves: the mask tables agree with a bit-by-bit count, run codes are a bijection that fits six bits, and the part of a
// block inside a range of sectors is right at every border.
import {
  CODE_OF_RUN,
  FULL_MASK,
  RUN_OF_CODE,
  SECTORS_OF_MASK,
  firstSectorOf,
  maskInside,
  runLengthAt,
} from '../../../../../csi-driver/engine/index/sector-mask.ts'

const bitsOf = (mask: number): number[] => [0, 1, 2, 3, 4, 5, 6, 7].filter((bit) => ((mask >>> bit) & 1) === 1)

describe('sector masks', () => {
  test('counts, first sectors and run lengths', () => {
    for (let mask = 1; mask <= FULL_MASK; mask++) {
      const bits = bitsOf(mask)
      expect(SECTORS_OF_MASK[mask]).toBe(bits.length)
      expect(firstSectorOf(mask)).toBe(bits[0])
      for (const first of bits) {
        let length = 1
        while (bits.includes(first + length)) length++
        expect(runLengthAt(mask, first)).toBe(length)
      }
    }
  })

  test('each of the 36 runs has a code of its own, nothing else has one', () => {
    const codes = new Set<number>()
    for (let mask = 0; mask <= FULL_MASK; mask++) {
      const isRun = mask !== 0 && /^0*1+0*$/.test(mask.toString(2))
      const code = CODE_OF_RUN[mask] as number
      expect(code > 0).toBe(isRun)
      if (!isRun) continue
      codes.add(code)
      expect(code).toBeLessThan(64)
      expect(RUN_OF_CODE[code]).toBe(mask)
    }
    expect(codes.size).toBe(36)
  })

  test('the part of a block inside a range', () => {
    for (let start = 0; start < 30; start++) {
      for (let end = start; end < 30; end++) {
        for (let block = 0; block < 4; block++) {
          const inside = [0, 1, 2, 3, 4, 5, 6, 7].filter((i) => block * 8 + i >= start && block * 8 + i < end)
          expect(bitsOf(maskInside(block, start, end))).toEqual(inside)
        }
      }
    }
    expect(maskInside(2 ** 32 - 2, 0, 2 ** 40)).toBe(FULL_MASK)
  })
})
