// What is known about the backing device's well-being: failing since when and why, full, not answering. Decides
// nothing: destage retries, status and events tell people. Each kind of operation is judged by its own outcomes, since
// a full thin volume still reads and a dead path may still accept writes into a cache.
import type { Clock } from '../../base/clock.ts'
import type { IoError } from '../../base/errors.ts'
import type { EventLog } from '../../base/log.ts'
import type { Ms } from '../../base/units.ts'

export type BackingOperationKind = 'read' | 'write' | 'zero' | 'flush'

/** errno names that mean: no space behind a thin volume or below a quota. */
const FULL_CODES: readonly string[] = ['ENOSPC', 'EDQUOT']

class KindHealth {
  failingSinceWallMs: Ms | null = null
  code = ''
  message = ''
  consecutiveFailures = 0
}

export class BackingHealth {
  private readonly clock: Pick<Clock, 'wallMs'>
  private readonly log: EventLog
  private readonly kinds = {
    read: new KindHealth(),
    write: new KindHealth(),
    zero: new KindHealth(),
    flush: new KindHealth(),
  }
  /** Operations that failed since the start, by kind; for metrics. */
  readonly failures = { read: 0, write: 0, zero: 0, flush: 0 }
  /** Wall time since which an operation has been unanswered for too long; null when all answer. */
  notAnsweringSinceWallMs: Ms | null = null

  constructor(clock: Pick<Clock, 'wallMs'>, log: EventLog) {
    this.clock = clock
    this.log = log
  }

  /** Begin of the oldest failure that has not been followed by a success of its kind; null when all is well. */
  get failingSinceWallMs(): Ms | null {
    let since: Ms | null = null
    for (const one of Object.values(this.kinds)) {
      if (one.failingSinceWallMs !== null && (since === null || one.failingSinceWallMs < since)) {
        since = one.failingSinceWallMs
      }
    }
    return since
  }

  /** What is wrong now, for people: writes first, then flush, zero, read; null when all is well. */
  get lastError(): string | null {
    if (this.full) return 'thin backing full'
    const { write, flush, zero, read } = this.kinds
    const worst = [write, flush, zero, read].find((one) => one.failingSinceWallMs !== null)
    if (worst !== undefined) return worst.message
    return this.notAnsweringSinceWallMs === null ? null : 'backing does not answer'
  }

  /** Writes fail because there is no space behind the device. */
  get full(): boolean {
    return FULL_CODES.includes(this.kinds.write.code)
  }

  /** Failures in a row of the kind that fails most. */
  get consecutiveFailures(): number {
    return Math.max(...Object.values(this.kinds).map((one) => one.consecutiveFailures))
  }

  /** After every operation. Costs one comparison while all is well. */
  onSuccess(kind: BackingOperationKind): void {
    const one = this.kinds[kind]
    if (one.failingSinceWallMs === null) return
    const failedForMs = Math.round(this.clock.wallMs() - one.failingSinceWallMs)
    const failures = one.consecutiveFailures
    one.failingSinceWallMs = null
    one.code = ''
    one.message = ''
    one.consecutiveFailures = 0
    this.log.event('backing.recovered', { operation: kind, failures, failedForMs })
  }

  onFailure(kind: BackingOperationKind, error: IoError): void {
    const one = this.kinds[kind]
    this.failures[kind]++
    one.consecutiveFailures++
    one.failingSinceWallMs ??= this.clock.wallMs()
    one.message = error.message
    if (one.code === error.code) return
    one.code = error.code
    const name = kind === 'write' && this.full ? 'backing.full' : 'backing.failing'
    this.log.event(name, { operation: kind, errno: error.code, reason: error.message }, 'error')
  }

  onNotAnswering(oldestMs: Ms): void {
    if (this.notAnsweringSinceWallMs !== null) return
    this.notAnsweringSinceWallMs = this.clock.wallMs() - oldestMs
    this.log.event('backing.not_answering', { oldestMs: Math.round(oldestMs) }, 'error')
  }

  onAnswering(): void {
    if (this.notAnsweringSinceWallMs === null) return
    const stalledMs = Math.round(this.clock.wallMs() - this.notAnsweringSinceWallMs)
    this.notAnsweringSinceWallMs = null
    this.log.event('backing.answering', { stalledMs })
  }
}
