// Collects the records of one group commit in a fixed, page-aligned buffer and seals them into a frame that is written
// from where it stands (format: batch-format.ts, docs/formats/batch.md).
//
//   0            4096          8192 = PAYLOAD_OFFSET
//   │ (header 1)  │ header       │ payload, grows to the right …
//
// Up to 124 records the header is one block and stands at 4096; with record 125 it moves to 0 and takes both blocks.
// Between reset and seal everything behind the records' bytes in the header blocks is zero. The hot path copies and
// hashes, nothing else; the hash is taken of the copy, so a caller that changes its buffer meanwhile harms nobody.
import { assert } from '../../base/assert.ts'
import { setU48, setU53, viewOf } from '../../base/bytes.ts'
import type { BatchSeq, Bytes, Epoch, Ms, Run, Sectors, Seq } from '../../base/units.ts'
import { BLOCK_BYTES, roundUp, SECTOR_BYTES } from '../../base/units.ts'
import { xxhash64 } from '../../base/xxhash64.ts'
import type { AlignedMemory } from '../io/storage.ts'
import {
  BATCH_DESCRIPTOR,
  BATCH_HEADER,
  BATCH_MAGIC,
  BATCH_PAYLOAD_BYTES_MAX,
  BATCH_RECORDS_MAX,
  BATCH_VERSION,
  DESCRIPTOR_BYTES,
  DESCRIPTORS_IN_ONE_BLOCK,
  FLAG_MAY_UNMAP,
  frameBytesFor,
  frameBytesMaxFor,
  HEADER_BLOCK_BYTES,
  HEADER_BYTES,
  headerBlocksFor,
  OP_WRITE,
  OP_ZERO,
  PAYLOAD_OFFSET,
  RECORD_PAYLOAD_BYTES_MAX,
  SECTOR_LIMIT,
} from './batch-format.ts'

/** A write to add. The caller keeps one such object and refills it. */
export interface WriteRecord {
  sector: Sectors
  /** Data at buffer[start, start+length); length is a multiple of 512, at most RECORD_PAYLOAD_BYTES_MAX. */
  buffer: Buffer
  start: number
  length: Bytes
  /** Name of the request in its session, two 32-bit halves. */
  uniqueLow: number
  uniqueHigh: number
}

/** A range that reads back as zeros. */
export interface ZeroRecord {
  sector: Sectors
  /** 1 … 2^32-1. */
  sectors: Sectors
  mayUnmap: boolean
  uniqueLow: number
  uniqueHigh: number
}

/** What the log adds to the records. */
export interface SealFields {
  /** 16 bytes each. */
  volumeUuid: Buffer
  logUuid: Buffer
  epoch: Epoch
  run: Run
  batchSeq: BatchSeq
  firstSeq: Seq
  ackedSeq: Seq
  trimSeq: Seq
  previousHash: bigint
  wallMs: Ms
  session: bigint
}

export interface BatchLimits {
  readonly recordsMax: number
  readonly payloadBytesMax: Bytes
}

const DEFAULT_LIMITS: BatchLimits = { recordsMax: BATCH_RECORDS_MAX, payloadBytesMax: BATCH_PAYLOAD_BYTES_MAX }

const H = BATCH_HEADER.offsets
const D = BATCH_DESCRIPTOR.offsets

export class BatchBuilder {
  /** Page-aligned; the frame is buffer[frameStart, frameStart+frameBytes), the payload begins at PAYLOAD_OFFSET. */
  readonly buffer: Buffer
  readonly recordsMax: number
  readonly payloadBytesMax: Bytes
  private readonly view: DataView
  private records = 0
  private payload: Bytes = 0
  private sealed = false
  private headerStart = HEADER_BLOCK_BYTES

  /** Smaller `limits` are for tests; larger ones than the format's are refused. */
  constructor(memory: AlignedMemory, limits: BatchLimits = DEFAULT_LIMITS) {
    assert(limits.recordsMax >= 1 && limits.recordsMax <= BATCH_RECORDS_MAX, `recordsMax=${limits.recordsMax}`)
    assert(limits.payloadBytesMax <= BATCH_PAYLOAD_BYTES_MAX, `payloadBytesMax=${limits.payloadBytesMax}`)
    this.recordsMax = limits.recordsMax
    this.payloadBytesMax = limits.payloadBytesMax
    this.buffer = memory.allocate(frameBytesMaxFor(limits.payloadBytesMax))
    this.view = viewOf(this.buffer)
    this.buffer.fill(0, 0, PAYLOAD_OFFSET)
  }

  /** Records so far. */
  get count(): number {
    return this.records
  }

  /** Data so far, without padding. */
  get payloadBytes(): Bytes {
    return this.payload
  }

  /** Length of the frame as it would be, or after seal as it is. */
  get frameBytes(): Bytes {
    return frameBytesFor(this.records, this.payload)
  }

  /** Data with the padding to 4096: what stands behind the header. */
  get paddedPayloadBytes(): Bytes {
    return roundUp(this.payload, BLOCK_BYTES)
  }

  /** Where the frame begins in `buffer`: 4096, or 0 with more than 124 records. */
  get frameStart(): number {
    return this.headerStart
  }

  get isSealed(): boolean {
    return this.sealed
  }

  /** Whether one more record with so much data fits (0 for a ZERO). */
  hasRoom(payloadBytes: Bytes): boolean {
    return this.records < this.recordsMax && this.payload + payloadBytes <= this.payloadBytesMax
  }

  /** Copies and hashes the data. Returns where it stands in the payload, in bytes. Asserts that there is room. */
  addWrite(record: WriteRecord): Bytes {
    const length = record.length
    const payloadStart = this.payload
    assert(!this.sealed && this.hasRoom(length), 'batch is open and has room')
    assert(length > 0 && length % SECTOR_BYTES === 0 && length <= RECORD_PAYLOAD_BYTES_MAX, `length=${length}`)
    const at = PAYLOAD_OFFSET + payloadStart
    const copied = record.buffer.copy(this.buffer, at, record.start, record.start + length)
    assert(copied === length, 'source range is inside its buffer')
    const descriptor = this.describe(record.sector, length / SECTOR_BYTES)
    this.view.setUint8(descriptor + D.op, OP_WRITE)
    this.view.setUint32(descriptor + D.payloadStart, payloadStart / SECTOR_BYTES, true)
    this.view.setBigUint64(descriptor + D.dataHash, xxhash64(this.buffer, at, at + length), true)
    this.view.setUint32(descriptor + D.unique, record.uniqueLow, true)
    this.view.setUint32(descriptor + D.unique + 4, record.uniqueHigh, true)
    this.payload = payloadStart + length
    return payloadStart
  }

  /** The low 32 bits of the data hash of record `index`; it stays until reset. */
  dataHashLow(index: number): number {
    assert(index < this.records, `record exists index=${index}`)
    return this.view.getUint32(this.descriptor(index) + D.dataHash, true)
  }

  /** Adds a range that reads back as zeros; it has no data. Asserts that there is room. */
  addZero(record: ZeroRecord): void {
    assert(!this.sealed && this.hasRoom(0), 'batch is open and has room')
    const descriptor = this.describe(record.sector, record.sectors)
    this.view.setUint8(descriptor + D.op, OP_ZERO)
    this.view.setUint8(descriptor + D.flags, record.mayUnmap ? FLAG_MAY_UNMAP : 0)
    this.view.setUint32(descriptor + D.payloadStart, this.payload / SECTOR_BYTES, true)
    this.view.setUint32(descriptor + D.unique, record.uniqueLow, true)
    this.view.setUint32(descriptor + D.unique + 4, record.uniqueHigh, true)
  }

  /** Completes the frame; no record can be added until reset. Returns the header hash, the next previousHash. */
  seal(fields: SealFields): bigint {
    assert(!this.sealed, 'batch is open')
    assert(fields.ackedSeq < fields.firstSeq && fields.trimSeq < fields.firstSeq, 'acked and trimmed are in the past')
    const { view, headerStart: at } = this
    const headerBlocks = headerBlocksFor(this.records)
    this.buffer.fill(0, PAYLOAD_OFFSET + this.payload, PAYLOAD_OFFSET + roundUp(this.payload, BLOCK_BYTES))
    view.setUint32(at + H.magic, BATCH_MAGIC, true)
    view.setUint16(at + H.version, BATCH_VERSION, true)
    view.setUint16(at + H.headerBlocks, headerBlocks, true)
    fields.volumeUuid.copy(this.buffer, at + H.volumeUuid, 0, 16)
    fields.logUuid.copy(this.buffer, at + H.logUuid, 0, 16)
    setU53(view, at + H.epoch, fields.epoch)
    view.setUint32(at + H.run, fields.run, true)
    view.setUint16(at + H.count, this.records, true)
    setU53(view, at + H.batchSeq, fields.batchSeq)
    setU53(view, at + H.firstSeq, fields.firstSeq)
    setU53(view, at + H.ackedSeq, fields.ackedSeq)
    setU53(view, at + H.trimSeq, fields.trimSeq)
    view.setUint32(at + H.payloadBytes, this.payload, true)
    view.setBigUint64(at + H.previousHash, fields.previousHash, true)
    setU53(view, at + H.wallMs, Math.floor(fields.wallMs))
    view.setBigUint64(at + H.session, fields.session, true)
    const hash = xxhash64(this.buffer, at, at + headerBlocks * HEADER_BLOCK_BYTES)
    view.setBigUint64(at + H.headerHash, hash, true)
    this.sealed = true
    return hash
  }

  /** Empties the batch for the next group commit. The frame must not be in flight any more. */
  reset(): void {
    this.buffer.fill(0, this.headerStart, PAYLOAD_OFFSET)
    this.headerStart = HEADER_BLOCK_BYTES
    this.records = 0
    this.payload = 0
    this.sealed = false
  }

  /** Takes the next descriptor, with sector and length filled in; returns its offset. */
  private describe(sector: Sectors, sectors: Sectors): number {
    assert(sector >= 0 && sectors > 0 && sectors < 2 ** 32, `range is legal sector=${sector} sectors=${sectors}`)
    assert(sector + sectors < SECTOR_LIMIT, `range is below 2^48 sector=${sector} sectors=${sectors}`)
    if (this.records === DESCRIPTORS_IN_ONE_BLOCK) this.moveHeaderToFront()
    const at = this.descriptor(this.records)
    setU48(this.view, at + D.sector, sector)
    this.view.setUint32(at + D.sectors, sectors, true)
    this.records++
    return at
  }

  private descriptor(index: number): number {
    return this.headerStart + HEADER_BYTES + index * DESCRIPTOR_BYTES
  }

  private moveHeaderToFront(): void {
    this.buffer.copyWithin(0, HEADER_BLOCK_BYTES, PAYLOAD_OFFSET)
    this.buffer.fill(0, HEADER_BLOCK_BYTES, PAYLOAD_OFFSET)
    this.headerStart = 0
  }
}
