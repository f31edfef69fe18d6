// Proves: which log name a batch carries, what may be pruned, and when two lineages agree about a range of batches.
import { currentLogUuid, logUuidAt, pruneLineage, sameLineage } from '../../../../csi-driver/journal/lineage.ts'

const A = { logUuid: 'a', firstBatchSeq: 1 }
const B = { logUuid: 'b', firstBatchSeq: 5 }
const C = { logUuid: 'c', firstBatchSeq: 5 }

test('the last entry that begins at or before the batch names it', () => {
  expect([0, 1, 4, 5, 100].map((batchSeq) => logUuidAt([A, B], batchSeq))).toEqual([null, 'a', 'a', 'b', 'b'])
  // An epoch that wrote nothing: its entry begins where the next one does.
  expect(logUuidAt([A, B, C], 5)).toBe('c')
  expect(currentLogUuid([A, B])).toBe('b')
})

test('entries that no un-trimmed batch needs go', () => {
  expect(pruneLineage([A, B], 4)).toEqual([A, B])
  expect(pruneLineage([A, B], 5)).toEqual([B])
  expect(pruneLineage([A, B, C], 6)).toEqual([C])
})

test('agreement over a range', () => {
  expect(sameLineage([A], [A, B], { from: 1, to: 5 })).toBe(true)
  expect(sameLineage([A], [A, B], { from: 1, to: 6 })).toBe(false)
  expect(sameLineage([A, B], [A, C], { from: 1, to: 5 })).toBe(true)
  expect(sameLineage([A, B], [B], { from: 5, to: 9 })).toBe(true)
  expect(sameLineage([A, B], [C], { from: 7, to: 7 })).toBe(true)
  expect(sameLineage([A, B], [C], { from: 7, to: 8 })).toBe(false)
})
