// Reads the envelope of a batch in place: out of a connection's buffer, or as a store keeps it. One view is re-used for
// many envelopes; it holds no copy, and it is void once the buffer is re-used.
// Format: envelope.ts, docs/formats/wire.md.
import { assert } from '../../../base/assert.ts'
import { getU53, viewOf } from '../../../base/bytes.ts'
import type { BatchSeq, Bytes, Epoch, Run, Seq } from '../../../base/units.ts'
import { BATCH_HEADER, HEADER_BLOCK_BYTES, HEADER_BLOCKS_MAX, headerBlocksFor } from '../../batch/batch-format.ts'
import { type BatchProblem, BatchView } from '../../batch/batch-view.ts'
import {
  ENVELOPE_FIXED_BYTES,
  type EnvelopeProblem,
  envelopeCodec,
  envelopeHeaderBytes,
  envelopeProblem,
  envelopeRawPayloadBytes,
} from './envelope.ts'
import type { BatchEnvelope } from './messages.ts'

/** Room that checkHeader needs. */
export const HEADER_SCRATCH_BYTES: Bytes = HEADER_BLOCKS_MAX * HEADER_BLOCK_BYTES

const H = BATCH_HEADER.offsets

export class EnvelopeView implements BatchEnvelope {
  buffer: Buffer = Buffer.alloc(0)
  start = 0
  length: Bytes = 0
  private view: DataView = viewOf(this.buffer)
  /** Where the batch header begins. */
  private at = 0
  private readonly batch = new BatchView()

  /** Looks at buffer[start, start+length). Unless it answers 'ok', the getters mean nothing. */
  read(buffer: Buffer, start: number, length: Bytes): 'ok' | EnvelopeProblem {
    assert(start >= 0 && length >= 0 && start + length <= buffer.length, `range inside buffer start=${start}`)
    if (buffer !== this.buffer) {
      this.buffer = buffer
      this.view = viewOf(buffer)
    }
    this.start = start
    this.length = length
    this.at = start + ENVELOPE_FIXED_BYTES
    return envelopeProblem(buffer, start, length) ?? 'ok'
  }

  /**
   * Is the header inside what its writer sealed (its hash, every field and descriptor)? Until it answered 'ok' the
   * numbers below may be anything, NaN included. Uses the first HEADER_SCRATCH_BYTES of `scratch`.
   */
  checkHeader(scratch: Buffer): 'ok' | BatchProblem {
    const blocksBytes = headerBlocksFor(this.count) * HEADER_BLOCK_BYTES
    const headerBytes = this.headerBytes
    this.buffer.copy(scratch, 0, this.at, this.at + headerBytes)
    scratch.fill(0, headerBytes, blocksBytes)
    return this.batch.parse(scratch, 0, blocksBytes)
  }

  get codec(): number {
    return envelopeCodec(this.buffer, this.start)
  }
  get headerBytes(): Bytes {
    return envelopeHeaderBytes(this.buffer, this.start)
  }
  get rawPayloadBytes(): Bytes {
    return envelopeRawPayloadBytes(this.buffer, this.start)
  }
  get header(): Buffer {
    return this.buffer.subarray(this.at, this.at + this.headerBytes)
  }
  get payload(): Buffer {
    return this.buffer.subarray(this.at + this.headerBytes, this.start + this.length)
  }

  get batchSeq(): BatchSeq {
    return getU53(this.view, this.at + H.batchSeq)
  }
  get count(): number {
    return this.view.getUint16(this.at + H.count, true)
  }
  get firstSeq(): Seq {
    return getU53(this.view, this.at + H.firstSeq)
  }
  /** Seq of the last record; firstSeq - 1 when the batch is empty. */
  get lastSeq(): Seq {
    return this.firstSeq + this.count - 1
  }
  get ackedSeq(): Seq {
    return getU53(this.view, this.at + H.ackedSeq)
  }
  get trimSeq(): Seq {
    return getU53(this.view, this.at + H.trimSeq)
  }
  get epoch(): Epoch {
    return getU53(this.view, this.at + H.epoch)
  }
  get run(): Run {
    return this.view.getUint32(this.at + H.run, true)
  }
  get previousHash(): bigint {
    return this.view.getBigUint64(this.at + H.previousHash, true)
  }
  get headerHash(): bigint {
    return this.view.getBigUint64(this.at + H.headerHash, true)
  }
  /** 32 hexadecimal digits. */
  get volumeUuid(): string {
    return this.buffer.toString('hex', this.at + H.volumeUuid, this.at + H.volumeUuid + 16)
  }
  /** 32 hexadecimal digits. */
  get logUuid(): string {
    return this.buffer.toString('hex', this.at + H.logUuid, this.at + H.logUuid + 16)
  }
}
