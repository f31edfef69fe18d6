// Time as ports. Nothing below the edge asks the operating system for the time or sets a timer itself: the simulator
// owns both.
import type { Ms } from './units.ts'

export interface Clock {
  /** Monotonic, fractional, any origin. Stops during a suspend of the host. */
  monotonicMs(): Ms
  /** Monotonic, counts suspends too (CLOCK_BOOTTIME). About 7 µs a call: once per batch, not per request. */
  bootMs(): Ms
  /** Wall clock since 1970, for people and for ages that outlive a reboot; may jump. */
  wallMs(): Ms
}

export interface Timer {
  /** Idempotent; after it the callback never runs. */
  cancel(): void
}

export interface Timers {
  /** Runs `callback` once, not before `delayMs` from now. Does not keep the process alive by itself. */
  after(delayMs: Ms, callback: () => void): Timer
  /** Runs `callback` after the current callback has ended, before the next I/O is looked at. */
  soon(callback: () => void): void
}
