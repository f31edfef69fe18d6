// What must be true of a journal at rest, one function each: run by `forebay verify`, by tests and by the simulator.
// They judge the image (slots and batch summaries), not the code that made it, and repeat nothing that recovery already
// decided: recovery could be wrong too. An answer is a list of findings; empty = holds.
import type { BatchSummary, JournalImage } from './journal-image.ts'
import { isInLineage } from './lineage.ts'
import { compareRuns } from './batch-order.ts'
import { encodeSuperblock, SUPERBLOCK_BYTES, SUPERBLOCK_SLOTS, type Superblock } from './superblock.ts'

export interface JournalInvariant {
  readonly name: string
  readonly check: (image: JournalImage) => string[]
}

export interface InvariantFinding {
  readonly invariant: string
  readonly finding: string
}

/** Findings of `judge` for each batch and the one before it (null for the first). */
function overBatches(
  image: JournalImage,
  judge: (batch: BatchSummary, before: BatchSummary | null, superblock: Superblock) => string | null,
): string[] {
  const { superblock, batches } = image
  if (superblock === null) return []
  return batches.flatMap((batch, index) => {
    const finding = judge(batch, batches[index - 1] ?? null, superblock)
    return finding === null ? [] : [`${finding} batchSeq=${batch.batchSeq} position=${batch.position}`]
  })
}

function superblockExists({ slots }: JournalImage): string[] {
  return slots.some((slot) => slot.superblock !== null) ? [] : ['no superblock is valid']
}

function superblocksInTheirSlots({ slots }: JournalImage): string[] {
  return slots
    .filter(({ slot, superblock }) => superblock !== null && superblock.generation % SUPERBLOCK_SLOTS !== slot)
    .map(({ slot }) => `superblock stands in a wrong slot=${slot}`)
}

/** A torn write can only be the one after the newest valid superblock; any other damaged slot is disk damage. */
function damagedSlotIsTheNextOne({ slots, superblock }: JournalImage): string[] {
  const next = superblock === null ? -1 : (superblock.generation + 1) % SUPERBLOCK_SLOTS
  return slots
    .filter(({ slot, state }) => state === 'damaged' && slot !== next)
    .map(({ slot }) => `damaged slot=${slot}`)
}

/** A second copy was begun only when the first was durable. */
function copiesSayTheSame({ slots, superblock }: JournalImage): string[] {
  if (superblock === null || superblock.copy === 1) return []
  const twin = slots.find((slot) => slot.superblock?.generation === superblock.generation - 1)?.superblock ?? null
  if (twin === null) return [`first copy is missing generation=${superblock.generation - 1}`]
  return contentOf(twin) === contentOf(superblock) ? [] : [`copies differ generation=${superblock.generation}`]
}

function contentOf(superblock: Superblock): string {
  const slot = Buffer.alloc(SUPERBLOCK_BYTES)
  encodeSuperblock(slot, 0, { ...superblock, generation: 0, copy: 1 })
  return slot.toString('latin1')
}

function logEndsWithoutDamage({ report }: JournalImage): string[] {
  const lost = report?.lost
  if (lost === null || lost === undefined) return []
  return [
    `log is damaged case=${lost.label} position=${lost.position} lastGoodSeq=${lost.lastGoodSeq} ackedSeq=${lost.ackedSeqMax}`,
  ]
}

function batchesAreOfThisVolumeAndLog(image: JournalImage): string[] {
  return overBatches(image, (batch, _before, superblock) => {
    if (batch.volumeUuid !== superblock.volumeUuid) return 'batch of another volume'
    return isInLineage(superblock.lineage, batch.batchSeq, batch.logUuid) ? null : 'batch of another log'
  })
}

function batchesFormOneChain(image: JournalImage): string[] {
  return overBatches(image, (batch, before, { tail }) => {
    const batchSeq = before === null ? tail.batchSeq : before.batchSeq + 1
    const firstSeq = before === null ? tail.seq : before.firstSeq + before.count
    const previousHash = before === null ? tail.previousHash : before.headerHash
    if (batch.batchSeq !== batchSeq) return `batch number is not the next one expected=${batchSeq}`
    if (batch.firstSeq !== firstSeq) return `record number is not the next one expected=${firstSeq}`
    return batch.previousHash === previousHash ? null : 'batch names another predecessor'
  })
}

function acknowledgedAndTrimmedOnlyGrow(image: JournalImage): string[] {
  return overBatches(image, (batch, before, { tail }) => {
    if (batch.ackedSeq >= batch.firstSeq) return 'batch acknowledges itself'
    if (batch.ackedSeq < (before?.ackedSeq ?? 0)) return 'ackedSeq falls'
    if (batch.trimSeq < (before?.trimSeq ?? 0)) return 'trimSeq falls'
    return batch.trimSeq < tail.seq ? null : 'trimSeq is ahead of the superblock'
  })
}

function runsOnlyGrow(image: JournalImage): string[] {
  return overBatches(image, (batch, before, superblock) => {
    if (before !== null && compareRuns(batch, before) < 0) return 'run falls'
    if (compareRuns(batch, superblock) > 0) return 'run is ahead of the superblock'
    const isOfNewestRun = batch.batchSeq >= superblock.runFirstBatchSeq
    return isOfNewestRun && compareRuns(batch, superblock) < 0 ? 'batch of an older run behind the newest' : null
  })
}

/** Each batch follows the one before, or stands at the ring's start when it did not fit before the end; none overlap. */
function batchesLieInTheRing(image: JournalImage): string[] {
  let used = 0
  return overBatches(image, (batch, before, { geometry, tail }) => {
    const { logStart, logBytes, frameBytesMax } = geometry
    const end = logStart + logBytes
    if (batch.position < logStart || batch.position + batch.frameBytes > end) return 'batch crosses the end of the ring'
    if (batch.frameBytes > frameBytesMax) return 'batch is longer than the log allows'
    const behind = before === null ? tail.position : before.position + before.frameBytes
    const expected = behind === end ? logStart : behind
    const isAtStart = batch.position === logStart && expected + batch.frameBytes > end
    if (batch.position !== expected && !isAtStart) return `batch does not follow expected=${expected}`
    used += batch.frameBytes + (batch.position < expected ? end - expected : 0)
    return used < logBytes ? null : 'batches overlap'
  })
}

function headIsNotBeforeTheSuperblockSays({ superblock, batches, report }: JournalImage): string[] {
  if (superblock === null || report === null) return []
  const next = superblock.tail.batchSeq + batches.length
  return next >= superblock.headBatchSeq
    ? []
    : [`batches are missing from=${next} through=${superblock.headBatchSeq - 1}`]
}

export const JOURNAL_INVARIANTS: readonly JournalInvariant[] = [
  { name: 'superblock-exists', check: superblockExists },
  { name: 'superblocks-in-their-slots', check: superblocksInTheirSlots },
  { name: 'damaged-slot-is-the-next-one', check: damagedSlotIsTheNextOne },
  { name: 'copies-say-the-same', check: copiesSayTheSame },
  { name: 'log-ends-without-damage', check: logEndsWithoutDamage },
  { name: 'batches-are-of-this-volume-and-log', check: batchesAreOfThisVolumeAndLog },
  { name: 'batches-form-one-chain', check: batchesFormOneChain },
  { name: 'acknowledged-and-trimmed-only-grow', check: acknowledgedAndTrimmedOnlyGrow },
  { name: 'runs-only-grow', check: runsOnlyGrow },
  { name: 'batches-lie-in-the-ring', check: batchesLieInTheRing },
  { name: 'head-is-not-before-the-superblock-says', check: headIsNotBeforeTheSuperblockSays },
]

/** All findings of all invariants. */
export function checkJournal(image: JournalImage): InvariantFinding[] {
  return JOURNAL_INVARIANTS.flatMap(({ name, check }) => check(image).map((finding) => ({ invariant: name, finding })))
}
