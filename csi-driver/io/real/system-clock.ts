// The clocks and timers of the operating system behind the ports of base/clock.ts. Timers do not keep the process
// alive: what has to keep it alive (a front end, a socket) does so itself.
import { uptime } from 'node:os'
import type { Clock, Timer, Timers } from '../../../base/clock.ts'

/** setTimeout fires at once for anything longer. */
const DELAY_MS_MAX = 2 ** 31 - 1

export const systemClock: Clock = {
  monotonicMs: () => performance.now(),
  // CLOCK_BOOTTIME by way of libuv, in hundredths of a second.
  bootMs: () => uptime() * 1000,
  wallMs: () => Date.now(),
}

export const systemTimers: Timers = {
  after(delayMs: number, callback: () => void): Timer {
    const handle = setTimeout(callback, Math.min(delayMs, DELAY_MS_MAX))
    handle.unref()
    return { cancel: () => clearTimeout(handle) }
  },
  soon(callback: () => void): void {
    process.nextTick(callback)
  },
}
