// One volume of a replica store: its durable state, and the orders that change it. Every order is answered when it is
// durable; what the state shows is durable.
//
// - One append is in flight at a time (batch-appender.ts).
// - Changes of the slot are written one after the other (slot-queue.ts). LEARN, PROMOTE and discard wait for the append
//   in flight, and the next append waits for them.
// - After a failed write nobody knows what is on the disk: the log counts as lost until the next start, which decides by
//   what is there. Nothing is written any more; what is held can still be read.
import { assert } from '../../../base/assert.ts'
import type { IoError } from '../../../base/errors.ts'
import type { BatchSeq, Bytes } from '../../../base/units.ts'
import { xxhash64 } from '../../../base/xxhash64.ts'
import type { VolumeState } from '../../protocol/stored-log.ts'
import type { BodyInMemory } from '../wire/messages.ts'
import { BatchAppender } from './batch-appender.ts'
import { LiveLog, type LostLog } from './live-log.ts'
import { readStoredHeader } from './segment-format.ts'
import type { SegmentAccount } from './segment-table.ts'
import {
  begun,
  type LearnOrder,
  learned,
  nextGeneration,
  promoted,
  trimmed,
  updated,
  type VolumeUpdate,
} from './slot-changes.ts'
import { type SlotChangeOrder, SlotQueue, type StoreDone, type StoreError } from './slot-queue.ts'
import { SlotWriter } from './slot-writer.ts'
import { damaged, notHeld, storeClosed, storeFull } from './store-errors.ts'
import { segmentPosition, segmentsForLog, STORED_HEADER_BYTES, storedBytesFor } from './store-geometry.ts'
import { orderEnded, type StoreParts } from './store-parts.ts'
import { type SlotContent, type SlotLog, slotProblem, type VolumeSlot } from './volume-slot.ts'

/** What a start found of a log; at most one of the two is set. */
export interface FoundLogParts {
  readonly live: LiveLog | null
  readonly lost: LostLog | null
}

export interface FoundVolume extends FoundLogParts {
  readonly slot: VolumeSlot
  readonly account: SegmentAccount
  /** Of the slot: the copy that is to be written first. */
  readonly worseCopy: number
}

export class StoredVolume {
  readonly account: SegmentAccount
  private readonly parts: StoreParts
  private readonly queue: SlotQueue
  private readonly appender: BatchAppender
  private live: LiveLog | null
  private lost: LostLog | null
  private failed: IoError | null = null
  private gone = false
  private shown: VolumeState | null = null

  constructor(parts: StoreParts, found: FoundVolume) {
    const { storage, memory, geometry, storeUuid, clock } = parts
    this.parts = parts
    this.account = found.account
    this.live = found.live
    this.lost = found.lost
    const writer = new SlotWriter({ storage, memory, geometry, storeUuid, worseCopy: found.worseCopy })
    this.queue = new SlotQueue(writer, found.slot, {
      next: (slot) => nextGeneration(slot, this.live, clock.wallMs()),
      mayRunExclusive: () => !this.appender.isWriting,
      onDurable: (before, after) => this.onDurable(before, after),
      onFailed: (error) => this.onFailed(error),
    })
    this.appender = new BatchAppender(parts, {
      account: found.account,
      queue: this.queue,
      live: () => this.live,
      failed: () => this.failed,
      onStored: () => (this.shown = null),
      onFailed: (error) => this.onFailed(error),
    })
  }

  get volume(): string {
    return this.queue.slot.volume
  }
  get volumeUuid(): string {
    return this.queue.slot.volumeUuid
  }
  get volumeKey(): Buffer {
    return this.queue.slot.volumeKey
  }
  get createdBy(): string {
    return this.queue.slot.createdBy
  }
  /** The life of the store under which this volume is a member: what WELCOME has to name for it. */
  get incarnation(): number {
    return this.queue.slot.incarnation
  }
  get slotIndex(): number {
    return this.queue.slot.index
  }
  /** As durable. Replaced, never changed in place. */
  get state(): VolumeState {
    this.shown ??= this.makeState()
    return this.shown
  }
  /** Length of the owner's log for which space is kept. */
  get logBytesReserved(): Bytes {
    return this.queue.slot.log?.logBytes ?? 0
  }
  /** Why there is no log although there was one. */
  get lossReason(): string | null {
    return this.failed === null ? (this.lost?.reason ?? null) : `write failed: ${this.failed.message}`
  }
  /** The write error after which nothing is written any more. */
  get failure(): IoError | null {
    return this.failed
  }
  /** headerHash of a batch that is held; null of any other. */
  headerHashOf(batchSeq: BatchSeq): bigint | null {
    return this.live?.index.find(batchSeq)?.headerHash(batchSeq) ?? null
  }

  /** After a start, before anything else: both copies of the slot are made equal, and leftovers behind the log void. */
  begin(done: StoreDone): void {
    const { slot } = this.queue
    const problem = slotProblem(begun(nextGeneration(slot, this.live, slot.wallMs), this.live, this.lost))
    // What is on the disk can be read, but not brought up: one volume without a log, not a store without its volumes.
    if (problem !== null) this.loseLog(`the log cannot be brought up: ${problem}`)
    this.order({ exclusive: true, apply: (found) => begun(found, this.live, this.lost), done })
  }

  /** Kept as it is, like any lost log; what the next start makes of it is the next start's affair. */
  private loseLog(reason: string): void {
    const segments = this.live?.index.segments.map(({ segment }) => segment) ?? this.lost?.segments ?? []
    this.live = null
    this.lost = { reason, batchSeq: null, segments }
    this.shown = null
    const { volume, volumeUuid } = this
    this.parts.log.event('replica.store.log_lost', { volume, volumeUuid, reason }, 'error')
  }

  /** Changes promise, (epoch, run) or the pending name. */
  update(update: VolumeUpdate, done: StoreDone): void {
    this.order({ exclusive: false, apply: (slot) => updated(slot, update, this.live), done })
  }

  /** Everything up to and including `batchSeq` is destaged. What is trimmed already changes nothing. */
  trim(batchSeq: BatchSeq, done: StoreDone): void {
    this.order({ exclusive: false, apply: (slot) => trimmed(slot, batchSeq, this.live), done })
  }

  /** The pending name becomes the log's name; batches from its first one on are dropped for good. */
  promote(logUuid: string, done: StoreDone): void {
    this.order({ exclusive: true, apply: (slot) => promoted(slot, logUuid, this.live), done })
  }

  /** Discards every batch and begins an empty log, with space for `logBytes` of its owner's. */
  learn(learn: LearnOrder, done: StoreDone): void {
    const { table, geometry, random } = this.parts
    const refusal = this.refusal()
    if (refusal !== null) return done(refusal)
    const reservedSegments = segmentsForLog(learn.logBytes, geometry.segmentBytes)
    // Kept from now on, so that no other volume takes it while this one is written.
    if (!table.reserve(this.account, Math.max(this.account.reserved, reservedSegments))) {
      const { uncommitted } = table
      return done(
        storeFull(`no room for the log volume=${this.volume} segments=${reservedSegments} free=${uncommitted}`),
      )
    }
    const drawn = Buffer.alloc(8)
    random.fill(drawn)
    const logId = drawn.readBigUInt64LE(0)
    this.order({
      exclusive: true,
      apply: (slot) => learned(slot, learn, { logId, reservedSegments }),
      done: (error) => {
        table.reserve(this.account, this.queue.slot.log?.reservedSegments ?? 0)
        done(error)
      },
    })
  }

  /** Removes the volume and its log. When it is created anew it has another incarnation: it is not the same member. */
  discard(done: StoreDone): void {
    this.parts.registry.beginIncarnation((error) => {
      if (error !== null) return done(error)
      this.order({
        exclusive: true,
        apply: ({ index, generation, wallMs }) => ({ kind: 'free', index, generation, wallMs }),
        done,
      })
    })
  }

  /**
   * Stores the next batch of the log; one at a time. The body is the store's until `done`; in front of it is room for
   * STORED_HEADER_BYTES, which begin on a page, and behind it up to the next multiple of 4096 from there.
   */
  append(body: BodyInMemory, done: StoreDone): void {
    const refusal = this.refusal()
    if (refusal === null) this.appender.append(body, done)
    else done(refusal)
  }

  /** Reads the body of a batch, as it came, into a page-aligned buffer that is long enough for it. */
  read(batchSeq: BatchSeq, into: Buffer, done: (error: StoreError | null, body: BodyInMemory | null) => void): void {
    const { storage, geometry, activity } = this.parts
    const found = this.live?.index.find(batchSeq) ?? null
    if (activity.closing || found === null) {
      return done(activity.closing ? storeClosed() : notHeld(`batch is not held batchSeq=${batchSeq}`), null)
    }
    const logId = this.queue.slot.log?.logId
    const length = storedBytesFor(found.bodyBytes(batchSeq))
    assert(length <= into.length, `buffer holds the batch bytes=${length}`)
    const position = segmentPosition(geometry, found.segment) + found.offset(batchSeq)
    activity.inFlight += 1
    storage.read(into, 0, length, position, (error) => {
      const header = error === null ? readStoredHeader(into, 0) : null
      const start = STORED_HEADER_BYTES
      const isIt = header !== null && header.batchSeq === batchSeq && header.logId === logId
      const isWhole = isIt && xxhash64(into, start, start + header.bodyBytes) === header.bodyHash
      if (isWhole) done(null, { buffer: into, start, length: header.bodyBytes, hash: header.bodyHash })
      else done(error ?? damaged(`batch is damaged volume=${this.volume} batchSeq=${batchSeq}`), null)
      orderEnded(this.parts.activity)
    })
  }

  private order(order: SlotChangeOrder): void {
    const refusal = this.refusal()
    if (refusal !== null) return order.done(refusal)
    this.parts.activity.inFlight += 1
    this.queue.push({
      ...order,
      done: (error) => {
        order.done(error)
        this.appender.retryHeld()
        orderEnded(this.parts.activity)
      },
    })
  }

  /** Why nothing can be ordered now. */
  private refusal(): StoreError | null {
    if (this.parts.activity.closing) return storeClosed()
    return this.gone ? notHeld(`volume was removed volume=${this.volume}`) : this.failed
  }

  private makeState(): VolumeState {
    const { promise, epoch, run, log } = this.queue.slot
    const { live, failed } = this
    return { promise, epoch, run, log: log === null || live === null || failed !== null ? null : live.stored(log) }
  }

  private onDurable(before: VolumeSlot, after: SlotContent): void {
    const log = after.kind === 'volume' ? after.log : null
    this.shown = null
    this.gone = after.kind !== 'volume'
    if (this.gone) this.parts.registry.removed(this.volumeUuid, after)
    if (log === null || log.logId !== before.log?.logId) this.beginLog(log)
    else if (this.live !== null) this.followLog(before.log, log, after.generation)
  }

  private beginLog(log: SlotLog | null): void {
    const segments = this.live?.index.segments.map((each) => each.segment) ?? this.lost?.segments ?? []
    this.give(segments)
    this.lost = null
    this.live = log === null ? null : new LiveLog(log, this.parts.geometry.segmentBytes)
    this.parts.table.reserve(this.account, log?.reservedSegments ?? 0)
  }

  private followLog(before: SlotLog, after: SlotLog, generation: number): void {
    assert(this.live !== null, 'there is a log')
    if (after.cutGeneration === generation) this.give(this.live.cutFrom(after.cutBatchSeq, after))
    this.give(this.live.trimmed(before.tail.batchSeq, after))
  }

  private give(segments: readonly number[]): void {
    for (const segment of segments) this.parts.table.give(this.account, segment)
  }

  private onFailed(error: IoError): void {
    this.failed ??= error
    this.shown = null
    const fields = { volume: this.volume, errno: error.code, error: error.message }
    this.parts.log.event('replica.store.write_failed', fields, 'error')
  }
}
