// Everything that a store holds, read after a start or by somebody who looks at it while nobody else has it open: the
// volume table, which segments belong to which log, each log followed from its tail to its end. Never writes.
import type { AlignedMemory, Storage } from '../../io/storage.ts'
import { LogRecovery, ReadWindow, type RecoveredLog, type StoredBatchVisitor } from './log-recovery.ts'
import { SegmentScan } from './segment-scan.ts'
import { type FoundSlot, readSlots } from './store-disk.ts'
import type { StoreSuperblock } from './store-superblock.ts'
import type { VolumeSlot } from './volume-slot.ts'

export interface ImageVolume {
  readonly slot: VolumeSlot
  readonly worseCopy: number
  /** Null: the volume has no log. */
  readonly recovered: RecoveredLog | null
}

export interface StoreImage {
  readonly slots: readonly FoundSlot[]
  readonly volumes: readonly ImageVolume[]
  /** Segments of which nothing can be read: not to be used, since they may hold the end of any log. */
  readonly unreadable: readonly number[]
}

export interface ImageOptions {
  readonly storage: Storage
  readonly memory: AlignedMemory
  readonly superblock: StoreSuperblock
  /** Called for each good batch of each volume, in order. */
  readonly onBatch?: (slot: VolumeSlot, ...batch: Parameters<StoredBatchVisitor>) => void
}

/** Rejects with IoError where the volume table cannot be read; a log that cannot be read is lost, and says so. */
export async function readStoreImage(options: ImageOptions): Promise<StoreImage> {
  const { storage, memory, superblock } = options
  const slots = await readSlots(storage, memory, superblock)
  const known = slots.flatMap(({ content }) => (content?.kind === 'volume' ? [content] : []))
  const scan = new SegmentScan({ storage, memory, superblock, slots: known })
  await scan.run()
  const volumes: ImageVolume[] = []
  const window = known.some((slot) => slot.log !== null) ? new ReadWindow(storage, memory, superblock) : null
  for (const { content: slot, worseCopy } of slots) {
    if (slot?.kind !== 'volume') continue
    const { log } = slot
    const found = log === null ? undefined : scan.logs.get(log.logId)
    if (log === null || found === undefined || window === null) {
      volumes.push({ slot, worseCopy, recovered: null })
      continue
    }
    const onBatch: StoredBatchVisitor = (...batch) => options.onBatch?.(slot, ...batch)
    const recovery = new LogRecovery({
      geometry: superblock,
      window,
      slot,
      log,
      found,
      unreadable: scan.unreadable[0],
      onBatch,
    })
    volumes.push({ slot, worseCopy, recovered: await recovery.recover() })
  }
  return { slots, volumes, unreadable: scan.unreadable }
}
