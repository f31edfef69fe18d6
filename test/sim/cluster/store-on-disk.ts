// The log in a peer's replica store, as it stands on the disk: superblocks, the volume's slot in two copies, and batches
// in segments, each an envelope (docs/formats/replica-store.md). The simulator has one volume, hence one slot that counts.
import { BatchView, PAYLOAD_OK } from '../../../csi-driver/batch/batch-view.ts'
import { nameAt } from '../../../csi-driver/protocol/store-table.ts'
import { NO_LOG_UUID } from '../../../csi-driver/register/record.ts'
import { decompressPayload } from '../../../csi-driver/replica/replicator/payloads.ts'
import { readStoredHeader } from '../../../csi-driver/replica/store/segment-format.ts'
import {
  segmentsStart,
  STORE_SUPERBLOCK_AREA_BYTES,
  STORED_HEADER_BYTES,
  storedBytesFor,
  VOLUME_SLOT_BYTES,
  VOLUME_SLOT_COPIES,
} from '../../../csi-driver/replica/store/store-geometry.ts'
import {
  decodeStoreSuperblock,
  STORE_SUPERBLOCK_POSITIONS,
  type StoreSuperblock,
} from '../../../csi-driver/replica/store/store-superblock.ts'
import { decodeSlot, type VolumeSlot } from '../../../csi-driver/replica/store/volume-slot.ts'
import { CODEC_RAW, restoreFrame } from '../../../csi-driver/replica/wire/envelope.ts'
import { EnvelopeView } from '../../../csi-driver/replica/wire/envelope-view.ts'
import type { SimulatedDisk } from '../disk.ts'
import { type FoundBatch, type LogHead, LogOnDisk, recordsOf } from './log-on-disk.ts'

interface StoredBatch extends FoundBatch {
  readonly logId: bigint
  readonly slotGeneration: number
  readonly logUuid: string
}

export class StoreOnDisk extends LogOnDisk {
  /** Batches that came compressed, for the summary. */
  compressed = 0
  private readonly superblocks = new Map<number, StoreSuperblock>()
  private readonly slots = new Map<number, VolumeSlot>()
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

  protected readHead(position: number, length: number): LogHead | null | 'elsewhere' {
    if (this.superblock !== null && position >= segmentsStart(this.superblock)) return 'elsewhere'
    for (const at of STORE_SUPERBLOCK_POSITIONS) if (at >= position && at < position + length) this.readSuperblock(at)
    if (this.superblock === null) return null
    for (let at = position; at < position + length; at += VOLUME_SLOT_BYTES) this.readSlot(at, this.superblock)
    let newest: VolumeSlot | null = null
    for (const one of this.slots.values()) if (one.generation > (newest?.generation ?? 0)) newest = one
    this.slot = newest
    return newest === null ? null : headOf(this.superblock, newest)
  }

  protected forgetHead(): void {
    this.superblocks.clear()
    this.slots.clear()
    this.superblock = null
    this.slot = null
  }

  private readSuperblock(at: number): void {
    const one = decodeStoreSuperblock(this.disk.visible, at)
    if (one === null) this.superblocks.delete(at)
    else this.superblocks.set(at, one)
    let newest: StoreSuperblock | null = null
    for (const each of this.superblocks.values()) if (each.generation > (newest?.generation ?? 0)) newest = each
    this.superblock = newest
  }

  private readSlot(at: number, { storeUuid, slotCount }: StoreSuperblock): void {
    const number = (at - STORE_SUPERBLOCK_AREA_BYTES) / VOLUME_SLOT_BYTES
    if (number < 0 || number >= VOLUME_SLOT_COPIES * slotCount) return
    const place = { storeUuid, copy: Math.floor(number / slotCount), index: number % slotCount }
    const slot = decodeSlot(this.disk.visible, at, place)
    if (slot?.kind === 'volume') this.slots.set(at, slot)
    else this.slots.delete(at)
  }

  protected readBatch(position: number): StoredBatch | null {
    const { visible } = this.disk
    const header = readStoredHeader(visible, position)
    if (header === null || position + storedBytesFor(header.bodyBytes) > visible.length) return null
    const { envelope, view, scratch } = this
    if (envelope.read(visible, position + STORED_HEADER_BYTES, header.bodyBytes) !== 'ok') return null
    const length = restoreFrame(envelope, scratch, decompressPayload)
    if (length === null || view.parse(scratch, 0, length) !== 'ok' || view.checkPayload() !== PAYLOAD_OK) return null
    if (envelope.codec !== CODEC_RAW) this.compressed++
    const { batchSeq, previousHash, headerHash, logUuid } = view
    const { logId, slotGeneration } = header
    const bytes = storedBytesFor(header.bodyBytes)
    const place = { position, bytes, logId, slotGeneration }
    return { ...place, batchSeq, previousHash, headerHash, logUuid, records: recordsOf(view) }
  }

  /** Of another log, or behind a cut, it is void; one that an earlier promotion dropped has not the name for its place. */
  protected counts({ logId, batchSeq, slotGeneration, logUuid }: StoredBatch): boolean {
    const log = this.slot?.log ?? null
    if (log === null || logId !== log.logId) return false
    const name = nameAt(log.lineage, batchSeq)
    if (name !== logUuid && name !== NO_LOG_UUID && log.pending?.logUuid !== logUuid) return false
    return batchSeq < log.cutBatchSeq || slotGeneration >= log.cutGeneration
  }
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
