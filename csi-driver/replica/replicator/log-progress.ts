// How far the log of one volume has come, as all links see it: the batch in flight, the last one that everybody waited for
// has acknowledged, the trim. At most one batch and one trim are in flight; the objects are re-used for the next.
import { assert } from '../../../base/assert.ts'
import type { Clock } from '../../../base/clock.ts'
import type { BatchSeq, Bytes, Ms } from '../../../base/units.ts'
import { type BatchFrame, ENVELOPE_FIXED_BYTES, sentHeaderBytesOf } from '../wire/envelope.ts'
import { EnvelopeBuffer } from '../wire/envelope-buffer.ts'
import { type BatchIdentity, BatchMark } from './batch-mark.ts'
import type { PayloadCoder } from './payloads.ts'

/** Deadlines are looked at this often. */
export const TICK_MS: Ms = 100

/** Batches that took longer are not measured. */
const MEASURED_MS_MAX: Ms = 500

/**
 * Time in which this process was awake, counted by ticks. After a pause (a stopped process, a sleeping host) the answers
 * of our peers wait unread in the sockets: by the clock everybody would be late.
 */
export class AttendedTime {
  nowMs: Ms = 0
  private readonly clock: Clock
  private lastMs: Ms

  constructor(clock: Clock) {
    this.clock = clock
    this.lastMs = clock.monotonicMs()
  }

  tick(): void {
    const clockMs = this.clock.monotonicMs()
    this.nowMs += Math.min(clockMs - this.lastMs, 2 * TICK_MS)
    this.lastMs = clockMs
  }

  /** Whether more than `limitMs` have passed since `sinceMs`, which was taken from here and may be one tick too old. */
  isOver(sinceMs: Ms, limitMs: Ms): boolean {
    return this.nowMs - sinceMs >= limitMs + TICK_MS
  }
}

/** The batch in flight. */
export class Flight {
  active = false
  /** Attended time. */
  startedAtMs: Ms = 0
  readonly mark = new BatchMark()
  private readonly payloads: PayloadCoder
  private readonly clock: Clock
  private readonly buffer = new EnvelopeBuffer()
  private frame: BatchFrame | null = null
  private isEncoded = false
  private done: (() => void) | null = null
  /** Monotonic time of the encoding. */
  private encodedAtMs: Ms = 0

  constructor(payloads: PayloadCoder, clock: Clock) {
    this.payloads = payloads
    this.clock = clock
  }

  get batchSeq(): BatchSeq {
    return this.mark.batchSeq
  }

  /** Encoded when first asked for, once for all links. */
  get envelope(): EnvelopeBuffer {
    const { frame } = this
    assert(frame !== null, 'a batch is in flight')
    if (!this.isEncoded) {
      this.isEncoded = true
      const payloadStart = frame.start + frame.headerBytes
      this.buffer.fill(frame, this.payloads.choose(frame.buffer, payloadStart, frame.payloadBytes))
      this.encodedAtMs = this.clock.monotonicMs()
    }
    return this.buffer
  }

  /** What goes over the wire of it to each peer; 0 while it goes to none. */
  get sentBytes(): Bytes {
    return this.isEncoded ? this.buffer.body.length : 0
  }

  begin(frame: BatchFrame, startedAtMs: Ms, done: () => void): void {
    assert(!this.active, 'one batch is in flight at a time')
    this.mark.read(frame)
    this.active = true
    this.startedAtMs = startedAtMs
    this.frame = frame
    this.isEncoded = false
    this.done = done
  }

  end(): () => void {
    const { done, frame } = this
    assert(frame !== null && done !== null, 'a batch is in flight')
    if (this.isEncoded) this.measure(frame)
    this.active = false
    this.isEncoded = false
    this.frame = null
    this.done = null
    return done
  }

  private measure(frame: BatchFrame): void {
    const elapsedMs = this.clock.monotonicMs() - this.encodedAtMs
    // A batch that waited for a peer to come back says nothing about the link.
    if (elapsedMs >= MEASURED_MS_MAX) return
    const payloadBytes = this.sentBytes - ENVELOPE_FIXED_BYTES - sentHeaderBytesOf(frame)
    this.payloads.sent(frame.payloadBytes, payloadBytes, elapsedMs)
  }
}

/** A trim that not everybody has answered. */
export class TrimInFlight {
  active = false
  /** Attended time. */
  startedAtMs: Ms = 0
  private done: (() => void) | null = null

  begin(startedAtMs: Ms, done: () => void): void {
    assert(!this.active, 'one trim is in flight at a time')
    this.active = true
    this.startedAtMs = startedAtMs
    this.done = done
  }

  end(): () => void {
    const { done } = this
    assert(done !== null, 'a trim is in flight')
    this.active = false
    this.done = null
    return done
  }
}

export class LogProgress {
  readonly flight: Flight
  readonly trim = new TrimInFlight()
  /** Last batch that was given to append, or that stood in the log before. */
  appendedSeq: BatchSeq = 0
  /** Everything up to it is destaged: no copy need keep it. */
  trimSeq: BatchSeq = 0
  private readonly completedMark = new BatchMark()

  constructor(payloads: PayloadCoder, clock: Clock) {
    this.flight = new Flight(payloads, clock)
  }

  /** The last batch that everybody waited for has acknowledged. */
  get completed(): BatchIdentity {
    return this.completedMark.identity
  }

  get completedSeq(): BatchSeq {
    return this.completedMark.batchSeq
  }

  /** Before the first append: all members hold exactly this. */
  startAt(completed: BatchIdentity, trimSeq: BatchSeq): void {
    this.appendedSeq = completed.batchSeq
    this.completedMark.set(completed)
    this.trimSeq = trimSeq
  }

  append(frame: BatchFrame, startedAtMs: Ms, done: () => void): void {
    this.flight.begin(frame, startedAtMs, done)
    assert(this.flight.batchSeq === this.appendedSeq + 1, `batches are numbered batchSeq=${this.flight.batchSeq}`)
    this.appendedSeq = this.flight.batchSeq
  }

  /** Everybody has the batch in flight. Returns what is to be called after everything else is in order. */
  complete(): () => void {
    this.completedMark.copyFrom(this.flight.mark)
    return this.flight.end()
  }
}
