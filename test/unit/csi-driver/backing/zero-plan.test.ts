// Proves: both parts together are the given ranges, whole blocks go to the device and everything else is written.
import * as fc from 'fast-check'

import { planZero } from '../../../../csi-driver/backing/zero-plan.ts'

test('edges are written, the middle is zeroed', () => {
  expect(planZero([{ position: 512, length: 12_288 }], true)).toEqual({
    zeroed: [{ position: 4096, length: 8192 }],
    written: [
      { position: 512, length: 3584 },
      { position: 12_288, length: 512 },
    ],
  })
  expect(planZero([{ position: 512, length: 1024 }], true)).toEqual({
    zeroed: [],
    written: [{ position: 512, length: 1024 }],
  })
})

test('property: every byte once, the device only gets whole blocks', () => {
  const range = fc.record({ position: fc.nat({ max: 60 }), length: fc.integer({ min: 0, max: 40 }) })
  fc.assert(
    fc.property(fc.array(range, { maxLength: 4 }), fc.boolean(), (sectors, deviceZeroes) => {
      const ranges = sectors.map(({ position, length }, i) => ({
        position: position * 512 + i * 1e6 * 512,
        length: length * 512,
      }))
      const plan = planZero(ranges, deviceZeroes)
      for (const { position, length } of plan.zeroed)
        expect([position % 4096, length % 4096, length > 0]).toEqual([0, 0, true])
      if (!deviceZeroes) expect(plan.zeroed).toEqual([])
      const covered = [...plan.zeroed, ...plan.written].flatMap(sectorsOf).toSorted((a, b) => a - b)
      expect(covered).toEqual(ranges.flatMap(sectorsOf))
    }),
  )
})

function sectorsOf({ position, length }: { position: number; length: number }): number[] {
  return Array.from({ length: length / 512 }, (_, i) => position / 512 + i)
}
