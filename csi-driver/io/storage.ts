// Ports of everything that stores bytes: the cache device, the backing device, their simulated and faulty doubles.
// Calls are callbacks and not promises: the hot path allocates nothing per request. `done` runs exactly once and may
// run before the call returns (a device that is faster than a thread switch is written synchronously).
import type { IoError } from '../../base/errors.ts'
import type { Bytes } from '../../base/units.ts'

export type IoDone = (error: IoError | null) => void

/** Where the bytes of one transfer are in memory: `length` bytes of `buffer` from `start`. */
export interface Storage {
  /** For messages: the path, or a name given by a test. */
  readonly name: string
  /** Usable size; transfers beyond it fail with EINVAL. */
  readonly sizeBytes: Bytes
  /** Offsets and lengths must be multiples of this (512 or 4096). Buffers come from AlignedMemory. */
  readonly alignmentBytes: Bytes
  /**
   * Fills buffer[start, start+length) from `position`. The buffer belongs to the storage until `done`.
   * A short transfer is reported as EIO, never as success.
   */
  read(buffer: Buffer, start: number, length: Bytes, position: Bytes, done: IoDone): void
  /** Writes buffer[start, start+length) at `position`. What it promises about durability is said by the maker. */
  write(buffer: Buffer, start: number, length: Bytes, position: Bytes, done: IoDone): void
  /** All writes whose `done` ran before this call are durable when its `done` runs without error. */
  flush(done: IoDone): void
  /** Releases the descriptor after the transfers in flight have ended. */
  close(done: IoDone): void
}

/** A stretch of a device in bytes. */
export interface ByteRange {
  readonly position: Bytes
  readonly length: Bytes
}

/** The slow device in front of which the cache stands. */
export interface BackingStorage extends Storage {
  /** False where ranges cannot be zeroed without writing zeros (then `zero` must not be called). */
  readonly canZero: boolean
  /** The ranges read back as zeros afterwards (after a flush: durably); space may be released. 4 KiB aligned. */
  zero(ranges: readonly ByteRange[], done: IoDone): void
  /** Looks at the size again (the device was grown) and returns it through `sizeBytes`. */
  refreshSize(done: IoDone): void
}

/**
 * Page-aligned buffers, as O_DIRECT needs them. Small ones are never freed one by one: owners keep and reuse them. One of
 * more than 2 MiB is freed by the garbage collector, some time after the last reference to it has gone.
 */
export interface AlignedMemory {
  allocate(length: Bytes): Buffer
}
