// The lineage of a log: which logUuid its batches carry, by batch number. A log that a new epoch takes over keeps its
// old batches by reference (same ring, same chain) and goes on under a new logUuid. Pure functions over the entries of
// the superblock; entries are ordered, the first one reaches back to the tail.
import type { BatchSeq } from '../../base/units.ts'
import { LINEAGE_ENTRIES_MAX, type LineageEntry, type Superblock } from './superblock.ts'

/**
 * Stands for any log of the volume. Takes the place of the oldest entries when a log is taken over more often than
 * entries fit, without a checkpoint in between. Safe, since all batches under it were complete when the entry was made:
 * the chain of hashes and the superblock's headBatchSeq vouch for them.
 */
export const ANY_LOG_UUID = '00000000000000000000000000000000'

/** The logUuid that batch `batchSeq` must carry, or null where the lineage does not reach back so far. */
export function logUuidAt(lineage: readonly LineageEntry[], batchSeq: BatchSeq): string | null {
  let found: string | null = null
  for (const entry of lineage) {
    if (entry.firstBatchSeq > batchSeq) break
    found = entry.logUuid
  }
  return found
}

/** The logUuid of batches to come. */
export function currentLogUuid(lineage: readonly LineageEntry[]): string {
  return lineage.at(-1)?.logUuid ?? ''
}

/** Without the entries that no un-trimmed batch needs any more. */
export function pruneLineage(lineage: readonly LineageEntry[], tailBatchSeq: BatchSeq): readonly LineageEntry[] {
  let keepFrom = 0
  lineage.forEach((entry, index) => {
    if (entry.firstBatchSeq <= tailBatchSeq) keepFrom = index
  })
  return lineage.slice(keepFrom)
}

/** Whether `next` says the same as `before` about every batch of [from, to), merged entries apart. */
export function keepsLineage(
  next: readonly LineageEntry[],
  before: readonly LineageEntry[],
  { from, to }: { from: BatchSeq; to: BatchSeq },
): boolean {
  const steps = [from, ...next.map((entry) => entry.firstBatchSeq), ...before.map((entry) => entry.firstBatchSeq)]
  return steps
    .filter((batchSeq) => batchSeq >= from && batchSeq < to)
    .every((batchSeq) => isInLineage(next, batchSeq, logUuidAt(before, batchSeq) ?? ''))
}

/** The lineage with one more entry; entries under which no batch was written give way, the oldest are merged. */
export function extendLineage(lineage: readonly LineageEntry[], entry: LineageEntry): readonly LineageEntry[] {
  const extended = [...lineage.filter(({ firstBatchSeq }) => firstBatchSeq < entry.firstBatchSeq), entry]
  const [oldest, , ...rest] = extended
  if (oldest === undefined || extended.length <= LINEAGE_ENTRIES_MAX) return extended
  return [{ logUuid: ANY_LOG_UUID, firstBatchSeq: oldest.firstBatchSeq }, ...rest]
}

/** Whether batch `batchSeq` may carry `logUuid`. */
export function isInLineage(lineage: readonly LineageEntry[], batchSeq: BatchSeq, logUuid: string): boolean {
  const expected = logUuidAt(lineage, batchSeq)
  return expected === logUuid || expected === ANY_LOG_UUID
}

/** The change that makes the pending entry the current one (the register names it). */
export function promotePending(superblock: Superblock): Pick<Superblock, 'lineage' | 'pendingLineage'> {
  const { lineage, pendingLineage } = superblock
  return { lineage: pendingLineage === null ? lineage : extendLineage(lineage, pendingLineage), pendingLineage: null }
}
