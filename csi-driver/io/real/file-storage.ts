// Storage over an open descriptor: the cache on flash (O_DIRECT|O_DSYNC) or in memory (tmpfs), and what else is read
// and written at positions. A call runs on the engine's thread where it cannot wait long, in libuv's thread pool
// otherwise (latency-guard.ts):
// - memory: always on the thread; it is a copy.
// - flash, write: on the thread while the device is fast and the transfer is short. There is one log write in flight.
// - flash, read: those of one turn are collected; a lone one goes on the thread, several go to the pool together.
// Short transfers are continued; one that moves nothing is EIO. Order between transfers is the caller's business.
import { close, read, readSync, write, writeSync } from 'node:fs'
import { assert } from '../../../base/assert.ts'
import type { Clock, Timers } from '../../../base/clock.ts'
import { IoError } from '../../../base/errors.ts'
import type { Bytes, Ms } from '../../../base/units.ts'
import { KIB } from '../../../base/units.ts'
import type { IoDone, Storage } from '../storage.ts'
import { errnoName, toIoError } from './errno.ts'
import { LatencyGuard } from './latency-guard.ts'

/** Calls must be faster on the average for the engine to wait for them itself (datapath §7.2, §7.7). */
const SYNC_LATENCY_MS_MAX: Ms = 0.5
/** Longer transfers take longer than that by their length alone. */
const SYNC_WRITE_BYTES_MAX: Bytes = 256 * KIB
const SYNC_READ_BYTES_MAX: Bytes = 64 * KIB
/** A call that signals keep interrupting. */
const INTERRUPTIONS_MAX = 1000

export interface FileStorageOptions {
  readonly fd: number
  readonly name: string
  readonly sizeBytes: Bytes
  readonly alignmentBytes: Bytes
  /** `always`: memory. `fast`: while the device is. `never`: whatever may hang, say a network file system. */
  readonly sync: 'always' | 'fast' | 'never'
  /** How `flush` makes writes durable; absent where each write is when it is done, or where nothing can be. */
  readonly flush?: (fd: number, done: IoDone) => void
  readonly clock: Clock
  readonly timers: Timers
}

/** Plain numbers that only grow. */
export interface FileStorageCounters {
  syncReads: number
  poolReads: number
  syncWrites: number
  poolWrites: number
}

type Direction = 'read' | 'write'

/** One transfer; pooled. */
class Transfer {
  direction: Direction = 'read'
  buffer: Buffer = Buffer.alloc(0)
  start = 0
  length = 0
  position = 0
  moved = 0
  startedMs = 0
  done: IoDone | null = null
  /** Made once: what the thread pool calls. */
  readonly onMoved: (error: NodeJS.ErrnoException | null, moved: number) => void

  constructor(onMoved: (transfer: Transfer, error: NodeJS.ErrnoException | null, moved: number) => void) {
    this.onMoved = (error, moved) => onMoved(this, error, moved)
  }
}

export class FileStorage implements Storage {
  readonly name: string
  readonly alignmentBytes: Bytes
  readonly counters: FileStorageCounters = { syncReads: 0, poolReads: 0, syncWrites: 0, poolWrites: 0 }
  private readonly options: FileStorageOptions
  private readonly fd: number
  private readonly readGuard = new LatencyGuard(SYNC_LATENCY_MS_MAX)
  private readonly writeGuard = new LatencyGuard(SYNC_LATENCY_MS_MAX)
  private readonly free: Transfer[] = []
  private collected: Transfer[] = []
  private flushing: Transfer[] = []
  private readsInPool = 0
  private inFlight = 0
  private bytes: Bytes
  private closing: IoDone | null = null

  constructor(options: FileStorageOptions) {
    this.options = options
    this.fd = options.fd
    this.name = options.name
    this.bytes = options.sizeBytes
    this.alignmentBytes = options.alignmentBytes
  }

  get sizeBytes(): Bytes {
    return this.bytes
  }

  /** The file or device has been looked at again. */
  set sizeBytes(bytes: Bytes) {
    this.bytes = bytes
  }

  // oxlint-disable-next-line eslint/max-params -- the port of io/storage.ts
  read(buffer: Buffer, start: number, length: Bytes, position: Bytes, done: IoDone): void {
    const transfer = this.begin('read', done)
    if (!this.place(transfer, { buffer, start, length, position })) return
    if (this.options.sync === 'always') return this.runSync(transfer)
    if (this.options.sync === 'never' || length > SYNC_READ_BYTES_MAX) return this.runInPool(transfer)
    this.collected.push(transfer)
    if (this.collected.length === 1) this.options.timers.soon(this.startCollected)
  }

  // oxlint-disable-next-line eslint/max-params -- the port of io/storage.ts
  write(buffer: Buffer, start: number, length: Bytes, position: Bytes, done: IoDone): void {
    const transfer = this.begin('write', done)
    if (!this.place(transfer, { buffer, start, length, position })) return
    const short = length <= SYNC_WRITE_BYTES_MAX && this.options.sync === 'fast'
    if (this.options.sync === 'always' || (short && this.writeGuard.allowsSync)) this.runSync(transfer)
    else this.runInPool(transfer)
  }

  flush(done: IoDone): void {
    if (this.options.flush === undefined) return done(null)
    this.inFlight++
    this.options.flush(this.fd, (error) => {
      this.inFlight--
      done(error)
      this.closeIfIdle()
    })
  }

  close(done: IoDone): void {
    assert(this.closing === null, `a storage is closed once name=${this.name}`)
    this.closing = done
    this.closeIfIdle()
  }

  private begin(direction: Direction, done: IoDone): Transfer {
    assert(this.closing === null, `a storage is used before it is closed name=${this.name}`)
    const transfer = this.free.pop() ?? new Transfer((ended, error, moved) => this.onMoved(ended, error, moved))
    transfer.direction = direction
    transfer.done = done
    transfer.moved = 0
    this.inFlight++
    return transfer
  }

  private place(transfer: Transfer, at: Pick<Transfer, 'buffer' | 'start' | 'length' | 'position'>): boolean {
    transfer.buffer = at.buffer
    transfer.start = at.start
    transfer.length = at.length
    transfer.position = at.position
    const unit = this.alignmentBytes
    const aligned = at.length > 0 && at.length % unit === 0 && at.position % unit === 0
    if (aligned && at.position >= 0 && at.position + at.length <= this.bytes) return true
    const message = `transfer is unaligned or out of bounds name=${this.name} position=${at.position} length=${at.length}`
    this.end(transfer, new IoError('EINVAL', message))
    return false
  }

  /** A lone read is waited for; several gain from the parallelism of the device. */
  private readonly startCollected = (): void => {
    const transfers = this.collected
    this.collected = this.flushing
    const lone = transfers.length === 1 && this.readsInPool === 0 && this.readGuard.allowsSync
    for (const transfer of transfers) {
      if (lone && this.options.sync === 'fast') this.runSync(transfer)
      else this.runInPool(transfer)
    }
    transfers.length = 0
    this.flushing = transfers
  }

  private runSync(transfer: Transfer): void {
    if (transfer.direction === 'read') this.counters.syncReads++
    else this.counters.syncWrites++
    const timed = this.options.sync === 'fast'
    if (timed) transfer.startedMs = this.options.clock.monotonicMs()
    let failure: unknown = null
    let interruptions = 0
    while (transfer.moved < transfer.length && failure === null) {
      try {
        const moved = this.moveSync(transfer)
        if (moved === 0) failure = new IoError('EIO', `transfer ended short name=${this.name}`)
        transfer.moved += moved
      } catch (error) {
        if (errnoName(error) !== 'EINTR' || ++interruptions > INTERRUPTIONS_MAX) failure = error
      }
    }
    if (timed) this.recordDuration(transfer)
    this.end(transfer, failure)
  }

  private moveSync({ direction, buffer, start, length, position, moved }: Transfer): number {
    if (direction === 'read') return readSync(this.fd, buffer, start + moved, length - moved, position + moved)
    return writeSync(this.fd, buffer, start + moved, length - moved, position + moved)
  }

  private runInPool(transfer: Transfer): void {
    transfer.startedMs = this.options.clock.monotonicMs()
    if (transfer.direction === 'read') {
      this.counters.poolReads++
      this.readsInPool++
    } else this.counters.poolWrites++
    this.moveInPool(transfer)
  }

  private moveInPool(transfer: Transfer): void {
    const { direction, buffer, start, length, position, moved } = transfer
    if (direction === 'read') read(this.fd, buffer, start + moved, length - moved, position + moved, transfer.onMoved)
    else write(this.fd, buffer, start + moved, length - moved, position + moved, transfer.onMoved)
  }

  private onMoved(transfer: Transfer, error: NodeJS.ErrnoException | null, moved: number): void {
    let failure: unknown = error
    if (error === null) {
      transfer.moved += moved
      if (moved === 0) failure = new IoError('EIO', `transfer ended short name=${this.name}`)
    }
    // libuv itself repeats what a signal interrupts.
    if (failure === null && transfer.moved < transfer.length) return this.moveInPool(transfer)
    if (transfer.direction === 'read') this.readsInPool--
    this.recordDuration(transfer)
    this.end(transfer, failure)
  }

  private recordDuration(transfer: Transfer): void {
    const durationMs = this.options.clock.monotonicMs() - transfer.startedMs
    if (transfer.direction === 'read') {
      if (transfer.length <= SYNC_READ_BYTES_MAX) this.readGuard.record(durationMs)
    } else if (transfer.length <= SYNC_WRITE_BYTES_MAX) this.writeGuard.record(durationMs)
  }

  private end(transfer: Transfer, failure: unknown): void {
    const { done, direction } = transfer
    transfer.done = null
    this.inFlight--
    this.free.push(transfer)
    done?.(failure === null ? null : this.asIoError(failure, direction))
    if (this.closing !== null) this.closeIfIdle()
  }

  private asIoError(failure: unknown, direction: Direction): IoError {
    if (failure instanceof IoError) return failure
    return toIoError(failure, `${direction} failed name=${this.name}`)
  }

  private closeIfIdle(): void {
    const done = this.closing
    if (done === null || this.inFlight > 0) return
    this.closing = null
    close(this.fd, (error) => done(error === null || error === undefined ? null : this.asIoError(error, 'write')))
  }
}
