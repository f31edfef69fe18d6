// Starts parts in order and stops them in reverse. One AbortSignal tells everything that is still starting or running
// that the end has begun. A part that fails to start stops the parts before it; a part that fails to stop does not
// keep the others from being stopped, its error is thrown at the end.
import { assert } from './assert.ts'
import type { EventLog } from './log.ts'

export interface Part {
  readonly name: string
  /** Called once, after the parts before it have started. May look at the signal while it waits. */
  start(signal: AbortSignal): Promise<void> | void
  /** Called once if `start` succeeded, after the parts behind it were stopped. */
  stop(): Promise<void> | void
}

export class Lifecycle {
  private readonly log: EventLog
  private readonly abort = new AbortController()
  private readonly started: Part[] = []
  private stopping: Promise<void> | null = null

  constructor(log: EventLog) {
    this.log = log
  }

  /** Aborted when stopping begins. */
  get signal(): AbortSignal {
    return this.abort.signal
  }

  /** Starts `part`; when that fails everything started is stopped and the error is thrown on. */
  async start(part: Part): Promise<void> {
    assert(this.stopping === null, `started after the stop part=${part.name}`)
    try {
      await part.start(this.signal)
    } catch (error) {
      this.log.event('lifecycle.start_failed', { part: part.name, reason: String(error) }, 'error')
      // The reason of the failed start is what the user needs; a failure to stop after it is only logged.
      await this.stop().catch(() => {})
      throw error
    }
    this.started.push(part)
    this.log.event('lifecycle.started', { part: part.name }, 'debug')
    // Somebody stopped while this part was starting: it is stopped here, since the stop did not know it.
    if (this.stopping !== null) await this.stopAll()
  }

  /** Stops everything, last started first. A second call waits for the first. Throws the first error of a part. */
  stop(): Promise<void> {
    this.stopping ??= this.stopAll()
    return this.stopping
  }

  private async stopAll(): Promise<void> {
    this.abort.abort()
    const errors: unknown[] = []
    for (let part = this.started.pop(); part !== undefined; part = this.started.pop()) {
      try {
        // One after the other on purpose: a part may use those that were started before it until it has stopped.
        // oxlint-disable-next-line eslint/no-await-in-loop
        await part.stop()
        this.log.event('lifecycle.stopped', { part: part.name }, 'debug')
      } catch (error) {
        this.log.event('lifecycle.stop_failed', { part: part.name, reason: String(error) }, 'error')
        errors.push(error)
      }
    }
    if (errors.length > 0) throw errors[0]
  }
}
