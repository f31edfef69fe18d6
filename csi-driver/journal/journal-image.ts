// A journal as it lies on its storage, read without writing: for `forebay inspect` and `forebay verify`. Batches are
// summaries without their records; records are shown while the log is read (dump.ts).
import type { BatchSeq, Bytes, Epoch, Ms, Run, Seq } from '../../base/units.ts'
import type { BatchView } from '../batch/batch-view.ts'
import type { AlignedMemory, Storage } from '../io/storage.ts'
import { LogRecovery, type RecoveryReport } from './recovery.ts'
import type { Superblock } from './superblock.ts'
import { newestSuperblock, readSlots, type SlotContent } from './superblock-store.ts'

export interface BatchSummary {
  readonly position: Bytes
  readonly frameBytes: Bytes
  readonly payloadBytes: Bytes
  readonly volumeUuid: string
  readonly logUuid: string
  readonly epoch: Epoch
  readonly run: Run
  readonly batchSeq: BatchSeq
  readonly firstSeq: Seq
  readonly count: number
  readonly ackedSeq: Seq
  readonly trimSeq: Seq
  readonly previousHash: bigint
  readonly headerHash: bigint
  readonly wallMs: Ms
  readonly session: bigint
}

export interface JournalImage {
  readonly slots: readonly SlotContent[]
  /** The superblock that counts; null when no slot is valid, then nothing else is known. */
  readonly superblock: Superblock | null
  readonly batches: readonly BatchSummary[]
  readonly report: RecoveryReport | null
}

export function summarize(view: BatchView, position: Bytes): BatchSummary {
  const { frameBytes, payloadBytes, volumeUuid, logUuid, epoch, run, batchSeq, firstSeq, count } = view
  const { ackedSeq, trimSeq, previousHash, headerHash, wallMs, session } = view
  return {
    position,
    frameBytes,
    payloadBytes,
    volumeUuid,
    logUuid,
    epoch,
    run,
    batchSeq,
    firstSeq,
    count,
    ackedSeq,
    trimSeq,
    previousHash,
    headerHash,
    wallMs,
    session,
  }
}

/**
 * Reads slots and log. Damage ends the log and stands in the report (`lost`), it does not throw; an unreadable storage
 * rejects with IoError. `onBatch` sees each batch with its records.
 */
export async function readJournalImage(options: {
  storage: Storage
  memory: AlignedMemory
  onSlots?: (slots: readonly SlotContent[]) => void
  onBatch?: (view: BatchView, position: Bytes) => void
}): Promise<JournalImage> {
  const { storage, memory } = options
  const slots = await readSlots(storage, memory)
  options.onSlots?.(slots)
  const superblock = newestSuperblock(slots)
  if (superblock === null || superblock.geometry.cacheBytes > storage.sizeBytes) {
    return { slots, superblock, batches: [], report: null }
  }
  const batches: BatchSummary[] = []
  const recovery = new LogRecovery({
    storage,
    memory,
    superblock,
    acceptDataLoss: true,
    onBatch(view, _payloadPosition, position) {
      batches.push(summarize(view, position))
      options.onBatch?.(view, position)
    },
  })
  const report = await recovery.recover()
  return { slots, superblock, batches, report }
}
