// The names of a stored log, as pure functions over its lineage: which logUuid batch k carries, what a promotion makes
// of the lineage, what a trim leaves of it. The owner's own log follows the same rules, so that all copies of a log have
// the same lineage.
import type { BatchSeq } from '../../../base/units.ts'
import { LOG_NAMES_MAX, type LogName } from '../../protocol/stored-log.ts'

/** Takes the place of the oldest names where there would be too many: the chain of hashes vouches for those batches. */
export const ANY_LOG_NAME = '0'.repeat(32)

/** The logUuid that batch `batchSeq` must carry, or null where the lineage does not reach back so far. */
export function nameAt(lineage: readonly LogName[], batchSeq: BatchSeq): string | null {
  let found: string | null = null
  for (const { logUuid, firstBatchSeq } of lineage) {
    if (firstBatchSeq > batchSeq) break
    found = logUuid
  }
  return found
}

/** Whether batch `batchSeq` may carry `logUuid`. */
export function mayCarry(lineage: readonly LogName[], batchSeq: BatchSeq, logUuid: string): boolean {
  const expected = nameAt(lineage, batchSeq)
  return expected === logUuid || expected === ANY_LOG_NAME
}

/** With `name` as the last one; names under which nothing is left give way, the oldest two are merged where needed. */
export function withName(lineage: readonly LogName[], name: LogName): readonly LogName[] {
  const extended = [...lineage.filter(({ firstBatchSeq }) => firstBatchSeq < name.firstBatchSeq), name]
  const [oldest, , ...rest] = extended
  if (oldest === undefined || extended.length <= LOG_NAMES_MAX) return extended
  return [{ logUuid: ANY_LOG_NAME, firstBatchSeq: oldest.firstBatchSeq }, ...rest]
}

/** Without the names that no un-trimmed batch carries; the last one stays. */
export function namesFrom(lineage: readonly LogName[], tailBatchSeq: BatchSeq): readonly LogName[] {
  let keepFrom = 0
  lineage.forEach(({ firstBatchSeq }, index) => {
    if (firstBatchSeq <= tailBatchSeq) keepFrom = index
  })
  return lineage.slice(keepFrom)
}

/** Whether it can be the lineage of a log that begins at `tailBatchSeq`. */
export function isLineage(lineage: readonly LogName[], tailBatchSeq: BatchSeq): boolean {
  if (lineage.length < 1 || lineage.length > LOG_NAMES_MAX) return false
  let before = 0
  for (const { logUuid, firstBatchSeq } of lineage) {
    if (!/^[0-9a-f]{32}$/.test(logUuid) || !Number.isSafeInteger(firstBatchSeq) || firstBatchSeq <= before) return false
    before = firstBatchSeq
  }
  return (lineage[0]?.firstBatchSeq ?? 0) <= tailBatchSeq
}
