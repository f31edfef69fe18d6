// The changes of one volume's slot, in the order in which they were asked for: each is a pure function of the slot, those
// that wait together are written as one, and each is answered when it is durable. An exclusive change is written alone,
// and only while no append is in flight. After a failed write nothing is written any more.
import { assert } from '../../../base/assert.ts'
import { CacheError, type IoError } from '../../../base/errors.ts'
import type { SlotWriter } from './slot-writer.ts'
import type { SlotContent, VolumeSlot } from './volume-slot.ts'

/** Changes that may wait at once; the receiver of a volume has one order in flight. */
export const SLOT_CHANGES_MAX = 64

export type StoreError = CacheError | IoError
export type StoreDone = (error: StoreError | null) => void

export interface SlotChangeOrder {
  readonly exclusive: boolean
  /** The slot to be written; the slot itself where nothing changes; an error where the order cannot be carried out. */
  readonly apply: (slot: VolumeSlot) => SlotContent | CacheError
  readonly done: StoreDone
}

export interface SlotQueueHooks {
  /** The next generation of the slot, to which changes are applied. */
  next(slot: VolumeSlot): VolumeSlot
  mayRunExclusive(): boolean
  /** `after` is durable; runs before any answer. */
  onDurable(before: VolumeSlot, after: SlotContent): void
  onFailed(error: IoError): void
}

interface Answer {
  readonly done: StoreDone
  readonly error: StoreError | null
}

export class SlotQueue {
  private readonly writer: SlotWriter
  private readonly hooks: SlotQueueHooks
  private durable: VolumeSlot
  private queued: SlotChangeOrder[] = []
  private writing = false
  private failed: IoError | null = null
  private readonly unanswered: Answer[] = []
  private answering = false

  constructor(writer: SlotWriter, slot: VolumeSlot, hooks: SlotQueueHooks) {
    this.writer = writer
    this.durable = slot
    this.hooks = hooks
  }

  get slot(): VolumeSlot {
    return this.durable
  }
  get isChanging(): boolean {
    return this.writing || this.queued.length > 0
  }
  /** An exclusive change waits or is being written. */
  isExclusive = false

  push(order: SlotChangeOrder): void {
    if (this.failed !== null) return this.answer([{ done: order.done, error: this.failed }])
    assert(this.queued.length < SLOT_CHANGES_MAX, 'slot changes are bounded')
    this.queued.push(order)
    this.noteExclusive(false)
    this.run()
  }

  /** Nothing is written any more; what waits is answered with the error. */
  fail(error: IoError): void {
    this.failed ??= error
    const left = this.queued
    this.queued = []
    this.noteExclusive(this.writing && this.isExclusive)
    this.answer(left.map(({ done }) => ({ done, error })))
  }

  /** Starts what may start now. To be called when an append has ended. */
  run(): void {
    while (!this.writing) {
      const group = this.takeGroup()
      if (group.length === 0) return
      this.carryOut(group)
    }
  }

  private takeGroup(): SlotChangeOrder[] {
    const [first] = this.queued
    if (first === undefined) return []
    if (first.exclusive) return this.hooks.mayRunExclusive() ? this.queued.splice(0, 1) : []
    const end = this.queued.findIndex((order) => order.exclusive)
    return this.queued.splice(0, end === -1 ? this.queued.length : end)
  }

  private carryOut(group: readonly SlotChangeOrder[]): void {
    const base = this.hooks.next(this.durable)
    let content: SlotContent = base
    const answers: Answer[] = []
    for (const { apply, done } of group) {
      const applied: SlotContent | CacheError = content.kind === 'volume' ? apply(content) : content
      if (applied instanceof CacheError) answers.push({ done, error: applied })
      else {
        content = applied
        answers.push({ done, error: null })
      }
    }
    if (content === base) {
      this.noteExclusive(false)
      this.answer(answers)
      return
    }
    this.writing = true
    this.noteExclusive(group[0]?.exclusive === true)
    const written = content
    this.writer.write(written, (error) => this.onWritten(error, written, answers))
  }

  private onWritten(error: IoError | null, written: SlotContent, answers: readonly Answer[]): void {
    this.writing = false
    if (error === null) {
      const before = this.durable
      if (written.kind === 'volume') this.durable = written
      this.hooks.onDurable(before, written)
      this.noteExclusive(false)
      this.unanswered.push(...answers)
      // The next write starts before the answers: who asks for more in its answer is queued behind.
      this.run()
      this.answer([])
      return
    }
    this.noteExclusive(false)
    this.failed = error
    this.hooks.onFailed(error)
    this.answer(answers.map(({ done, error: own }) => ({ done, error: own ?? error })))
    this.fail(error)
  }

  /** In the order in which they were asked for, also where an answer brings the next order, which ends at once. */
  private answer(answers: readonly Answer[]): void {
    this.unanswered.push(...answers)
    if (this.answering) return
    this.answering = true
    for (let next = this.unanswered.shift(); next !== undefined; next = this.unanswered.shift()) next.done(next.error)
    this.answering = false
  }

  private noteExclusive(isWritten: boolean): void {
    this.isExclusive = isWritten || this.queued.some((order) => order.exclusive)
  }
}
