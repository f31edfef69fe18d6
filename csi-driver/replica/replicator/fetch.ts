// One gathering of batches from a store (rule S3 of the replication protocol): asks for them in portions, restores each to
// its frame where the taker wants it, verifies header, payload, number and chain there, and hands it on. At most one
// portion is in memory, so that a slow taker slows the store down.
import { assert } from '../../../base/assert.ts'
import type { BatchSeq, Bytes } from '../../../base/units.ts'
import { MIB } from '../../../base/units.ts'
import { BatchView, PAYLOAD_OK } from '../../batch/batch-view.ts'
import { type Decompress, ENVELOPE_BYTES_MAX, restoredFrameBytes, restoreFrame } from '../wire/envelope.ts'
import type { RoomForBody } from '../wire/frame-reader.ts'
import type { MessageFrom, MessageOf } from '../wire/messages.ts'
import { ReplicaCorruptError } from './store-errors.ts'

/** Asked for with one FETCH. A store may send one batch more than fits. */
export const FETCH_BYTES_MAX: Bytes = 8 * MIB

export interface FetchFrom {
  readonly batchSeq: BatchSeq
  /** headerHash of the batch before; null: not known, the first batch is believed to follow. */
  readonly previousHash: bigint | null
}

/** What becomes of the batches: one after the other, room first. What either throws ends the fetch. */
export interface BatchTaker {
  /** Where the next frame, of so many bytes, is written and verified. A promise holds the fetch up until it settles. */
  room(frameBytes: Bytes): RoomForBody | Promise<RoomForBody>
  /** The frame is whole and follows the one before; it stands where the taker wanted it. The view is the fetch's. */
  take(view: BatchView): void
}

export interface FetchParts {
  readonly node: string
  readonly volumeUuid: string
  readonly decompress: Decompress
  ask(fromBatchSeq: BatchSeq, bytesMax: Bytes): void
  /** Resolves with the next message; rejects when none comes in time or the connection is over. */
  next(): Promise<MessageFrom<'store'>>
}

type BatchReceived = MessageFrom<'store'> & { readonly type: 'BATCH' }

export class Fetch {
  lastBatchSeq: BatchSeq
  lastHash: bigint | null
  private readonly parts: FetchParts
  private readonly taker: BatchTaker
  private readonly view = new BatchView()
  /** Bytes of the portion that is under way. */
  private portionBytes: Bytes = 0

  constructor(parts: FetchParts, from: FetchFrom, taker: BatchTaker) {
    this.parts = parts
    this.taker = taker
    this.lastBatchSeq = from.batchSeq - 1
    this.lastHash = from.previousHash
  }

  /** Whether a body of so many bytes was asked for. */
  expects(bodyBytes: Bytes): boolean {
    this.portionBytes += bodyBytes
    return this.portionBytes <= FETCH_BYTES_MAX + ENVELOPE_BYTES_MAX
  }

  /** Until the end of the store's log. */
  async run(): Promise<void> {
    for (let more = true; more; ) {
      this.portionBytes = 0
      this.parts.ask(this.lastBatchSeq + 1, FETCH_BYTES_MAX)
      // oxlint-disable-next-line eslint/no-await-in-loop -- portions follow one another
      more = await this.portion()
    }
  }

  private async portion(): Promise<boolean> {
    for (let count = 0; ; count += 1) {
      // oxlint-disable-next-line eslint/no-await-in-loop -- batches follow one another
      const message = await this.parts.next()
      if (message.type === 'FETCH_END') return this.ends(message, count)
      assert(message.type === 'BATCH', `the session passes on what belongs to a fetch type=${message.type}`)
      // oxlint-disable-next-line eslint/no-await-in-loop -- batches follow one another
      await this.pass(message)
    }
  }

  private ends({ lastBatchSeq, more }: MessageOf<'FETCH_END'>, count: number): boolean {
    if (lastBatchSeq !== this.lastBatchSeq) this.refuse(lastBatchSeq, `fetch ended elsewhere sent=${this.lastBatchSeq}`)
    if (more && count === 0) this.refuse(lastBatchSeq + 1, 'there is said to be more, and none came')
    return more
  }

  private async pass(message: BatchReceived): Promise<void> {
    const { parts, view } = this
    const batchSeq = this.lastBatchSeq + 1
    const frameBytes = restoredFrameBytes(message)
    const { buffer, start } = await this.taker.room(frameBytes)
    const length = restoreFrame(message, buffer.subarray(start, start + frameBytes), parts.decompress)
    if (length === null) return this.refuse(batchSeq, 'payload does not decompress')
    const found = view.parse(buffer, start, length)
    if (found !== 'ok') return this.refuse(batchSeq, `header is damaged: ${found}`)
    const problem = this.problemOf(batchSeq)
    if (problem !== null) return this.refuse(batchSeq, problem)
    this.taker.take(view)
    this.lastBatchSeq = batchSeq
    this.lastHash = view.headerHash
  }

  private problemOf(batchSeq: BatchSeq): string | null {
    const { view, lastHash } = this
    if (!view.isWhole || view.checkPayload() !== PAYLOAD_OK) return 'payload is damaged'
    if (view.volumeUuid !== this.parts.volumeUuid) return `it is of another volume volumeUuid=${view.volumeUuid}`
    if (view.batchSeq !== batchSeq) return `another batch came found=${view.batchSeq}`
    return lastHash !== null && view.previousHash !== lastHash ? 'it does not follow the batch before' : null
  }

  private refuse(batchSeq: BatchSeq, problem: string): never {
    throw new ReplicaCorruptError(this.parts.node, batchSeq, problem)
  }
}
