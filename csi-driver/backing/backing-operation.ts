// One operation at the backing device: a pooled object that carries its arguments, its range lock and its place in the
// list of operations in flight. Made once, used for ever; `onDevice` is bound once, so that an operation costs no
// allocation. Owned by backing-store.ts, which alone decides what happens next.
import { BoundedQueue } from '../../base/bounded-queue.ts'
import type { IoError } from '../../base/errors.ts'
import type { Bytes, Ms } from '../../base/units.ts'
import type { ByteRange, IoDone } from '../io/storage.ts'
import type { BackingOperationKind } from './health.ts'
import { LockRequest } from './range-locks.ts'

/** Operations at the device or waiting for a lock; callers keep far below it (front end 512, destage 32). */
export const OPERATIONS_MAX = 8_192

const NO_BUFFER = Buffer.alloc(0)
const NO_DONE: IoDone = () => {}

export class BackingOperation extends LockRequest {
  kind: BackingOperationKind = 'read'
  buffer: Buffer = NO_BUFFER
  start = 0
  length: Bytes = 0
  position: Bytes = 0
  done: IoDone = NO_DONE
  /** ZERO: parts that are still to be written with zeros, and how far the first of them has got. */
  unwritten: readonly ByteRange[] = []
  unwrittenIndex = 0
  unwrittenBytes: Bytes = 0
  /** Where the piece at the device ends inside unwritten[unwrittenIndex]; 0 while the device's own zero call runs. */
  pieceBytes: Bytes = 0
  /** Monotonic time at which the device got it. */
  startedMs: Ms = 0
  older: BackingOperation | null = null
  newer: BackingOperation | null = null
  readonly onDevice: IoDone

  constructor(onDevice: (operation: BackingOperation, error: IoError | null) => void) {
    super()
    this.onDevice = (error) => onDevice(this, error)
  }

  /** Drops references to what belongs to callers. */
  clear(): void {
    this.buffer = NO_BUFFER
    this.done = NO_DONE
    this.ranges = null
    this.unwritten = []
    this.unwrittenIndex = 0
    this.unwrittenBytes = 0
    this.pieceBytes = 0
  }
}

/** Free operations; grows by need up to OPERATIONS_MAX. */
export class OperationPool {
  private readonly free = new BoundedQueue<BackingOperation>(OPERATIONS_MAX)
  private readonly make: () => BackingOperation
  private made = 0

  constructor(onDevice: (operation: BackingOperation, error: IoError | null) => void) {
    this.make = () => new BackingOperation(onDevice)
  }

  get usedCount(): number {
    return this.made - this.free.size
  }

  /** A cleared operation, or null when OPERATIONS_MAX are in use. */
  take(): BackingOperation | null {
    const one = this.free.take()
    if (one !== undefined) return one
    if (this.made >= OPERATIONS_MAX) return null
    this.made++
    return this.make()
  }

  give(operation: BackingOperation): void {
    operation.clear()
    this.free.push(operation)
  }
}

/** The operations at the device in the order of their start: the head is the oldest. */
export class InFlightList {
  private oldest: BackingOperation | null = null
  private newest: BackingOperation | null = null
  count = 0

  get oldestStartedMs(): Ms | null {
    return this.oldest === null ? null : this.oldest.startedMs
  }

  add(operation: BackingOperation): void {
    operation.older = this.newest
    operation.newer = null
    if (this.newest === null) this.oldest = operation
    else this.newest.newer = operation
    this.newest = operation
    this.count++
  }

  remove(operation: BackingOperation): void {
    const { older, newer } = operation
    if (older === null) this.oldest = newer
    else older.newer = newer
    if (newer === null) this.newest = older
    else newer.older = older
    operation.older = null
    operation.newer = null
    this.count--
  }
}
