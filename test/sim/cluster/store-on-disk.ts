// The log in a peer's replica store, as it stands on the disk: superblocks, the volume's slot in two copies, and batches
// in segments, each an envelope (docs/formats/replica-store.md). The simulator has one volume, hence one slot that counts.
import { BatchView, PAYLOAD_OK } from '../../../csi-driver/batch/batch-view.ts'
import { readStoredHeader } from '../../../csi-driver/replica/store/segment-format.ts'
import {
  segmentsStart,
  slotPosition,
  STORED_HEADER_BYTES,
  storedBytesFor,
  VOLUME_SLOT_COPIES,
} from '../../../csi-driver/replica/store/store-geometry.ts'
import {
  decodeStoreSuperblock,
  STORE_SUPERBLOCK_POSITIONS,
  type StoreSuperblock,
} from '../../../csi-driver/replica/store/store-superblock.ts'
import { decodeSlot, type VolumeSlot } from '../../../csi-driver/replica/store/volume-slot.ts'
import { restoreFrame } from '../../../csi-driver/replica/wire/envelope.ts'
import { EnvelopeView } from '../../../csi-driver/replica/wire/envelope-view.ts'
import type { SimulatedDisk } from '../disk.ts'
import { type FoundBatch, type LogHead, LogOnDisk, recordsOf } from './log-on-disk.ts'

interface StoredBatch extends FoundBatch {
  readonly logId: bigint
  readonly slotGeneration: number
}

export class StoreOnDisk extends LogOnDisk {
  private superblock: StoreSuperblock | null = null
  private slot: VolumeSlot | null = null
  private readonly scratch: Buffer
  private readonly envelope = new EnvelopeView()
  private readonly view = new BatchView()

  /** `frameBytesMax`: of the owner's log. */
  constructor(disk: SimulatedDisk, sectors: number, frameBytesMax: number) {
    super(disk, sectors)
    this.scratch = Buffer.from(new ArrayBuffer(frameBytesMax))
  }

  protected readHead(position: number): LogHead | null | 'elsewhere' {
    if (this.superblock !== null && position >= segmentsStart(this.superblock)) return 'elsewhere'
    const { visible } = this.disk
    let superblock: StoreSuperblock | null = null
    for (const at of STORE_SUPERBLOCK_POSITIONS) {
      const one = decodeStoreSuperblock(visible, at)
      if (one !== null && one.generation > (superblock?.generation ?? 0)) superblock = one
    }
    this.superblock = superblock
    this.slot = superblock === null ? null : newestSlot(visible, superblock)
    return superblock === null || this.slot === null ? null : headOf(superblock, this.slot)
  }

  protected forgetHead(): void {
    this.superblock = null
    this.slot = null
  }

  protected readBatch(position: number): StoredBatch | null {
    const { visible } = this.disk
    const header = readStoredHeader(visible, position)
    if (header === null || position + storedBytesFor(header.bodyBytes) > visible.length) return null
    const { envelope, view, scratch } = this
    if (envelope.read(visible, position + STORED_HEADER_BYTES, header.bodyBytes) !== 'ok') return null
    const length = restoreFrame(envelope, scratch)
    if (length === null || view.parse(scratch, 0, length) !== 'ok' || view.checkPayload() !== PAYLOAD_OK) return null
    const { batchSeq, previousHash, headerHash } = view
    const { logId, slotGeneration } = header
    const bytes = storedBytesFor(header.bodyBytes)
    return { position, bytes, batchSeq, previousHash, headerHash, logId, slotGeneration, records: recordsOf(view) }
  }

  /** Of another log, or behind a cut, it is void. */
  protected counts({ logId, batchSeq, slotGeneration }: StoredBatch): boolean {
    const log = this.slot?.log ?? null
    if (log === null || logId !== log.logId) return false
    return batchSeq < log.cutBatchSeq || slotGeneration >= log.cutGeneration
  }
}

function newestSlot(visible: Buffer, superblock: StoreSuperblock): VolumeSlot | null {
  const { storeUuid, slotCount } = superblock
  let newest: VolumeSlot | null = null
  for (let index = 0; index < slotCount; index++) {
    for (let copy = 0; copy < VOLUME_SLOT_COPIES; copy++) {
      const slot = decodeSlot(visible, slotPosition(superblock, index, copy), { storeUuid, copy, index })
      if (slot?.kind === 'volume' && slot.generation > (newest?.generation ?? 0)) newest = slot
    }
  }
  return newest
}

function headOf({ storeUuid }: StoreSuperblock, { incarnation, log }: VolumeSlot): LogHead {
  return {
    storeUuid,
    incarnation,
    log:
      log === null
        ? null
        : {
            logUuid: log.lineage.at(-1)?.logUuid ?? '',
            pending: log.pending,
            tailBatchSeq: log.tail.batchSeq,
            tailPreviousHash: log.tail.previousHash,
          },
  }
}
