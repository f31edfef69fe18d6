// The lease that one store gives to the owner (rules 8.1 and 8.3 of the replication protocol): an answered heartbeat
// counts from when it was sent, and only for the life of the store that answered. Times are monotonic; that the clock
// stops while the host sleeps is noticed by SleepWatch.
import type { Clock } from '../../../base/clock.ts'
import type { Ms } from '../../../base/units.ts'
import { LEASE_MS } from '../../protocol/lease-times.ts'

/** Heartbeats whose send time is remembered: more than are sent within one lease. */
export const HEARTBEATS_REMEMBERED = 16

export class PeerLease {
  /** Monotonic time; -Infinity: none is held. */
  untilMs: Ms = Number.NEGATIVE_INFINITY
  private readonly sentAtMs = new Float64Array(HEARTBEATS_REMEMBERED).fill(Number.NEGATIVE_INFINITY)
  private lastNumber = 0

  /** The number of a heartbeat that is sent now. */
  send(nowMs: Ms): number {
    this.lastNumber += 1
    this.sentAtMs[this.lastNumber % HEARTBEATS_REMEMBERED] = nowMs
    return this.lastNumber
  }

  /** An answer. True: the lease lasts longer than before. Answers to what was never sent or long ago mean nothing. */
  answered(number: number): boolean {
    const oldest = Math.max(1, this.lastNumber - HEARTBEATS_REMEMBERED + 1)
    if (!(number >= oldest && number <= this.lastNumber)) return false
    const untilMs = (this.sentAtMs[number % HEARTBEATS_REMEMBERED] as number) + LEASE_MS
    if (untilMs <= this.untilMs) return false
    this.untilMs = untilMs
    return true
  }

  /** Nothing given so far counts: another life of the store, a release, a sleep. */
  void(): void {
    this.untilMs = Number.NEGATIVE_INFINITY
    this.sentAtMs.fill(Number.NEGATIVE_INFINITY)
  }
}

/** Shorter than this it is no sleep but the coarse tick of the boot clock. */
export const SLEEP_MS: Ms = 100

/** Tells that the host has slept: then the monotonic clock has lost time that the stores' clocks have not. */
export class SleepWatch {
  private readonly clock: Clock
  private offsetMs: Ms

  constructor(clock: Clock) {
    this.clock = clock
    this.offsetMs = clock.bootMs() - clock.monotonicMs()
  }

  /** True once per sleep. Costs a look at the boot clock: once per batch, not per request. */
  slept(): boolean {
    const offsetMs = this.clock.bootMs() - this.clock.monotonicMs()
    const slept = offsetMs - this.offsetMs > SLEEP_MS
    // Small steps must not add up unseen, so the origin moves only with a sleep or backwards.
    if (slept || offsetMs < this.offsetMs) this.offsetMs = offsetMs
    return slept
  }
}
