// Proves: which log name a batch carries, what may be pruned, and when two lineages agree about a range of batches.
import {
  ANY_LOG_UUID,
  currentLogUuid,
  extendLineage,
  isInLineage,
  keepsLineage,
  logUuidAt,
  pruneLineage,
} from '../../../../csi-driver/journal/lineage.ts'

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
  expect(keepsLineage([A], [A, B], { from: 1, to: 5 })).toBe(true)
  expect(keepsLineage([A], [A, B], { from: 1, to: 6 })).toBe(false)
  expect(keepsLineage([A, B], [A, C], { from: 1, to: 5 })).toBe(true)
  expect(keepsLineage([A, B], [B], { from: 5, to: 9 })).toBe(true)
  expect(keepsLineage([A, B], [C], { from: 7, to: 7 })).toBe(true)
  expect(keepsLineage([A, B], [C], { from: 7, to: 8 })).toBe(false)
})

test('an epoch that wrote nothing leaves no entry behind', () => {
  expect(extendLineage([A, B], C)).toEqual([A, C])
  expect(extendLineage([A], B)).toEqual([A, B])
  expect(extendLineage([A], { logUuid: 'x', firstBatchSeq: 1 })).toEqual([{ logUuid: 'x', firstBatchSeq: 1 }])
})

test('more takeovers than entries: the oldest are merged into one that takes any log', () => {
  let lineage: readonly { logUuid: string; firstBatchSeq: number }[] = [A]
  for (let step = 2; step <= 40; step++) {
    const before = lineage
    lineage = extendLineage(lineage, { logUuid: `log ${step}`, firstBatchSeq: step })
    expect(keepsLineage(lineage, before, { from: 1, to: step })).toBe(true)
  }
  expect(lineage).toHaveLength(16)
  expect(lineage[0]).toEqual({ logUuid: ANY_LOG_UUID, firstBatchSeq: 1 })
  expect(lineage[1]).toEqual({ logUuid: 'log 26', firstBatchSeq: 26 })
  expect([isInLineage(lineage, 25, 'x'), isInLineage(lineage, 26, 'x'), isInLineage(lineage, 40, 'log 40')]).toEqual([
    true,
    false,
    true,
  ])
})
