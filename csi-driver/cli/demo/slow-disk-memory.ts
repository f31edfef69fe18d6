// What a slow disk does: every read, write, discard and flush takes the same time, with some of them in flight and the
// others waiting in order. The content lives in memory and changes when a request is taken, so that only the answer is
// late. On command it fails, is full, or hangs. Nothing here knows FUSE or loop devices.
import type { Clock, Timers } from '../../../base/clock.ts'
import type { Bytes } from '../../../base/units.ts'
import type { Request, RequestResult, RequestSink } from '../../engine/request.ts'
import {
  REQUEST_FLUSH,
  REQUEST_OK,
  REQUEST_READ,
  REQUEST_WRITE,
  REQUEST_ZERO,
  type RequestKind,
} from '../../engine/request.ts'

export const SLOW_DISK_IN_FLIGHT_MAX = 32
/** Memory is cleared in pieces of this size, and only those that something was written to. */
const PIECE_BYTES = 64 * 1024

export const SLOW_DISK_KINDS = {
  read: REQUEST_READ,
  write: REQUEST_WRITE,
  zero: REQUEST_ZERO,
  flush: REQUEST_FLUSH,
} as const satisfies Record<string, RequestKind>
export type SlowDiskKind = keyof typeof SLOW_DISK_KINDS

export interface SlowDiskCounters {
  reads: number
  writes: number
  writtenBytes: number
  /** Writes that begin where the one before ended, or behind it: all of a sweep, half of those in random order. */
  forwardWrites: number
  zeroes: number
  flushes: number
  failed: number
}

interface Late {
  readonly request: Request
  readonly result: RequestResult
  readonly dueMs: number
}

export interface SlowDiskParts {
  /** The disk at its largest. */
  readonly content: Buffer
  /** How much of it is visible at first. */
  readonly sizeBytes: number
  readonly latencyMs: number
  /** Requests that take their time together; the others wait. */
  readonly inFlightMax?: number
  readonly clock: Pick<Clock, 'monotonicMs'>
  readonly timers: Pick<Timers, 'after'>
}

export class SlowDiskMemory implements RequestSink {
  readonly counters: SlowDiskCounters = {
    ...{ reads: 0, writes: 0, writtenBytes: 0, forwardWrites: 0 },
    ...{ zeroes: 0, flushes: 0, failed: 0 },
  }
  readonly canZero = true
  sizeBytes: number
  latencyMs: number
  private readonly inFlightMax: number
  private readonly content: Buffer
  private readonly written: Uint8Array
  private readonly failing = new Map<RequestKind, RequestResult>()
  private readonly waiting: Request[] = []
  private readonly results = new Map<Request, RequestResult>()
  private readonly late: Late[] = []
  private writtenEnd: Bytes = 0
  private hanging = false
  private armed = false
  private readonly clock: Pick<Clock, 'monotonicMs'>
  private readonly timers: Pick<Timers, 'after'>

  constructor({ content, sizeBytes, latencyMs, inFlightMax, clock, timers }: SlowDiskParts) {
    this.content = content
    this.inFlightMax = inFlightMax ?? SLOW_DISK_IN_FLIGHT_MAX
    this.sizeBytes = sizeBytes
    this.latencyMs = latencyMs
    this.clock = clock
    this.timers = timers
    this.written = new Uint8Array(Math.ceil(content.length / PIECE_BYTES))
  }

  submit(request: Request): void {
    const result = this.failing.get(request.kind) ?? REQUEST_OK
    if (result === REQUEST_OK) this.apply(request)
    else this.counters.failed++
    // The payload of a write is gone after this call; its fate is decided here, only the answer waits.
    this.waiting.push(request)
    this.results.set(request, result)
    this.advance()
  }

  kick(): void {
    // Nothing is gathered.
  }

  /** Requests of these kinds fail with `result` from now on. */
  fail(kinds: readonly SlowDiskKind[], result: RequestResult): void {
    for (const kind of kinds) this.failing.set(SLOW_DISK_KINDS[kind], result)
  }

  /** Answers nothing until `heal`. */
  hang(): void {
    this.hanging = true
  }

  heal(): void {
    this.failing.clear()
    this.hanging = false
    this.advance()
  }

  /** Grows the disk, within the memory that it was made with. */
  grow(sizeBytes: number): boolean {
    if (sizeBytes < this.sizeBytes || sizeBytes > this.content.length) return false
    this.sizeBytes = sizeBytes
    return true
  }

  private apply(request: Request): void {
    const { kind, offset, length } = request
    if (kind === REQUEST_READ) {
      this.counters.reads++
      this.content.copy(request.data, request.dataStart, offset, offset + length)
    } else if (kind === REQUEST_WRITE) {
      this.counters.writes++
      this.counters.writtenBytes += length
      if (offset >= this.writtenEnd) this.counters.forwardWrites++
      this.writtenEnd = offset + length
      this.written.fill(1, Math.floor(offset / PIECE_BYTES), Math.ceil((offset + length) / PIECE_BYTES))
      request.data.copy(this.content, offset, request.dataStart, request.dataStart + length)
    } else if (kind === REQUEST_ZERO) {
      this.counters.zeroes++
      this.zero(offset, offset + length)
    } else this.counters.flushes++
  }

  private zero(start: number, end: number): void {
    for (let position = start; position < end; ) {
      const piece = Math.floor(position / PIECE_BYTES)
      const next = Math.min(end, (piece + 1) * PIECE_BYTES)
      if (this.written[piece] === 1) this.content.fill(0, position, next)
      position = next
    }
  }

  /** Starts what has room, answers what is due, and comes back for the rest. */
  private advance(): void {
    if (this.hanging) return
    const nowMs = this.clock.monotonicMs()
    let answered = 0
    for (const { request, result, dueMs } of this.late) {
      if (dueMs > nowMs) break
      answered++
      request.complete(result)
    }
    this.late.splice(0, answered)
    const started = this.waiting.splice(0, this.inFlightMax - this.late.length)
    for (const request of started) {
      const result = this.results.get(request) ?? REQUEST_OK
      this.results.delete(request)
      this.late.push({ request, result, dueMs: nowMs + this.latencyMs })
    }
    this.arm()
  }

  private arm(): void {
    const [first] = this.late
    if (first === undefined || this.armed) return
    this.armed = true
    this.timers.after(Math.max(0, first.dueMs - this.clock.monotonicMs()), () => {
      this.armed = false
      this.advance()
    })
  }
}
