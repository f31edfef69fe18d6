// Proves that the pool's numbers mean what they stand for: equal content has one number, a promotion by name drops what
// lies beyond it and nothing else, trims keep the chain, and the product's words of a log say the same.
import { LogPool, PoolFull, POOL_MAX, addTo, uuidOf } from './model/log-pool.ts'

function logOf(pool: LogPool, contents: readonly number[]) {
  let log = pool.freshLog(1, 0)
  for (const content of contents) log = pool.append(log, pool.makeBatch(log, content, { epoch: 1, run: 0 }).id)
  return log
}

describe('logs of the pool', () => {
  test('the same content has one number, whatever way led to it', () => {
    const pool = new LogPool()
    const log = logOf(pool, [1, 2, 3])
    expect(logOf(pool, [1, 2, 3]).id).toBe(log.id)
    expect(pool.trim(pool.trim(log, 1), 2).id).toBe(pool.trim(log, 2).id)
    expect(logOf(pool, [2, 1, 3]).id).not.toBe(log.id)
  })

  test('a name that is promoted drops what lies behind its beginning', () => {
    const pool = new LogPool()
    const log = logOf(pool, [1, 2, 3])
    const pending = pool.prepare(log, 2, 2)
    expect([pending.name, pending.pending, pending.pendingAfter, pending.last]).toEqual([1, 2, 2, 3])
    const promoted = pool.promote(pending)
    expect([promoted.name, promoted.pending, promoted.last]).toEqual([2, 0, 2])
    expect(promoted.lastBatch).toBe(log.batches[2])
    expect(promoted.stored.lineage).toEqual([
      { logUuid: uuidOf(1), firstBatchSeq: 1 },
      { logUuid: uuidOf(2), firstBatchSeq: 3 },
    ])
    expect(pool.promote(log).id).toBe(log.id)
  })

  test('a trim keeps the chain, and names that no batch has go', () => {
    const pool = new LogPool()
    const promoted = pool.promote(pool.prepare(logOf(pool, [1, 2]), 2, 2))
    const longer = pool.append(promoted, pool.makeBatch(promoted, 3, { epoch: 2, run: 0 }).id)
    const trimmed = pool.trim(longer, 2)
    expect(trimmed.stored.lineage).toEqual([{ logUuid: uuidOf(2), firstBatchSeq: 3 }])
    expect(trimmed.stored.tail).toEqual({ batchSeq: 3, seq: 3, previousHash: BigInt(promoted.lastBatch) })
    expect(pool.ancestor(trimmed.lastBatch, 1)).toBe(logOf(pool, [1]).lastBatch)
  })

  test('an empty log is numbered on from where the records before it ended', () => {
    const pool = new LogPool()
    const log = pool.freshLog(3, 5)
    expect([log.last, log.trimmed, log.stored.lastSeq]).toEqual([5, 5, 5])
    expect(pool.makeBatch(log, 1, { epoch: 3, run: 0 }).seq).toBe(6)
  })

  test('a full pool is said, never wrapped', () => {
    const pool = Array.from({ length: POOL_MAX - 1 }, (_, i) => i)
    expect(addTo(pool, 0)).toBe(POOL_MAX)
    expect(() => addTo(pool, 0)).toThrow(PoolFull)
  })
})
