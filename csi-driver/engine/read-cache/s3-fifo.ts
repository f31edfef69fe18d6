// Which slot to give up: S3-FIFO (Yang et al., SOSP 2023). New blocks enter a small queue of a tenth of the slots; those
// used at least twice there move on to the main queue, the others leave for good. The main queue gives a slot another
// round for every use it counted (two bits). Blocks seen once, a scan above all, thus never push out what is in use.
//
// A slot is free, in the small or in the main queue. A queued slot may be dead (its block was overwritten; it is free
// as soon as the queue lets go of it) and pinned (a fill is being written to it; it is not handed out until unpinned).
//
// Work per `take` is bounded: at most EVICT_STEPS ordinary steps, as many forced ones that ignore the use counts, and
// SWEEP_STEPS per queue with too many dead slots. Each ordinary step of the main queue uses up one counted use, so over
// time there are no more of them than touches. The sweep keeps dead slots below about 1/64 of a queue plus the slots
// that die while it passes over the queue once (1/16 of it when as many blocks die as are inserted).
import { assert } from '../../../base/assert.ts'
import { NO_SLOT, SlotQueue } from './slot-queue.ts'

/**
 * A loop that does not fit leaves long stretches of used slots in the main queue. A smaller bound gives them up as they
 * come, which costs such a loop up to eight points of its miss ratio (64 steps); a step takes about 10 ns.
 */
export const EVICT_STEPS = 512
export const SWEEP_STEPS = 16
/** Dead slots are looked for when they are more than count >>> this. */
const DEAD_SHIFT = 6
const SMALL_SHARE = 0.1

const USES_MASK = 0x03
const USES_MAX = 3
/** Uses in the small queue (the insert is none) that show a block to be wanted again. */
const USES_TO_STAY = 2
const SMALL = 0x04
const MAIN = 0x08
const QUEUED = SMALL | MAIN
const DEAD = 0x10
const PINNED = 0x20

const BYTES_PER_SLOT = 5

/** Called when a live slot is given up. `fromSmall`: it left the small queue unused, so the ghost should remember it. */
export type SlotEvicted = (slot: number, fromSmall: boolean) => void

export class S3Fifo {
  /** Slots of the main queue in the long run; the ghost has as many entries. */
  readonly mainTarget: number
  promotions = 0
  forcedEvictions = 0
  private readonly slots: number
  private readonly smallTarget: number
  private readonly state: Uint8Array
  private readonly next: Int32Array
  private readonly small: SlotQueue
  private readonly main: SlotQueue
  /** In the order in which they came free: neighbours are handed out one after the other, and may be written together. */
  private readonly free: SlotQueue
  /** Slots from here on were never used and are in no list. */
  private fresh = 0
  private readonly onEvicted: SlotEvicted

  constructor(slots: number, onEvicted: SlotEvicted) {
    this.slots = slots
    this.smallTarget = Math.max(1, Math.floor(slots * SMALL_SHARE))
    this.mainTarget = slots - this.smallTarget
    this.state = new Uint8Array(slots)
    this.next = new Int32Array(slots)
    this.small = new SlotQueue(this.next)
    this.main = new SlotQueue(this.next)
    this.free = new SlotQueue(this.next)
    this.onEvicted = onEvicted
  }

  static bytesFor(slots: number): number {
    return slots * BYTES_PER_SLOT
  }

  /** Dead slots that no queue has let go of yet. */
  get deadSlots(): number {
    return this.small.dead + this.main.dead
  }

  /** In a queue and not dead. */
  isLive(slot: number): boolean {
    const state = this.state[slot] as number
    return (state & QUEUED) !== 0 && (state & DEAD) === 0
  }

  /** A slot in no queue, after an eviction if need be; NO_SLOT when the bounded search met pinned slots only. */
  take(): number {
    if (this.free.count === 0 && this.fresh === this.slots) {
      this.sweep(this.small)
      this.sweep(this.main)
    }
    if (this.free.count > 0) return this.free.pop()
    if (this.fresh < this.slots) return this.fresh++
    for (let step = 0; step < EVICT_STEPS; step++) {
      const slot = this.evictStep()
      if (slot !== NO_SLOT) return slot
    }
    for (let step = 0; step < EVICT_STEPS; step++) {
      const slot = this.forcedStep()
      if (slot !== NO_SLOT) return slot
    }
    return NO_SLOT
  }

  /** Puts a slot from `take` into a queue. */
  admit(slot: number, toMain: boolean): void {
    this.state[slot] = toMain ? MAIN : SMALL
    if (toMain) this.main.push(slot)
    else this.small.push(slot)
  }

  /** Counts a use of a live slot. */
  touch(slot: number): void {
    const state = this.state[slot] as number
    if ((state & USES_MASK) < USES_MAX) this.state[slot] = state + 1
  }

  /** The content of a live slot is void. */
  kill(slot: number): void {
    assert(this.isLive(slot), `slot is not in use slot=${slot}`)
    const state = this.state[slot] as number
    this.state[slot] = state | DEAD
    if ((state & SMALL) !== 0) this.small.dead++
    else this.main.dead++
  }

  pin(slot: number): void {
    this.state[slot] = (this.state[slot] as number) | PINNED
  }

  unpin(slot: number): void {
    this.state[slot] = (this.state[slot] as number) & ~PINNED
  }

  /** One move of the policy: the slot that came free by it, or NO_SLOT when the oldest slot got another round. */
  private evictStep(): number {
    const fromSmall = this.small.count > this.smallTarget || this.main.count === 0
    const queue = fromSmall ? this.small : this.main
    const slot = queue.pop()
    if (slot === NO_SLOT) return NO_SLOT
    const state = this.state[slot] as number
    if ((state & PINNED) !== 0) queue.push(slot)
    else if ((state & DEAD) !== 0) {
      queue.dead--
      return this.freed(slot)
    } else if (fromSmall && (state & USES_MASK) >= USES_TO_STAY) {
      this.promotions++
      this.admit(slot, true)
    } else if (!fromSmall && (state & USES_MASK) > 0) {
      this.state[slot] = state - 1
      queue.push(slot)
    } else {
      this.onEvicted(slot, fromSmall)
      return this.freed(slot)
    }
    return NO_SLOT
  }

  /** Gives up the oldest slot that is not pinned, whatever its uses; the main queue first. */
  private forcedStep(): number {
    const queue = this.main.count > 0 ? this.main : this.small
    const slot = queue.pop()
    if (slot === NO_SLOT) return NO_SLOT
    const state = this.state[slot] as number
    if ((state & PINNED) !== 0) {
      queue.push(slot)
      return NO_SLOT
    }
    if ((state & DEAD) !== 0) queue.dead--
    else {
      this.forcedEvictions++
      this.onEvicted(slot, false)
    }
    return this.freed(slot)
  }

  private freed(slot: number): number {
    this.state[slot] = 0
    return slot
  }

  private sweep(queue: SlotQueue): void {
    if (queue.dead <= queue.count >>> DEAD_SHIFT) return
    for (let step = 0; step < SWEEP_STEPS; step++) {
      const slot = queue.sweepSlot()
      if (slot === NO_SLOT) continue
      if (((this.state[slot] as number) & (DEAD | PINNED)) !== DEAD) {
        queue.sweepKeep(slot)
        continue
      }
      queue.sweepRemove(slot)
      queue.dead--
      this.state[slot] = 0
      this.free.push(slot)
    }
  }
}
