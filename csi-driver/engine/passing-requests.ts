// Reads and flushes: they pass writes that wait for space. Three things hold them up: a change of the register whose
// outcome forbids answers, or a lease that has run out (rules 1.2, 8.1); and, for a read, a write past the log to its
// blocks that is not answered yet: that may be sent again after a crash and land once more, so that a reader who saw it
// before would see time run backwards (invariant 8). Logged writes are recognised when they come again and need no
// waiting. What became unanswerable while it was under way waits here, too.
import { assert } from '../../base/assert.ts'
import type { Ms } from '../../base/units.ts'
import type { EngineCore } from './engine-core.ts'
import { PARKED_REQUESTS_MAX } from './parked-requests.ts'
import type { Request, RequestResult } from './request.ts'
import { REQUEST_OK, REQUEST_READ } from './request.ts'
import { resultOf, type ThroughPath } from './through-path.ts'

/** A turn of the loop that seems longer may have been cut in two by a sleep of the host. */
const TURN_MS: Ms = 50

export class PassingRequests {
  private readonly core: EngineCore
  private readonly through: ThroughPath
  private readonly startRead: (request: Request) => void
  private waiting: Request[] = []
  /** Wall time of the last look for a sleep; 0: not in this turn of the loop. */
  private noticedWallMs: Ms = 0
  /** Flushes that have ended while nothing might be answered. */
  private flushed: { readonly request: Request; readonly result: RequestResult }[] = []

  constructor(core: EngineCore, through: ThroughPath, startRead: (request: Request) => void) {
    this.core = core
    this.through = through
    this.startRead = startRead
  }

  get count(): number {
    return this.waiting.length + this.flushed.length
  }

  submit(request: Request): void {
    this.noticeSleep()
    const isRead = request.kind === REQUEST_READ
    if (!this.core.mayAnswer || (isRead && this.core.maySeeUnanswered)) this.hold(request)
    else if (!isRead) this.flush(request)
    else if (!this.seesUnanswered(request)) this.startRead(request)
    else this.hold(request)
  }

  /** Asked when a read has its data: true when it must not be answered now; it starts again later. */
  takesBack(request: Request, missed: boolean): boolean {
    this.noticeSleep()
    if (this.core.mayAnswer && !(missed && this.seesUnanswered(request))) return false
    this.hold(request)
    return true
  }

  /** Call when something ended that may have held requests up. */
  release(): void {
    if (this.count === 0 || !this.core.mayAnswer) return
    const { flushed } = this
    this.flushed = []
    for (const { request, result } of flushed) request.complete(result)
    if (this.waiting.length === 0 || this.core.maySeeUnanswered) return
    const { waiting } = this
    this.waiting = []
    for (const request of waiting) this.submit(request)
  }

  /**
   * Once per turn of the loop: requests that waited in the kernel while the host slept come before any timer. A turn takes
   * many requests, and the host may sleep in the middle of it: the wall clock, which costs next to nothing, tells that.
   */
  private noticeSleep(): void {
    const { copies, ports } = this.core
    if (copies.peers === null) return
    const nowMs = ports.clock.wallMs()
    const sinceMs = nowMs - this.noticedWallMs
    if (sinceMs >= 0 && sinceMs < TURN_MS) return
    const isFirst = this.noticedWallMs === 0
    this.noticedWallMs = nowMs
    copies.peers.noticeSleep()
    if (!isFirst) return
    ports.timers.soon(() => {
      this.noticedWallMs = 0
    })
  }

  private seesUnanswered(request: Request): boolean {
    return this.through.active > 0 && this.through.touches(request.offset, request.length)
  }

  private hold(request: Request): void {
    assert(this.waiting.length < PARKED_REQUESTS_MAX, `too many requests wait limit=${PARKED_REQUESTS_MAX}`)
    this.waiting.push(request)
  }

  private flush(request: Request): void {
    const { core } = this
    core.counters.flushes += 1
    if (!core.unflushed.any && (core.phase !== 'WriteThrough' || core.flushBeforeAck)) {
      request.complete(REQUEST_OK)
      return
    }
    core.unflushed.flush((error) => {
      const result = resultOf(error)
      if (core.mayAnswer) request.complete(result)
      else this.flushed.push({ request, result })
    })
  }
}
