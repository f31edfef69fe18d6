// A store on a disk as text, for `forebay inspect` and for the decoded form of the golden file: superblock, volume table,
// every batch that can be followed, how each log ends; key=value, so that it can be searched. For a store that nobody
// has open; never writes, never shows a key.
import type { AlignedMemory, Storage } from '../../io/storage.ts'
import type { LogName } from '../../protocol/stored-log.ts'
import type { EnvelopeView } from '../wire/envelope-view.ts'
import type { RecoveredLog } from './log-recovery.ts'
import type { StoredBatchHeader } from './segment-format.ts'
import { type FoundSlot, probeStore, type StoreProbe } from './store-disk.ts'
import { segmentCount, segmentsStart } from './store-geometry.ts'
import { readStoreImage } from './store-image.ts'
import type { StoreSuperblock } from './store-superblock.ts'
import type { LogPlace, SlotLog, VolumeSlot } from './volume-slot.ts'

function hex64(value: bigint): string {
  return value.toString(16).padStart(16, '0')
}

function namesText(names: readonly LogName[]): string {
  return names.map(({ logUuid, firstBatchSeq }) => `${logUuid}@${firstBatchSeq}`).join(',') || '-'
}

function superblockLines(superblock: StoreSuperblock, copies: number): string[] {
  const { storeUuid, incarnation, resource, capacityBytes, segmentBytes, slotCount, madeWallMs } = superblock
  return [
    `store uuid=${storeUuid} incarnation=${incarnation} resource=${resource} generation=${superblock.generation} ` +
      `copies=${copies} madeWallMs=${madeWallMs}`,
    `  capacityBytes=${capacityBytes} slots=${slotCount} segments=${segmentCount(superblock)} ` +
      `segmentBytes=${segmentBytes} segmentsStart=${segmentsStart(superblock)}`,
  ]
}

function slotLines({ index, state, content }: FoundSlot): string[] {
  if (state === 'unused') return []
  if (content === null) return [`slot index=${index} state=${state}`]
  const { kind, generation, wallMs } = content
  const head = `slot index=${index} state=${state} kind=${kind} generation=${generation} wallMs=${wallMs}`
  if (content.kind !== 'volume') return [head]
  const { volume, volumeUuid, createdBy, incarnation, promise, epoch, run, log } = content
  return [
    head,
    `  volume name=${volume} uuid=${volumeUuid} incarnation=${incarnation}${createdBy && ` createdBy=${createdBy}`}`,
    `  ownership promise=${promise} epoch=${epoch} run=${run}`,
    ...(log === null ? ['  log none'] : logLines(log)),
  ]
}

function logLines(log: SlotLog): string[] {
  const { tail, tailPlace, pending } = log
  const place =
    tailPlace === null ? '-' : `segment:${tailPlace.segment},offset:${tailPlace.offset},ordinal:${tailPlace.ordinal}`
  return [
    `  log id=${hex64(log.logId)} bytes=${log.logBytes} reservedSegments=${log.reservedSegments}`,
    `  names ${namesText(log.lineage)} pending=${namesText(pending === null ? [] : [pending])}`,
    `  tail batchSeq=${tail.batchSeq} seq=${tail.seq} previousHash=${hex64(tail.previousHash)} place=${place}`,
    `  head batchSeq=${log.headBatchSeq} hash=${hex64(log.headHash)} ackedSeq=${log.ackedSeq}`,
    `  cut batchSeq=${log.cutBatchSeq} generation=${log.cutGeneration}`,
  ]
}

function batchLine(header: StoredBatchHeader, batch: EnvelopeView, place: LogPlace): string {
  return (
    `  batch batchSeq=${header.batchSeq} segment=${place.segment} offset=${place.offset} ordinal=${place.ordinal} ` +
    `slotGeneration=${header.slotGeneration} bodyBytes=${header.bodyBytes} bodyHash=${hex64(header.bodyHash)} ` +
    `codec=${batch.codec} epoch=${batch.epoch} run=${batch.run} firstSeq=${batch.firstSeq} count=${batch.count} ` +
    `ackedSeq=${batch.ackedSeq} logUuid=${batch.logUuid} headerHash=${hex64(header.headerHash)}`
  )
}

function endLine(volume: string, recovered: RecoveredLog): string {
  const { live, lost, label } = recovered
  if (live === null) return `log of=${volume} LOST case=${label} reason=${lost.reason}`
  const segments = live.index.segments.map((each) => each.segment).join(',')
  return (
    `log of=${volume} case=${label} lastBatchSeq=${live.lastBatchSeq} lastSeq=${live.lastSeq} ` +
    `lastHash=${hex64(live.lastHash)} ackedSeq=${live.ackedSeq} storedBytes=${live.storedBytes} segments=${segments || '-'}`
  )
}

/** Writes the lines of what stands on the storage. Rejects with IoError where it cannot be read. */
export async function dumpStore(options: {
  storage: Storage
  memory: AlignedMemory
  write: (line: string) => void
}): Promise<StoreProbe> {
  const { storage, memory, write } = options
  const probe = await probeStore(storage, memory)
  if (probe.kind !== 'store') return probe
  const { superblock, copies } = probe
  superblockLines(superblock, copies).forEach(write)
  const batches = new Map<VolumeSlot, string[]>()
  const image = await readStoreImage({
    storage,
    memory,
    superblock,
    onBatch: (slot, header, batch, place) => {
      const lines = batches.get(slot) ?? []
      lines.push(batchLine(header, batch, place))
      batches.set(slot, lines)
    },
  })
  for (const slot of image.slots) slotLines(slot).forEach(write)
  for (const { slot, recovered } of image.volumes) {
    if (recovered === null) continue
    write(endLine(slot.volume, recovered))
    batches.get(slot)?.forEach(write)
  }
  return probe
}
