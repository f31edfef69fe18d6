// Proves: which name a batch must carry, how promotions extend a lineage and trims shorten it, and that a lineage stays
// one of the same log under both.
import fc from 'fast-check'
import {
  ANY_LOG_NAME,
  isLineage,
  mayCarry,
  nameAt,
  namesFrom,
  withName,
} from '../../../../../csi-driver/replica/store/log-names.ts'
import { logName } from './store-kit.ts'

const A = logName(1, 1)
const B = logName(2, 5)
const C = logName(3, 9)

test('the name of a batch is the last one that begins at or before it', () => {
  expect([1, 4, 5, 8, 9, 99].map((batchSeq) => nameAt([A, B, C], batchSeq))).toEqual(
    [A, A, B, B, C, C].map((name) => name.logUuid),
  )
  expect(nameAt([B], 4)).toBeNull()
  expect(mayCarry([A, B], 5, A.logUuid)).toBe(false)
  expect(mayCarry([A, B], 5, B.logUuid)).toBe(true)
})

test('a new name replaces those under which nothing is left', () => {
  expect(withName([A, B, C], logName(4, 9))).toEqual([A, B, logName(4, 9)])
  expect(withName([A, B, C], logName(4, 5))).toEqual([A, logName(4, 5)])
  expect(withName([A], logName(4, 2))).toEqual([A, logName(4, 2)])
})

test('with too many names the oldest two become one that any batch may carry', () => {
  const full = Array.from({ length: 16 }, (_, index) => logName(index + 1, index + 1))
  const next = withName(full, logName(17, 17))
  expect(next).toHaveLength(16)
  expect(next[0]).toEqual({ logUuid: ANY_LOG_NAME, firstBatchSeq: 1 })
  expect(next[1]).toEqual(logName(3, 3))
  expect(mayCarry(next, 2, 'x')).toBe(true)
  expect(mayCarry(next, 3, 'x')).toBe(false)
})

test('a trim drops names that no batch needs, never the last', () => {
  expect(namesFrom([A, B, C], 4)).toEqual([A, B, C])
  expect(namesFrom([A, B, C], 5)).toEqual([B, C])
  expect(namesFrom([A, B, C], 100)).toEqual([C])
})

test('promotions and trims keep a lineage legal', () => {
  const step = fc.record({ promote: fc.boolean(), by: fc.nat({ max: 5 }) })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      let lineage: readonly { logUuid: string; firstBatchSeq: number }[] = [A]
      let tail = 1
      let end = 1
      for (const [epoch, { promote, by }] of steps.entries()) {
        end += by
        if (promote) lineage = withName(lineage, logName(epoch + 2, Math.max(tail, end - 1)))
        else {
          tail = Math.min(end, tail + by)
          lineage = namesFrom(lineage, tail)
        }
        expect(isLineage(lineage, tail)).toBe(true)
      }
    }),
  )
})

test.each([
  [[]],
  [[logName(1, 2)]],
  [[logName(1, 1), logName(2, 1)]],
  [[{ logUuid: 'x', firstBatchSeq: 1 }]],
  [[{ logUuid: A.logUuid, firstBatchSeq: 0.5 }]],
])('is no lineage: %j', (lineage) => {
  expect(isLineage(lineage, 1)).toBe(false)
})
