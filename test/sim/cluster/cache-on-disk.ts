// The log in an engine's own cache, as it stands on the disk: superblocks, and a ring of frames (docs/formats/journal.md).
import { getU53, viewOf } from '../../../base/bytes.ts'
import { BatchView, PAYLOAD_OK } from '../../../csi-driver/batch/batch-view.ts'
import { isInLineage } from '../../../csi-driver/journal/lineage.ts'
import {
  decodeSuperblock,
  hasSuperblockMagic,
  LINEAGE_LAYOUT,
  type LineageEntry,
  SUPERBLOCK_AREA_BYTES,
  SUPERBLOCK_BYTES,
  SUPERBLOCK_LAYOUT,
} from '../../../csi-driver/journal/superblock.ts'
import type { SimulatedDisk } from '../disk.ts'
import { type FoundBatch, type LogHead, LogOnDisk, recordsOf } from './log-on-disk.ts'

interface CachedBatch extends FoundBatch {
  readonly epoch: number
  readonly run: number
  readonly logUuid: string
}

/** What of a superblock the log depends on. */
interface Superblock {
  readonly generation: number
  readonly epoch: number
  readonly run: number
  readonly runFirstBatchSeq: number
  readonly lineage: readonly LineageEntry[]
  readonly head: LogHead
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

  protected readHead(position: number, length: number, data: Buffer | null): LogHead | null | 'elsewhere' {
    if (position >= SUPERBLOCK_AREA_BYTES) return 'elsewhere'
    const { visible } = this.disk
    const first = Math.floor(position / SUPERBLOCK_BYTES) * SUPERBLOCK_BYTES
    for (let at = first; at < position + length && at < SUPERBLOCK_AREA_BYTES; at += SUPERBLOCK_BYTES) {
      // What was written whole is valid as its writer made it; what was torn is what its checksum says.
      const isWhole = data !== null && data.compare(visible, position, position + length) === 0
      const isValid = isWhole ? hasSuperblockMagic(visible, at) : decodeSuperblock(visible, at) !== null
      if (isValid) this.superblocks.set(at, readSuperblock(visible, at))
      else this.superblocks.delete(at)
    }
    let newest: Superblock | null = null
    for (const one of this.superblocks.values()) if (one.generation > (newest?.generation ?? 0)) newest = one
    this.superblock = newest
    return newest === null ? null : newest.head
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

const S = SUPERBLOCK_LAYOUT.offsets

function readSuperblock(buffer: Buffer, start: number): Superblock {
  const number = (at: number): number => getU53(viewOf(buffer), start + at)
  const hash = (at: number): bigint => buffer.readBigUInt64LE(start + at)
  const uuid = (at: number): string => buffer.toString('hex', start + at, start + at + 16)
  const name = (at: number): LineageEntry => ({
    logUuid: uuid(at),
    firstBatchSeq: number(at + LINEAGE_LAYOUT.offsets.firstBatchSeq),
  })
  const count = buffer.readUInt8(start + S.lineageCount)
  const lineage = Array.from({ length: count }, (_, index) => name(S.lineage + index * LINEAGE_LAYOUT.size))
  const hasPending = buffer.readUInt8(start + S.pendingCount) > 0
  return {
    generation: number(S.generation),
    epoch: number(S.epoch),
    run: number(S.run),
    runFirstBatchSeq: number(S.runFirstBatchSeq),
    lineage,
    head: {
      storeUuid: uuid(S.storeUuid),
      incarnation: number(S.incarnation),
      log: {
        logUuid: lineage.at(-1)?.logUuid ?? '',
        pending: hasPending ? name(S.pendingLineage) : null,
        tailBatchSeq: number(S.tailBatchSeq),
        tailPreviousHash: hash(S.tailPreviousHash),
      },
    },
  }
}
