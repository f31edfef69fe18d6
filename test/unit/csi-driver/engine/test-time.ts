// A clock and timers that a test moves by hand, in one: nothing happens until time is advanced, and then in order.
import type { Clock, Timer, Timers } from '../../../../base/clock.ts'
import { setImmediate as afterMicrotasks } from 'node:timers'

/** Lets every promise reaction run that is due. */
export async function settle(): Promise<void> {
  for (let i = 0; i < 4; i += 1) await new Promise<void>((resolve) => void afterMicrotasks(resolve))
}

interface SetTimer {
  readonly atMs: number
  readonly order: number
  readonly callback: () => void
}

/** Clock and timers of one life of an engine; time moves only by `advance`. */
export class TestTime implements Clock, Timers {
  nowMs = 1_000_000
  private order = 0
  private set: SetTimer[] = []

  monotonicMs(): number {
    return this.nowMs
  }
  bootMs(): number {
    return this.nowMs
  }
  wallMs(): number {
    return Math.floor(1_700_000_000_000 + this.nowMs)
  }

  after(delayMs: number, callback: () => void): Timer {
    const timer = { atMs: this.nowMs + delayMs, order: ++this.order, callback }
    this.set.push(timer)
    return { cancel: () => void (this.set = this.set.filter((one) => one !== timer)) }
  }

  soon(callback: () => void): void {
    queueMicrotask(callback)
  }

  get timers(): number {
    return this.set.length
  }

  /** The process that set them is gone. */
  clear(): void {
    this.set = []
  }

  /** Moves on, timer by timer, and lets promises settle after each. */
  async advance(ms: number): Promise<void> {
    const endMs = this.nowMs + ms
    await settle()
    for (;;) {
      const due = this.set.filter((one) => one.atMs <= endMs).sort((a, b) => a.atMs - b.atMs || a.order - b.order)[0]
      if (due === undefined) break
      this.set = this.set.filter((one) => one !== due)
      this.nowMs = Math.max(this.nowMs, due.atMs)
      due.callback()
      await settle()
    }
    this.nowMs = endMs
  }
}
