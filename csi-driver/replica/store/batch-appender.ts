// The batches of one volume on their way to the disk, one at a time: checks that a batch is the next one of the log, finds
// it a place, and writes it from where it stands in the caller's buffer. Hot: one write and no promise per batch.
//
// - A batch that begins a segment is written after the header of that segment, never beside it.
// - While an exclusive change of the slot waits or is written, the next append waits for it. An append that finds no
//   segment waits for changes that are under way, since a trim may free one.
import { assert } from '../../../base/assert.ts'
import type { IoError } from '../../../base/errors.ts'
import type { IoDone } from '../../io/storage.ts'
import { EnvelopeView } from '../wire/envelope-view.ts'
import type { BodyInMemory } from '../wire/messages.ts'
import type { LiveLog } from './live-log.ts'
import { encodeSegmentHeader, writeStoredHeader } from './segment-format.ts'
import type { SegmentAccount } from './segment-table.ts'
import type { SlotQueue, StoreDone, StoreError } from './slot-queue.ts'
import { gap, notHeld, notLegal, storeFull } from './store-errors.ts'
import {
  SEGMENT_HEADER_BYTES,
  segmentPosition,
  STORED_BODY_BYTES_MAX,
  STORED_HEADER_BYTES,
  storedBytesFor,
} from './store-geometry.ts'
import { orderEnded, type StoreParts } from './store-parts.ts'

/** What the volume tells about itself, and wants to hear. */
export interface AppendHooks {
  readonly account: SegmentAccount
  readonly queue: SlotQueue
  live(): LiveLog | null
  /** The write error after which nothing is written any more. */
  failed(): IoError | null
  /** A batch more is in the log. */
  onStored(): void
  onFailed(error: IoError): void
}

interface Append {
  readonly body: BodyInMemory
  readonly done: StoreDone
}

export class BatchAppender {
  private readonly parts: StoreParts
  private readonly hooks: AppendHooks
  private readonly batch = new EnvelopeView()
  private appending: Append | null = null
  private held: Append | null = null
  private segmentHeader: Buffer | null = null

  constructor(parts: StoreParts, hooks: AppendHooks) {
    this.parts = parts
    this.hooks = hooks
  }

  get isWriting(): boolean {
    return this.appending !== null
  }

  /** See StoredVolume.append. */
  append(body: BodyInMemory, done: StoreDone): void {
    assert(this.appending === null && this.held === null, 'one append at a time')
    this.parts.activity.inFlight += 1
    this.begin({ body, done })
  }

  /** A change of the slot has ended, or more room may be there. */
  retryHeld(): void {
    const { held } = this
    if (held === null || this.hooks.queue.isExclusive) return
    this.held = null
    this.begin(held)
  }

  private begin(append: Append): void {
    const { account, queue } = this.hooks
    if (queue.isExclusive) {
      this.held = append
      return
    }
    const problem = this.hooks.failed() ?? this.problemOf(append.body)
    if (problem !== null) return this.answerAppend(append, problem)
    const live = this.hooks.live()
    assert(live !== null, 'there is a log')
    if (live.index.fitsSegment(append.body.length)) return this.writeBatch(append)
    const segment = this.parts.table.take(account)
    if (segment >= 0) return this.writeSegmentHeader(append, segment)
    if (queue.isChanging) this.held = append
    else this.answerAppend(append, storeFull(`no segment is free volume=${queue.slot.volume} used=${account.used}`))
  }

  private problemOf({ buffer, start, length }: BodyInMemory): StoreError | null {
    const { log, volumeUuid, volume } = this.hooks.queue.slot
    const live = this.hooks.live()
    if (log === null || live === null) return notHeld(`there is no log volume=${volume}`)
    const room = this.parts.geometry.segmentBytes - SEGMENT_HEADER_BYTES
    if (length > STORED_BODY_BYTES_MAX || storedBytesFor(length) > room) {
      return notLegal(`body is too long bytes=${length} segmentBytes=${room}`)
    }
    const end = start - STORED_HEADER_BYTES + storedBytesFor(length)
    assert(start >= STORED_HEADER_BYTES && end <= buffer.length, `room around the body start=${start} end=${end}`)
    const read = this.batch.read(buffer, start, length)
    if (read !== 'ok') return notLegal(`body holds no batch problem=${read}`)
    if (this.batch.volumeUuid !== volumeUuid) return notLegal(`batch of another volume ${this.batch.volumeUuid}`)
    const problem = live.problemOf(this.batch, log)
    return problem === null ? null : gap(`${problem} volume=${volume} batchSeq=${this.batch.batchSeq}`)
  }

  private writeSegmentHeader(append: Append, segment: number): void {
    const { geometry, memory, storage, storeUuid } = this.parts
    const { queue } = this.hooks
    const live = this.hooks.live()
    assert(live !== null && queue.slot.log !== null, 'there is a log')
    const { index, volumeUuid, generation, log } = queue.slot
    this.segmentHeader ??= memory.allocate(SEGMENT_HEADER_BYTES)
    encodeSegmentHeader(this.segmentHeader, 0, {
      slot: index,
      segment,
      storeUuid,
      volumeUuid,
      logId: log.logId,
      slotGeneration: generation,
      ordinal: live.index.nextOrdinal,
      firstBatchSeq: live.index.next,
    })
    live.index.addSegment(segment)
    this.appending = append
    const position = segmentPosition(geometry, segment)
    storage.write(this.segmentHeader, 0, SEGMENT_HEADER_BYTES, position, (error) => {
      if (error === null) this.writeBatch(append)
      else this.onAppended(error)
    })
  }

  private writeBatch(append: Append): void {
    const { batch } = this
    const { queue } = this.hooks
    const place = this.hooks.live()?.index.headPlace
    assert(place !== null && place !== undefined && queue.slot.log !== null, 'there is a segment')
    const { buffer, start, length, hash } = append.body
    const from = start - STORED_HEADER_BYTES
    const bytes = storedBytesFor(length)
    writeStoredHeader(buffer, from, {
      bodyBytes: length,
      bodyHash: hash,
      batchSeq: batch.batchSeq,
      logId: queue.slot.log.logId,
      slotGeneration: queue.slot.generation,
      previousHash: batch.previousHash,
      headerHash: batch.headerHash,
    })
    buffer.fill(0, start + length, from + bytes)
    this.appending = append
    const position = segmentPosition(this.parts.geometry, place.segment) + place.offset
    this.parts.storage.write(buffer, from, bytes, position, this.onAppended)
  }

  private readonly onAppended: IoDone = (error) => {
    const { appending, hooks } = this
    const live = hooks.live()
    assert(appending !== null && live !== null, 'an append is in flight')
    this.appending = null
    if (error === null) {
      live.push(this.batch, appending.body.length)
      hooks.onStored()
    } else {
      hooks.onFailed(error)
      hooks.queue.fail(error)
    }
    // Changes that waited for this append go first: they are older than whatever its answer brings.
    hooks.queue.run()
    this.answerAppend(appending, error)
  }

  private answerAppend(append: Append, error: StoreError | null): void {
    append.done(error)
    orderEnded(this.parts.activity)
  }
}
