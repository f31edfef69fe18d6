// Reads a batch frame in place, whoever wrote it: our own log, a peer, a damaged disk. Nothing in it is believed before
// it was checked: `parse` checks the header and every descriptor (ranges, packing, zero padding), `checkPayload` the
// data. After parse answered 'ok' the getters return values in their documented ranges; before, they mean nothing.
// One view is re-used for many frames: it holds no copy, and it is void once the buffer is re-used.
// Format: batch-format.ts, docs/formats/batch.md.
import { assert } from '../../base/assert.ts'
import { getU48, getU53, isZero, viewOf } from '../../base/bytes.ts'
import type { BatchSeq, Bytes, Epoch, Ms, Run, Sectors, Seq } from '../../base/units.ts'
import { SECTOR_BYTES } from '../../base/units.ts'
import { xxhash64 } from '../../base/xxhash64.ts'
import {
  BATCH_DESCRIPTOR,
  BATCH_HEADER,
  BATCH_MAGIC,
  BATCH_PAYLOAD_BYTES_MAX,
  BATCH_RECORDS_MAX,
  BATCH_VERSION,
  DESCRIPTOR_BYTES,
  FLAG_MAY_UNMAP,
  frameBytesFor,
  HEADER_BLOCK_BYTES,
  HEADER_BLOCKS_MAX,
  HEADER_BYTES,
  headerBlocksFor,
  LOG_NUMBER_LIMIT,
  OP_WRITE,
  OP_ZERO,
  RECORD_PAYLOAD_BYTES_MAX,
  SECTOR_LIMIT,
} from './batch-format.ts'

/** Why the bytes are no batch header. Up to 'hash' they may be anything; after it we wrote them, but wrongly. */
export type BatchProblem =
  /** Fewer bytes than the header needs. */
  | 'short'
  | 'magic'
  /** A batch of a format that this build does not know, or noise. */
  | 'version'
  | 'blocks'
  | 'hash'
  /** A field of the fixed part is out of range. */
  | 'fields'
  /** A descriptor is out of range, overlaps, or leaves a gap. */
  | 'descriptor'
  | 'padding'

/** What checkPayload answers when all is well. */
export const PAYLOAD_OK = -1

const H = BATCH_HEADER.offsets
const D = BATCH_DESCRIPTOR.offsets

export class BatchView {
  /** As given to parse. */
  buffer: Buffer = Buffer.alloc(0)
  start = 0
  private length: Bytes = 0
  private view: DataView = viewOf(this.buffer)

  /**
   * Looks at buffer[start, start+length) and checks the header that should begin there; the payload may be missing.
   * While it runs it clears and restores the header hash in place, so the buffer must be writable.
   */
  parse(buffer: Buffer, start: number, length: Bytes): 'ok' | BatchProblem {
    assert(start >= 0 && length >= 0 && start + length <= buffer.length, `range inside buffer start=${start}`)
    if (buffer !== this.buffer) {
      this.buffer = buffer
      this.view = viewOf(buffer)
    }
    this.start = start
    this.length = length
    return this.checkFrame() ?? this.checkSizes() ?? this.checkNumbers() ?? this.checkDescriptors() ?? 'ok'
  }

  get headerBlocks(): number {
    return this.view.getUint16(this.start + H.headerBlocks, true)
  }
  get count(): number {
    return this.view.getUint16(this.start + H.count, true)
  }
  get epoch(): Epoch {
    return getU53(this.view, this.start + H.epoch)
  }
  get run(): Run {
    return this.view.getUint32(this.start + H.run, true)
  }
  get batchSeq(): BatchSeq {
    return getU53(this.view, this.start + H.batchSeq)
  }
  get firstSeq(): Seq {
    return getU53(this.view, this.start + H.firstSeq)
  }
  /** Seq of the last record; firstSeq - 1 when the batch is empty. */
  get lastSeq(): Seq {
    return this.firstSeq + this.count - 1
  }
  get ackedSeq(): Seq {
    return getU53(this.view, this.start + H.ackedSeq)
  }
  get trimSeq(): Seq {
    return getU53(this.view, this.start + H.trimSeq)
  }
  get payloadBytes(): Bytes {
    return this.view.getUint32(this.start + H.payloadBytes, true)
  }
  get previousHash(): bigint {
    return this.view.getBigUint64(this.start + H.previousHash, true)
  }
  get headerHash(): bigint {
    return this.view.getBigUint64(this.start + H.headerHash, true)
  }
  get wallMs(): Ms {
    return getU53(this.view, this.start + H.wallMs)
  }
  get session(): bigint {
    return this.view.getBigUint64(this.start + H.session, true)
  }
  /** Header and payload with padding: what the batch takes in the log. */
  get frameBytes(): Bytes {
    return frameBytesFor(this.count, this.payloadBytes)
  }
  /** Where the payload begins, in bytes from the start of the frame. */
  get payloadOffset(): Bytes {
    return this.headerBlocks * HEADER_BLOCK_BYTES
  }
  /** Whether the bytes given to parse hold the whole frame. */
  get isWhole(): boolean {
    return this.frameBytes <= this.length
  }
  /** 32 hexadecimal digits. */
  get volumeUuid(): string {
    return this.buffer.toString('hex', this.start + H.volumeUuid, this.start + H.volumeUuid + 16)
  }
  /** 32 hexadecimal digits. */
  get logUuid(): string {
    return this.buffer.toString('hex', this.start + H.logUuid, this.start + H.logUuid + 16)
  }

  op(index: number): number {
    return this.view.getUint8(this.descriptor(index) + D.op)
  }
  flags(index: number): number {
    return this.view.getUint8(this.descriptor(index) + D.flags)
  }
  mayUnmap(index: number): boolean {
    return this.flags(index) === FLAG_MAY_UNMAP
  }
  sector(index: number): Sectors {
    return getU48(this.view, this.descriptor(index) + D.sector)
  }
  sectors(index: number): Sectors {
    return this.view.getUint32(this.descriptor(index) + D.sectors, true)
  }
  /** In sectors from the start of the payload. */
  payloadStart(index: number): Sectors {
    return this.view.getUint32(this.descriptor(index) + D.payloadStart, true)
  }
  /** Where the data of a WRITE begins in `buffer`. */
  dataStart(index: number): number {
    return this.start + this.payloadOffset + this.payloadStart(index) * SECTOR_BYTES
  }
  dataHash(index: number): bigint {
    return this.view.getBigUint64(this.descriptor(index) + D.dataHash, true)
  }
  /** Its low 32 bits, which are the low 32 bits of xxHash64 of the data. */
  dataHashLow(index: number): number {
    return this.view.getUint32(this.descriptor(index) + D.dataHash, true)
  }
  uniqueLow(index: number): number {
    return this.view.getUint32(this.descriptor(index) + D.unique, true)
  }
  uniqueHigh(index: number): number {
    return this.view.getUint32(this.descriptor(index) + D.unique + 4, true)
  }

  /** Whether the data of record `index` is what its descriptor says. The frame must be whole. */
  verifyData(index: number): boolean {
    assert(this.isWhole, 'the whole frame is in memory')
    if (this.op(index) === OP_ZERO) return true
    const at = this.dataStart(index)
    return xxhash64(this.buffer, at, at + this.sectors(index) * SECTOR_BYTES) === this.dataHash(index)
  }

  /** PAYLOAD_OK, or the first damaged record, or `count` when the padding is damaged. The frame must be whole. */
  checkPayload(): number {
    const count = this.count
    for (let index = 0; index < count; index++) if (!this.verifyData(index)) return index
    const end = this.start + this.payloadOffset + this.payloadBytes
    return isZero(this.buffer, end, this.start + this.frameBytes) ? PAYLOAD_OK : count
  }

  private descriptor(index: number): number {
    return this.start + HEADER_BYTES + index * DESCRIPTOR_BYTES
  }

  private checkFrame(): BatchProblem | null {
    const { view, start } = this
    if (this.length < HEADER_BLOCK_BYTES) return 'short'
    if (view.getUint32(start + H.magic, true) !== BATCH_MAGIC) return 'magic'
    if (view.getUint16(start + H.version, true) !== BATCH_VERSION) return 'version'
    const blocks = this.headerBlocks
    if (blocks < 1 || blocks > HEADER_BLOCKS_MAX) return 'blocks'
    if (this.length < blocks * HEADER_BLOCK_BYTES) return 'short'
    const found = this.headerHash
    view.setBigUint64(start + H.headerHash, 0n, true)
    const expected = xxhash64(this.buffer, start, start + blocks * HEADER_BLOCK_BYTES)
    view.setBigUint64(start + H.headerHash, found, true)
    return found === expected ? null : 'hash'
  }

  private checkSizes(): BatchProblem | null {
    const { view, start, count, payloadBytes } = this
    if (count > BATCH_RECORDS_MAX || headerBlocksFor(count) !== this.headerBlocks) return 'fields'
    if (payloadBytes > BATCH_PAYLOAD_BYTES_MAX || payloadBytes % SECTOR_BYTES !== 0) return 'fields'
    return view.getUint16(start + H.flags, true) === 0 && view.getUint32(start + H.reserved, true) === 0
      ? null
      : 'fields'
  }

  private checkNumbers(): BatchProblem | null {
    const { count, firstSeq, batchSeq, epoch } = this
    // Comparisons with NaN (a 64-bit field of 2^53 or more) are false, hence the positive form.
    if (!(epoch < LOG_NUMBER_LIMIT && this.wallMs < LOG_NUMBER_LIMIT && batchSeq >= 1 && firstSeq >= 1)) return 'fields'
    if (!(this.ackedSeq < firstSeq && this.trimSeq < firstSeq)) return 'fields'
    return batchSeq < LOG_NUMBER_LIMIT && firstSeq + count <= LOG_NUMBER_LIMIT ? null : 'fields'
  }

  private checkDescriptors(): BatchProblem | null {
    const count = this.count
    let packed = 0
    for (let index = 0; index < count; index++) {
      if (this.payloadStart(index) !== packed || !this.isLegalRecord(index)) return 'descriptor'
      if (this.op(index) === OP_WRITE) packed += this.sectors(index)
    }
    if (packed * SECTOR_BYTES !== this.payloadBytes) return 'descriptor'
    return isZero(this.buffer, this.descriptor(count), this.start + this.payloadOffset) ? null : 'padding'
  }

  private isLegalRecord(index: number): boolean {
    const sectors = this.sectors(index)
    if (sectors === 0 || this.sector(index) + sectors >= SECTOR_LIMIT) return false
    if (this.op(index) === OP_ZERO) return this.flags(index) <= FLAG_MAY_UNMAP && this.dataHash(index) === 0n
    return this.op(index) === OP_WRITE && this.flags(index) === 0 && sectors * SECTOR_BYTES <= RECORD_PAYLOAD_BYTES_MAX
  }
}
