// One gathering of batches from a store (rule S3 of the replication protocol): asks for them in portions, restores each to
// its frame, verifies header, payload, number and chain, hands it on and waits until it was taken. At most one portion is
// in memory, so that a slow taker slows the store down.
import { assert } from '../../../base/assert.ts'
import type { BatchSeq, Bytes } from '../../../base/units.ts'
import { MIB } from '../../../base/units.ts'
import { BatchView, PAYLOAD_OK } from '../../batch/batch-view.ts'
import { type Decompress, ENVELOPE_BYTES_MAX, restoreFrame } from '../wire/envelope.ts'
import type { MessageFrom, MessageOf } from '../wire/messages.ts'
import { ReplicaCorruptError } from './store-errors.ts'

/** Asked for with one FETCH. A store may send one batch more than fits. */
export const FETCH_BYTES_MAX: Bytes = 8 * MIB

export interface FetchFrom {
  readonly batchSeq: BatchSeq
  /** headerHash of the batch before; null: not known, the first batch is believed to follow. */
  readonly previousHash: bigint | null
}

/** The frame is buffer[start, start+length), in aligned memory, valid until the taker's promise settles. */
export type BatchTaker = (buffer: Buffer, start: number, length: Bytes) => Promise<void> | void

export interface FetchParts {
  readonly node: string
  readonly volumeUuid: string
  /** As long as the largest frame. */
  readonly frame: Buffer
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
  private readonly take: BatchTaker
  private readonly view = new BatchView()
  /** Bytes of the portion that is under way. */
  private portionBytes: Bytes = 0

  constructor(parts: FetchParts, from: FetchFrom, take: BatchTaker) {
    this.parts = parts
    this.take = take
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
    const length = restoreFrame(message, parts.frame, parts.decompress)
    if (length === null) return this.refuse(batchSeq, 'payload does not decompress')
    const found = view.parse(parts.frame, 0, length)
    if (found !== 'ok') return this.refuse(batchSeq, `header is damaged: ${found}`)
    const problem = this.problemOf(batchSeq)
    if (problem !== null) return this.refuse(batchSeq, problem)
    const { headerHash } = view
    await this.take(parts.frame, 0, length)
    this.lastBatchSeq = batchSeq
    this.lastHash = headerHash
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
