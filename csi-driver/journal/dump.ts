// The journal as text, for `forebay inspect` and for the decoded form of golden files: one line per superblock field
// group, batch and record; key=value, so that it can be searched. Never writes to the storage.
import type { Bytes } from '../../base/units.ts'
import { FLAG_MAY_UNMAP, OP_WRITE } from '../batch/batch-format.ts'
import type { BatchView } from '../batch/batch-view.ts'
import type { AlignedMemory, Storage } from '../io/storage.ts'
import { type JournalImage, readJournalImage } from './journal-image.ts'
import type { RecoveryReport } from './recovery.ts'
import { type LineageEntry, SUPERBLOCK_BYTES, type Superblock } from './superblock.ts'
import type { SlotContent } from './superblock-store.ts'

export function hex64(value: bigint): string {
  return value.toString(16).padStart(16, '0')
}

function hex32(value: number): string {
  return value.toString(16).padStart(8, '0')
}

function lineageText(entries: readonly LineageEntry[]): string {
  return entries.map((entry) => `${entry.logUuid}@${entry.firstBatchSeq}`).join(',') || '-'
}

/** One superblock, several lines. */
export function superblockLines(superblock: Superblock): string[] {
  const { geometry, tail, backing, pendingLineage } = superblock
  const compared = superblock.edgeHashes.filter((hash) => hash !== 0).length
  return [
    `  volume name=${superblock.volumeName} uuid=${superblock.volumeUuid} sectorBytes=${superblock.sectorBytes}`,
    `  store uuid=${superblock.storeUuid} incarnation=${superblock.incarnation} resource=${superblock.resource}`,
    `  written wallMs=${superblock.wallMs}`,
    `  ownership epoch=${superblock.epoch} run=${superblock.run} runFirstBatchSeq=${superblock.runFirstBatchSeq}`,
    `  geometry logStart=${geometry.logStart} logBytes=${geometry.logBytes} cacheBytes=${geometry.cacheBytes} ` +
      `frameBytesMax=${geometry.frameBytesMax}`,
    `  tail position=${tail.position} batchSeq=${tail.batchSeq} seq=${tail.seq} ` +
      `previousHash=${hex64(tail.previousHash)}`,
    `  head batchSeq=${superblock.headBatchSeq}`,
    `  lineage ${lineageText(superblock.lineage)} pending=${lineageText(pendingLineage === null ? [] : [pendingLineage])}`,
    `  backing kind=${backing.kind} id=${backing.id} sizeBytes=${backing.sizeBytes} edgeHashes=${compared}`,
    `  register nonce=${superblock.registerNonce} record=${superblock.registerRecord || '-'}`,
    `  intent ${superblock.intent || '-'}`,
  ]
}

/** One slot: its state and, where valid, its superblock. */
export function slotLines({ slot, state, superblock }: SlotContent): string[] {
  const head = `superblock slot=${slot} position=${slot * SUPERBLOCK_BYTES} state=${state}`
  return superblock === null
    ? [head]
    : [`${head} generation=${superblock.generation} copy=${superblock.copy}`, ...superblockLines(superblock)]
}

/** One batch that parse accepted: a line for it, and one for each record. */
export function batchLines(view: BatchView, position: Bytes): string[] {
  const lines = [
    `batch batchSeq=${view.batchSeq} position=${position} frameBytes=${view.frameBytes} ` +
      `payloadBytes=${view.payloadBytes} epoch=${view.epoch} run=${view.run} firstSeq=${view.firstSeq} ` +
      `count=${view.count} ackedSeq=${view.ackedSeq} trimSeq=${view.trimSeq} wallMs=${view.wallMs} ` +
      `volumeUuid=${view.volumeUuid} logUuid=${view.logUuid} session=${hex64(view.session)} ` +
      `previousHash=${hex64(view.previousHash)} headerHash=${hex64(view.headerHash)}`,
  ]
  for (let index = 0; index < view.count; index++) lines.push(recordLine(view, index))
  return lines
}

function recordLine(view: BatchView, index: number): string {
  const unique = hex32(view.uniqueHigh(index)) + hex32(view.uniqueLow(index))
  const range = `seq=${view.firstSeq + index} sector=${view.sector(index)} sectors=${view.sectors(index)} unique=${unique}`
  if (view.op(index) !== OP_WRITE) return `  zero  ${range} mayUnmap=${view.flags(index) === FLAG_MAY_UNMAP}`
  return `  write ${range} payloadStart=${view.payloadStart(index)} dataHash=${hex64(view.dataHash(index))}`
}

/** How the log ended. */
export function reportLine(report: RecoveryReport): string {
  const { lost, torn } = report
  const tornText = torn === null ? '' : ` tornBatchSeq=${torn.batchSeq} tornPosition=${torn.position}`
  const lostText =
    lost === null
      ? ''
      : ` DAMAGED lastGoodSeq=${lost.lastGoodSeq} ackedSeq=${lost.ackedSeqMax} lastSeqSeen=${lost.lastSeqSeen}`
  return (
    `log end case=${report.label} batches=${report.batches} records=${report.records} ` +
    `lastBatchSeq=${report.lastBatchSeq} lastSeq=${report.lastSeq} ackedSeq=${report.ackedSeq}${tornText}${lostText}`
  )
}

/** Dumps slots, batches with their records, and the end of the log, line by line. Rejects with IoError. */
export async function dumpJournal(options: {
  storage: Storage
  memory: AlignedMemory
  write: (line: string) => void
}): Promise<JournalImage> {
  const { storage, memory, write } = options
  const image = await readJournalImage({
    storage,
    memory,
    onSlots: (slots) => slots.forEach((slot) => slotLines(slot).forEach(write)),
    onBatch: (view, position) => batchLines(view, position).forEach(write),
  })
  if (image.report !== null) write(reportLine(image.report))
  return image
}
