// The lineage of a log: which logUuid its batches carry, by batch number. A log that a new epoch takes over keeps its
// old batches by reference (same ring, same chain) and goes on under a new logUuid. Pure functions over the entries of
// the superblock; entries are ordered, the first one reaches back to the tail.
import type { BatchSeq } from '../../base/units.ts'
import type { LineageEntry, Superblock } from './superblock.ts'

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

/** Whether both lineages say the same about every batch of [from, to). */
export function sameLineage(
  left: readonly LineageEntry[],
  right: readonly LineageEntry[],
  { from, to }: { from: BatchSeq; to: BatchSeq },
): boolean {
  const steps = [from, ...left.map((entry) => entry.firstBatchSeq), ...right.map((entry) => entry.firstBatchSeq)]
  return steps
    .filter((batchSeq) => batchSeq >= from && batchSeq < to)
    .every((batchSeq) => logUuidAt(left, batchSeq) === logUuidAt(right, batchSeq))
}

/** The change that makes the pending entry the current one (the register names it). */
export function promotePending(superblock: Superblock): Pick<Superblock, 'lineage' | 'pendingLineage'> {
  const pending = superblock.pendingLineage
  const lineage = pending === null ? superblock.lineage : [...superblock.lineage, pending]
  return { lineage, pendingLineage: null }
}
