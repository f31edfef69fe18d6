// A learner: a store that is filled from the owner's log until it can be listed as a member (rules 4.2, 7.1c, 2.8 of the
// replication protocol). Its connection is its life: when that ends, or it does not keep up, it is dropped.
//
//   waiting ──▶ learning ──LEARNING──▶ streaming ──close enough──▶ joining ──has all──▶ joined
//      connect     ▲ LEARN                 │ a trim passes what it lacks
//                  └───────────────────────┘
//
// streaming: the un-trimmed log, read from the owner's journal, CATCH_UP_BYTES_MAX on their way at a time, so that live
//   batches to the others are never behind more than that. Nothing waits for it.
// joining: every batch in flight waits for it, after what it lacks has been sent.
// joined: it holds everything. It is announced once its lease is held and its trim is ours: then it may be listed.
import type { BatchSeq, Bytes, Ms } from '../../../base/units.ts'
import type { VolumeState } from '../../protocol/stored-log.ts'
import type { Member } from '../../register/record.ts'
import type { BatchFrame } from '../wire/envelope.ts'
import { EnvelopeBuffer } from '../wire/envelope-buffer.ts'
import { CatchUpWindow } from './catch-up-window.ts'
import { type CopyRole, LATE_MS, type RoleContext, type RoleLink } from './copy-role.ts'
import type { PeerState } from './events.ts'

/** A learner that can't be reached is given up after this. */
export const LEARNER_CONNECT_MS: Ms = 10_000
/** For LEARNING: the store may have to write zeros to all of the space that it reserves. */
export const LEARN_LIMIT_MS: Ms = 60_000
/** A learner that acknowledges nothing of what is on its way is given up after this. */
export const LEARNER_STALL_MS: Ms = 10_000
/** Batches wait for a learner from when it lacks only what it will hold within this time. */
export const JOIN_WAIT_MS: Ms = 400

type Step = 'waiting' | 'learning' | 'streaming' | 'joining' | 'joined'

export class Learner implements CopyRole {
  readonly kind = 'learner'
  ackedSeq: BatchSeq = -1
  trimmedSeq: BatchSeq = -1
  /** It was told to the engine that this one may be listed. */
  private announced = false
  private readonly context: RoleContext
  private readonly link: RoleLink
  private readonly window: CatchUpWindow
  private readonly envelope = new EnvelopeBuffer()
  private step: Step = 'waiting'
  private failed = false
  /** Attended time of the last step forward. */
  private progressAtMs: Ms
  /** Next batch to be sent; valid from streaming on. */
  private nextSeq: BatchSeq = 0
  /** Begin of the log that the last LEARN ordered. */
  private beginSeq: BatchSeq = 0
  /** It may hold records of this log: a trim has to wait for it. */
  private holdsRecords = false
  private isReading = false
  private isPumping = false
  /** Answers to reads that were asked for before the last LEARN are void. */
  private generation = 0

  constructor(context: RoleContext, link: RoleLink) {
    this.context = context
    this.link = link
    this.window = new CatchUpWindow(context.clock)
    this.progressAtMs = context.time.nowMs
  }

  get state(): PeerState {
    if (this.step === 'joined') return 'joined'
    return this.step === 'waiting' || this.step === 'learning' ? 'learning' : 'catching-up'
  }

  get lagBytes(): Bytes {
    return this.window.bytes
  }

  /** What may be listed in the register at this very moment; null: not yet (again), it will be announced (again). */
  joinedMember(): Member | null {
    const member = this.listable
    if (member === null) this.announced = false
    return this.announced ? member : null
  }

  hasFlight(): boolean {
    const { flight } = this.context.progress
    return !flight.active || !this.isWaitedFor || this.ackedSeq >= flight.batchSeq
  }

  hasTrimmed(): boolean {
    return !this.holdsRecords || this.failed || this.trimmedSeq >= this.context.progress.trimSeq
  }

  flightStarted(): void {
    const { flight } = this.context.progress
    if (this.step === 'streaming' && this.isClose(flight.batchSeq)) this.step = 'joining'
    this.pump()
  }

  flightCompleted(): void {
    this.pump()
    this.noteJoined()
  }

  trimRequested(): void {
    if (!this.link.isOpen || !this.holdsRecords || this.step === 'learning') return
    const { trimSeq } = this.context.progress
    if (this.nextSeq > trimSeq) this.link.send({ type: 'TRIM', batchSeq: trimSeq })
    else this.learn()
  }

  opened(): void {
    this.learn()
  }

  closed(): void {
    if (this.step !== 'waiting') this.fail('connection lost')
  }

  appended(batchSeq: BatchSeq): boolean {
    // What was sent before the last LEARN is answered before LEARNING, and means nothing.
    if (this.step === 'learning') return true
    if (this.step === 'waiting' || batchSeq >= this.nextSeq) return false
    if (batchSeq <= this.ackedSeq) return true
    this.window.acknowledged(this.ackedSeq, batchSeq)
    this.ackedSeq = batchSeq
    this.noteProgress()
    this.pump()
    this.noteJoined()
    this.context.settle()
    return true
  }

  trimmed(batchSeq: BatchSeq): boolean {
    if (this.step === 'learning') return true
    if (this.step === 'waiting' || batchSeq > this.context.progress.trimSeq) return false
    this.trimmedSeq = Math.max(this.trimmedSeq, batchSeq)
    this.announce()
    this.context.settle()
    return true
  }

  learning(): boolean {
    if (this.step !== 'learning') return false
    // Answered LEARNs that another one has overtaken would come first: they are not sent at the same time.
    this.trimmedSeq = this.beginSeq - 1
    this.ackedSeq = this.beginSeq - 1
    this.nextSeq = this.beginSeq
    this.window.clear()
    this.noteProgress()
    if (this.context.source.begin.batchSeq > this.beginSeq) {
      // A trim has passed meanwhile. What the store holds now is empty, nobody waits for it.
      this.holdsRecords = false
      this.learn()
    } else {
      this.step = 'streaming'
      this.holdsRecords = true
      this.pump()
      this.noteJoined()
    }
    this.context.settle()
    return true
  }

  promoted(): boolean {
    return false
  }

  stateIs(_state: VolumeState): boolean {
    return false
  }

  leaseGrew(): void {
    this.announce()
  }

  tick(): void {
    if (this.failed) return
    const reason = this.failReason()
    if (reason !== null) this.fail(reason)
    // The own log may have completed a batch without anybody telling.
    else this.pump()
  }

  /** It is a learner no more: what is still being read of the log is sent to nobody. */
  end(): void {
    this.failed = true
    this.generation += 1
  }

  private get isWaitedFor(): boolean {
    return !this.failed && (this.step === 'joining' || this.step === 'joined')
  }

  private learn(): void {
    const { source, identity } = this.context
    const { begin, lineage } = source
    this.generation += 1
    this.step = 'learning'
    this.beginSeq = begin.batchSeq
    this.progressAtMs = this.context.time.nowMs
    this.link.send({ type: 'LEARN', lineage, begin, logBytes: identity.logBytes })
  }

  /** Missing at most one batch, or so little that it will be there in a moment. */
  private isClose(flightSeq: BatchSeq): boolean {
    const missing = flightSeq - 1 - this.ackedSeq
    return missing <= 1 || missing * this.window.msPerBatch <= JOIN_WAIT_MS
  }

  /** Sends what is there and fits the window. A source may answer within its call, hence a loop and no recursion. */
  private pump(): void {
    if (this.isPumping) return
    this.isPumping = true
    while (this.canSend()) this.sendNext()
    this.isPumping = false
  }

  private canSend(): boolean {
    if (this.failed || this.isReading || this.window.isFull) return false
    if (this.step !== 'streaming' && !this.isWaitedFor) return false
    return this.nextSeq <= this.context.source.lastBatchSeq || this.isFlightNext
  }

  private get isFlightNext(): boolean {
    const { flight } = this.context.progress
    return this.isWaitedFor && flight.active && flight.batchSeq === this.nextSeq
  }

  private sendNext(): void {
    if (this.isFlightNext) {
      const { flight } = this.context.progress
      this.link.sendFlight(flight.envelope)
      this.sent(flight.sentBytes)
      return
    }
    const { generation } = this
    this.isReading = true
    this.context.source.readBatch(this.nextSeq, (error, frame) => {
      this.isReading = false
      if (generation === this.generation && !this.failed) this.onRead(error, frame)
      this.pump()
    })
  }

  private onRead(error: Error | null, frame: BatchFrame | null): void {
    if (error !== null) {
      this.fail(`own log is not readable: ${error.message}`)
      return
    }
    if (frame === null) {
      this.learn()
      return
    }
    this.envelope.fill(frame)
    const { buffer, start, length, hash } = this.envelope.body
    // A copy of its own: it waits in the stream while the envelope takes the next one.
    this.link.sendBatch({ buffer: Buffer.from(buffer.subarray(start, start + length)), start: 0, length, hash })
    this.sent(length)
  }

  private sent(bytes: Bytes): void {
    this.window.sent(this.nextSeq, bytes)
    if (this.nextSeq === this.ackedSeq + 1) this.progressAtMs = this.context.time.nowMs
    this.nextSeq += 1
  }

  private noteProgress(): void {
    this.progressAtMs = this.context.time.nowMs
  }

  /** Does it hold everything that was ever acknowledged, and will it be waited for from now on? */
  private noteJoined(): void {
    const { flight, appendedSeq } = this.context.progress
    const isIdle = this.step === 'streaming' && !flight.active && this.ackedSeq === appendedSeq
    const hasJoined = this.step === 'joining' && this.ackedSeq === appendedSeq
    if (!isIdle && !hasJoined) return
    this.step = 'joined'
    this.announce()
  }

  private announce(): void {
    const member = this.announced ? null : this.listable
    if (member === null) return
    this.announced = true
    const { node } = this.link
    this.context.log.event('replica.learner_joined', { node, batchSeq: this.ackedSeq })
    this.context.emit({ kind: 'joined', node, member })
  }

  /** It holds everything, its trim is ours (2.8), and its lease, too, is held before the CAS is sent (1.2). */
  private get listable(): Member | null {
    const { link, context } = this
    if (this.step !== 'joined' || this.failed) return null
    if (this.trimmedSeq < context.source.begin.batchSeq - 1 || !this.hasTrimmed()) return null
    return link.lease.untilMs > context.clock.monotonicMs() ? link.store : null
  }

  private failReason(): string | null {
    const { time, progress } = this.context
    const { flight, trim } = progress
    const limitMs = { waiting: LEARNER_CONNECT_MS, learning: LEARN_LIMIT_MS }
    if (this.step === 'waiting' || this.step === 'learning') {
      if (time.isOver(this.progressAtMs, limitMs[this.step])) return `no answer while ${this.step}`
    } else if ((this.window.bytes > 0 || this.isReading) && time.isOver(this.progressAtMs, LEARNER_STALL_MS)) {
      return 'it does not acknowledge batches'
    }
    if (!this.hasFlight() && time.isOver(flight.startedAtMs, LATE_MS)) return 'it holds up the batch in flight'
    if (trim.active && !this.hasTrimmed() && time.isOver(trim.startedAtMs, LATE_MS)) return 'it holds up a trim'
    return null
  }

  private fail(reason: string): void {
    if (this.failed) return
    this.end()
    this.link.dropLearner(reason)
  }
}
