// Signals that come before the volume is open. Nothing is known then of what is dirty, so whoever ends now never says that
// everything is on the backing (EXIT_CLEAN).
//   first start   nobody uses the device yet: ends at once, as a start that failed
//   restart       the device has users: the first signal counts when the volume is open, the second one stops at once
import type { EventLog } from '../../base/log.ts'
import { EXIT_DIRTY, EXIT_FAILURE } from '../holder/exit-status.ts'

export class EarlySignals {
  private readonly start: 'first' | 'restart'
  private readonly log: EventLog
  private readonly exit = Promise.withResolvers<number>()
  private waiting = 0

  constructor(start: 'first' | 'restart', log: EventLog) {
    this.start = start
    this.log = log
  }

  /** The exit status of a process that ends before its volume is open. */
  get ended(): Promise<number> {
    return this.exit.promise
  }

  take(): void {
    if (this.start === 'first') {
      this.log.event('serve.stopped_before_ready', {}, 'warning')
      this.exit.resolve(EXIT_FAILURE)
      return
    }
    this.waiting += 1
    if (this.waiting > 1) {
      this.log.event('serve.stopping_at_once', { reason: 'while it was being opened again' }, 'warning')
      this.exit.resolve(EXIT_DIRTY)
      return
    }
    const reason = 'the volume is being opened again and stops in order then; a second signal stops at once'
    this.log.event('serve.stop_waits', { reason })
  }

  /** The volume is open: what has waited goes where signals go from now on. */
  passOn(signal: () => void): void {
    if (this.waiting > 0) signal()
    this.waiting = 0
  }
}
