// The log in an engine's own cache, as it stands on the disk: superblocks, and a ring of frames (docs/formats/journal.md).
import { BatchView, PAYLOAD_OK } from '../../../csi-driver/batch/batch-view.ts'
import { isInLineage } from '../../../csi-driver/journal/lineage.ts'
import {
  decodeSuperblock,
  type Superblock,
  SUPERBLOCK_AREA_BYTES,
  SUPERBLOCK_BYTES,
} from '../../../csi-driver/journal/superblock.ts'
import type { SimulatedDisk } from '../disk.ts'
import { type FoundBatch, type LogHead, LogOnDisk, recordsOf } from './log-on-disk.ts'

interface CachedBatch extends FoundBatch {
  readonly epoch: number
  readonly run: number
  readonly logUuid: string
}

export class CacheOnDisk extends LogOnDisk {
  private readonly superblocks = new Map<number, Superblock>()
  private superblock: Superblock | null = null
  private readonly logEnd: number
  private readonly view = new BatchView()

  constructor(disk: SimulatedDisk, sectors: number, logEnd: number) {
    super(disk, sectors)
    this.logEnd = logEnd
  }

  protected readHead(position: number, length: number): LogHead | null | 'elsewhere' {
    if (position >= SUPERBLOCK_AREA_BYTES) return 'elsewhere'
    const first = Math.floor(position / SUPERBLOCK_BYTES) * SUPERBLOCK_BYTES
    for (let at = first; at < position + length && at < SUPERBLOCK_AREA_BYTES; at += SUPERBLOCK_BYTES) {
      const decoded = decodeSuperblock(this.disk.visible, at)
      if (decoded === null) this.superblocks.delete(at)
      else this.superblocks.set(at, decoded)
    }
    let newest: Superblock | null = null
    for (const one of this.superblocks.values()) if (one.generation > (newest?.generation ?? 0)) newest = one
    this.superblock = newest
    return newest === null ? null : headOf(newest)
  }

  protected forgetHead(): void {
    this.superblocks.clear()
    this.superblock = null
  }

  protected readBatch(position: number): CachedBatch | null {
    const { view, disk } = this
    if (position >= this.logEnd) return null
    if (view.parse(disk.visible, position, this.logEnd - position) !== 'ok') return null
    if (!view.isWhole || view.checkPayload() !== PAYLOAD_OK) return null
    const { batchSeq, previousHash, headerHash, epoch, run, logUuid, frameBytes: bytes } = view
    return { position, bytes, batchSeq, previousHash, headerHash, epoch, run, logUuid, records: recordsOf(view) }
  }

  /** A leftover under a number that a later run has used again is void (docs/formats/journal.md). */
  protected counts(batch: CachedBatch): boolean {
    const { superblock } = this
    if (superblock === null || !isInLineage(superblock.lineage, batch.batchSeq, batch.logUuid)) return false
    if (batch.batchSeq < superblock.runFirstBatchSeq) return true
    if (batch.epoch !== superblock.epoch) return batch.epoch > superblock.epoch
    return batch.run >= superblock.run
  }
}

function headOf({ storeUuid, incarnation, lineage, pendingLineage, tail }: Superblock): LogHead {
  return {
    storeUuid,
    incarnation,
    log: {
      logUuid: lineage.at(-1)?.logUuid ?? '',
      pending: pendingLineage,
      tailBatchSeq: tail.batchSeq,
      tailPreviousHash: tail.previousHash,
    },
  }
}
