// The front door to the slow device. Everything the engine reads from or writes to the backing goes through here.
//  - One write per 4 KiB block in flight (PROTOCOL.md 2.3, [h-bypass-lock]): overlapping writes and zeroes wait in the
//    order of their arrival, range-locks.ts. Reads are not locked; the engine learns through `listener` when a write
//    starts and ends, so that a read that ran beside it never fills the cache.
//  - Errors belong to the caller: a failed write, zero or flush is reported and never tried again in here. `health`
//    remembers since when and why. Who retries waits `backoffMs` (backoff.ts).
//  - A failed flush moves `flushGeneration` on: the kernel may have dropped the dirty pages, and it reports the error
//    once only. Writes that were acknowledged in an older generation are not known to be durable; they are written
//    again. `flushSince(generation)` fails when the generation has moved, whoever's flush it was that failed.
// Callbacks may run before the call returns. Nothing is allocated per operation in steady state.
import { assert } from '../../base/assert.ts'
import type { Clock, Timer, Timers } from '../../base/clock.ts'
import { IoError } from '../../base/errors.ts'
import type { EventLog } from '../../base/log.ts'
import { BLOCK_BYTES, MIB } from '../../base/units.ts'
import type { Bytes, Ms } from '../../base/units.ts'
import type { AlignedMemory, BackingStorage, ByteRange, IoDone } from '../io/storage.ts'
import { InFlightList, OPERATIONS_MAX, OperationPool } from './backing-operation.ts'
import type { BackingOperation } from './backing-operation.ts'
import { BackingHealth } from './health.ts'
import type { BackingOperationKind } from './health.ts'
import { RangeLocks } from './range-locks.ts'
import { planZero } from './zero-plan.ts'

export { backoffMs } from './backoff.ts'
export { RunCursor } from './coalesce.ts'
export { BackingHealth } from './health.ts'
export { compareIdentity } from './identity.ts'

/** An operation that takes longer makes the backing "not answering" in status; nothing is cancelled. */
export const NOT_ANSWERING_AFTER_MS: Ms = 10_000
const WATCH_INTERVAL_MS: Ms = 1_000
const ZERO_WRITE_BYTES: Bytes = MIB

export interface BackingListener {
  /** The device is about to change [position, position + length). */
  onWriteStart(position: Bytes, length: Bytes): void
  /** It has changed, or failed to: the content is the old, the new, or (on failure) a mixture by sectors. */
  onWriteEnd(position: Bytes, length: Bytes): void
}

export interface BackingStorePorts {
  readonly device: BackingStorage
  readonly clock: Pick<Clock, 'monotonicMs' | 'wallMs'>
  readonly timers: Timers
  readonly log: EventLog
  /** Where the zeros are kept that are written for devices that cannot zero, and at unaligned ends of ranges. */
  readonly memory?: AlignedMemory
}

export class BackingStore {
  readonly health: BackingHealth
  /** Told around every change of the device; at most one. */
  listener: BackingListener | null = null
  /** Told before whoever asked for the flush. */
  onFlushFailed: (() => void) | null = null
  /** Counters for metrics. */
  readonly counters = { reads: 0, readBytes: 0, writes: 0, writtenBytes: 0, zeroedBytes: 0, flushes: 0 }

  private readonly device: BackingStorage
  private readonly clock: BackingStorePorts['clock']
  private readonly timers: Timers
  private readonly log: EventLog
  private readonly memory: AlignedMemory | null
  private readonly pool = new OperationPool((operation, error) => this.onDevice(operation, error))
  private readonly locks = new RangeLocks<BackingOperation>()
  private readonly inFlight = new InFlightList()
  private zeros: Buffer | null = null
  /** The device said EOPNOTSUPP to a zero although it had promised: from then on zeros are written. */
  private zeroRefused = false
  private generation = 0
  private flushing: IoDone[] = []
  private flushWaiting: IoDone[] = []
  private flushInFlight = false
  private granting = false
  private watch: Timer | null = null
  private closing: IoDone | null = null
  private closed = false

  constructor(ports: BackingStorePorts) {
    this.device = ports.device
    this.clock = ports.clock
    this.timers = ports.timers
    this.log = ports.log
    this.memory = ports.memory ?? null
    this.health = new BackingHealth(ports.clock, ports.log)
  }

  get name(): string {
    return this.device.name
  }

  get sizeBytes(): Bytes {
    return this.device.sizeBytes
  }

  get alignmentBytes(): Bytes {
    return this.device.alignmentBytes
  }

  /** False: zeroing costs as much as writing, so discards are better not passed on. */
  get canZero(): boolean {
    return this.device.canZero && !this.zeroRefused
  }

  /** Moves on with every failed flush; see the head of this file. */
  get isClosed(): boolean {
    return this.closed
  }

  get flushGeneration(): number {
    return this.generation
  }

  /** Operations at the device, flushes included. */
  get inFlightCount(): number {
    return this.inFlight.count
  }

  /** Writes and zeroes that wait for an earlier one of the same blocks. */
  get waitingCount(): number {
    return this.locks.waitingCount
  }

  /** Age of the oldest unanswered operation; 0 when the device is idle. */
  get oldestInFlightMs(): Ms {
    const startedMs = this.inFlight.oldestStartedMs
    return startedMs === null ? 0 : this.clock.monotonicMs() - startedMs
  }

  /** The buffer belongs to the device until `done`. */
  // oxlint-disable-next-line eslint/max-params -- the signature of Storage
  read(buffer: Buffer, start: number, length: Bytes, position: Bytes, done: IoDone): void {
    const operation = this.take('read', done)
    this.counters.reads++
    this.counters.readBytes += length
    this.begin(operation)
    this.device.read(buffer, start, length, position, operation.onDevice)
  }

  /** Waits for earlier writes of the same 4 KiB blocks. The buffer must stay unchanged until `done`. */
  // oxlint-disable-next-line eslint/max-params -- the signature of Storage
  write(buffer: Buffer, start: number, length: Bytes, position: Bytes, done: IoDone): void {
    const operation = this.take('write', done)
    operation.buffer = buffer
    operation.start = start
    operation.length = length
    operation.position = position
    operation.lockRange(position, length)
    if (this.locks.acquire(operation)) this.startLocked(operation)
  }

  /**
   * The ranges (multiples of the alignment, none empty, not overlapping) read back as zeros afterwards. Space may be
   * released. Without `memory` the device must be able to zero, and the ranges are multiples of 4 KiB.
   */
  zero(ranges: readonly ByteRange[], done: IoDone): void {
    if (ranges.length === 0) {
      done(null)
      return
    }
    const operation = this.take('zero', done)
    operation.lockRanges(ranges)
    if (this.locks.acquire(operation)) this.startLocked(operation)
  }

  /** Everything whose `done` ran before this call is durable, if its generation is still the present one. */
  flush(done: IoDone): void {
    assert(!this.closed, 'flush after close')
    assert(this.flushWaiting.length < OPERATIONS_MAX, `too many flushes wait limit=${OPERATIONS_MAX}`)
    this.flushWaiting.push(done)
    this.startFlush()
  }

  /**
   * Like flush, but EIO when any flush failed since `generation` was read: the caller reads it before its first write
   * and then knows that all of them are durable.
   */
  flushSince(generation: number, done: IoDone): void {
    this.flush((error) => {
      if (error !== null || this.generation === generation) done(error)
      else done(new IoError('EIO', `another flush failed since the data was written backing=${this.name}`))
    })
  }

  /** Is a write or zero at the device right now that touches this range (by 4 KiB blocks)? */
  overlapsWrite(position: Bytes, length: Bytes): boolean {
    return this.locks.overlapsHeld(Math.floor(position / BLOCK_BYTES), Math.ceil((position + length) / BLOCK_BYTES))
  }

  refreshSize(done: IoDone): void {
    this.device.refreshSize(done)
  }

  /** Waits for everything in flight and waiting, then closes the device. No operation may be started afterwards. */
  close(done: IoDone): void {
    assert(this.closing === null && !this.closed, 'the backing is closed twice')
    this.closing = done
    this.closeIfIdle()
  }

  private take(kind: BackingOperationKind, done: IoDone): BackingOperation {
    assert(!this.closed && (this.closing === null || kind === 'flush'), `operation after close kind=${kind}`)
    const operation = this.pool.take()
    assert(operation !== null, `too many backing operations limit=${OPERATIONS_MAX}`)
    operation.kind = kind
    operation.done = done
    return operation
  }

  private begin(operation: BackingOperation): void {
    operation.startedMs = this.clock.monotonicMs()
    this.inFlight.add(operation)
    this.watch ??= this.timers.after(WATCH_INTERVAL_MS, this.onWatch)
  }

  /** The lock of a write or zero is held: tells the listener and hands it to the device. */
  private startLocked(operation: BackingOperation): void {
    this.begin(operation)
    if (operation.kind === 'write') {
      const { buffer, start, length, position } = operation
      this.counters.writes++
      this.counters.writtenBytes += length
      this.listener?.onWriteStart(position, length)
      this.device.write(buffer, start, length, position, operation.onDevice)
      return
    }
    const ranges = operation.ranges ?? []
    for (const range of ranges) this.listener?.onWriteStart(range.position, range.length)
    const plan = planZero(ranges, this.canZero)
    operation.unwritten = plan.written
    if (plan.zeroed.length > 0) this.device.zero(plan.zeroed, operation.onDevice)
    else this.writeZeros(operation)
  }

  private onDevice(operation: BackingOperation, error: IoError | null): void {
    if (operation.kind === 'flush') this.finishFlush(operation, error)
    else if (operation.kind !== 'zero') this.finish(operation, error)
    else this.onZeroStep(operation, error)
  }

  private onZeroStep(operation: BackingOperation, error: IoError | null): void {
    const refused = error !== null && error.code === 'EOPNOTSUPP' && operation.pieceBytes === 0
    if (refused && !this.zeroRefused) {
      this.zeroRefused = true
      this.log.event('backing.zero_refused', { reason: error.message }, 'warning')
    }
    if (refused && this.memory !== null) {
      operation.unwritten = planZero(operation.ranges ?? [], false).written
    } else if (error !== null) {
      this.finish(operation, error)
      return
    }
    operation.unwrittenBytes += operation.pieceBytes
    const range = operation.unwritten[operation.unwrittenIndex]
    if (range !== undefined && operation.unwrittenBytes === range.length) {
      operation.unwrittenIndex++
      operation.unwrittenBytes = 0
    }
    this.writeZeros(operation)
  }

  /** Writes the next piece of zeros of a zero operation, or ends it. */
  private writeZeros(operation: BackingOperation): void {
    const range = operation.unwritten[operation.unwrittenIndex]
    if (range === undefined) {
      this.finish(operation, null)
      return
    }
    assert(this.memory !== null, `zeros must be written but there is no memory for them backing=${this.name}`)
    this.zeros ??= this.memory.allocate(ZERO_WRITE_BYTES).fill(0)
    const position = range.position + operation.unwrittenBytes
    // Pieces end at multiples of their size, so that a device without a zero call gets aligned writes.
    const toBoundary = ZERO_WRITE_BYTES - (position % ZERO_WRITE_BYTES)
    operation.pieceBytes = Math.min(toBoundary, range.length - operation.unwrittenBytes)
    this.device.write(this.zeros, 0, operation.pieceBytes, position, operation.onDevice)
  }

  private finish(operation: BackingOperation, error: IoError | null): void {
    const { kind, done, ranges, position, length } = operation
    this.inFlight.remove(operation)
    if (error === null) this.health.onSuccess(kind)
    else this.health.onFailure(kind, error)
    if (kind !== 'read') this.locks.release(operation)
    if (kind === 'write') this.listener?.onWriteEnd(position, length)
    if (kind === 'zero') {
      for (const range of ranges ?? []) {
        if (error === null) this.counters.zeroedBytes += range.length
        this.listener?.onWriteEnd(range.position, range.length)
      }
    }
    this.pool.give(operation)
    done(error)
    if (kind !== 'read') this.startGranted()
    this.closeIfIdle()
  }

  /** Starts what the released locks let through. A device that answers at once comes back here: the loop goes on. */
  private startGranted(): void {
    if (this.granting) return
    this.granting = true
    for (let next = this.locks.takeGranted(); next !== null; next = this.locks.takeGranted()) this.startLocked(next)
    this.granting = false
  }

  /** One flush at a time: those that come meanwhile share the next one. */
  private startFlush(): void {
    while (!this.flushInFlight && this.flushWaiting.length > 0) {
      this.flushInFlight = true
      const next = this.flushWaiting
      this.flushWaiting = this.flushing
      this.flushing = next
      const operation = this.take('flush', noop)
      this.counters.flushes++
      this.begin(operation)
      this.device.flush(operation.onDevice)
    }
  }

  private finishFlush(operation: BackingOperation, error: IoError | null): void {
    this.inFlight.remove(operation)
    this.pool.give(operation)
    if (error === null) this.health.onSuccess('flush')
    else {
      this.generation++
      this.onFlushFailed?.()
      this.health.onFailure('flush', error)
    }
    const answered = this.flushing
    this.flushing = []
    this.flushInFlight = false
    for (const done of answered) done(error)
    this.startFlush()
    this.closeIfIdle()
  }

  private readonly onWatch = (): void => {
    this.watch = null
    const oldestMs = this.oldestInFlightMs
    if (oldestMs >= NOT_ANSWERING_AFTER_MS) this.health.onNotAnswering(oldestMs)
    else this.health.onAnswering()
    if (this.inFlight.count > 0) this.watch = this.timers.after(WATCH_INTERVAL_MS, this.onWatch)
  }

  private closeIfIdle(): void {
    const busy = this.inFlight.count > 0 || this.locks.waitingCount > 0 || this.flushWaiting.length > 0
    if (this.closing === null || busy) return
    const done = this.closing
    this.closing = null
    this.closed = true
    this.watch?.cancel()
    this.watch = null
    this.device.close(done)
  }
}

const noop: IoDone = () => {}
