// Proves: the marks remember each batch exactly, across growth and across re-use of their slots, and are bounded by the
// number of blocks in the log.
import { BatchMarks } from '../../../../csi-driver/journal/batch-marks.ts'

const GEOMETRY = { logStart: 32_768, logBytes: 4096 * 4096, cacheBytes: 1 << 30, frameBytesMax: 4096 }

test('remembers across growth and re-use', () => {
  const marks = new BatchMarks(GEOMETRY, 1000)
  for (let batchSeq = 1000; batchSeq < 9000; batchSeq++) {
    marks.push(32_768 + (batchSeq % 4096) * 4096, batchSeq * 10, BigInt(batchSeq) << 40n)
    if (batchSeq >= 4000) marks.dropBefore(batchSeq - 2500)
    const asked = Math.max(1000, batchSeq - 2000)
    expect(marks.tailAfter(asked)).toEqual({
      position: 32_768 + (asked % 4096) * 4096,
      batchSeq: asked + 1,
      seq: asked * 10,
      previousHash: BigInt(asked) << 40n,
    })
  }
  expect(marks.count).toBe(2501)
})

test('refuses what it does not remember', () => {
  const marks = new BatchMarks(GEOMETRY, 5)
  expect(() => marks.tailAfter(5)).toThrow('remembered')
  marks.push(32_768, 6, 0n)
  expect(() => marks.tailAfter(4)).toThrow('remembered')
  expect(() => marks.dropBefore(7)).toThrow('inside')
  marks.dropBefore(6)
  expect(() => marks.dropBefore(5)).toThrow('inside')
})

test('is bounded by the log', () => {
  const marks = new BatchMarks({ ...GEOMETRY, logBytes: 8 * 4096 }, 1)
  for (let batchSeq = 1; batchSeq <= 8; batchSeq++) marks.push(32_768, batchSeq, 0n)
  expect(() => marks.push(32_768, 9, 0n)).toThrow('bounded')
})
