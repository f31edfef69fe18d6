// A window over the ring for recovery: reads in large aligned pieces (a whole buffer at a time, 4 MiB in production) and
// keeps what it has not been asked to skip, so that each byte is read once while the position moves forward.
import { assert } from '../../base/assert.ts'
import type { Bytes } from '../../base/units.ts'
import { MIB } from '../../base/units.ts'
import type { AlignedMemory, Storage } from '../io/storage.ts'
import type { LogGeometry } from './superblock.ts'
import { readStorage } from './superblock-store.ts'

/** Larger reads gain nothing on disks that were measured. */
const WINDOW_BYTES_PREFERRED: Bytes = 4 * MIB

export class LogReader {
  readonly buffer: Buffer
  private readonly storage: Storage
  private readonly end: Bytes
  /** The window holds [position, position+length) of the storage at the start of the buffer. */
  private position: Bytes = 0
  private length: Bytes = 0

  constructor(storage: Storage, memory: AlignedMemory, geometry: LogGeometry) {
    this.storage = storage
    this.end = geometry.logStart + geometry.logBytes
    const wanted = Math.max(WINDOW_BYTES_PREFERRED, 2 * geometry.frameBytesMax)
    this.buffer = memory.allocate(Math.min(wanted, geometry.logBytes))
  }

  /** Offset in `buffer` where [position, position+length) stands, or -1 when it is not in memory. */
  offsetOf(position: Bytes, length: Bytes): number {
    const offset = position - this.position
    return offset >= 0 && offset + length <= this.length ? offset : -1
  }

  /** How many bytes from `position` on are in memory; `position` is in the window or at its end. */
  heldFrom(position: Bytes): Bytes {
    return this.position + this.length - position
  }

  /**
   * Makes [position, position+length) stand at the start of `buffer`; it must lie inside the ring and not be longer
   * than the buffer. Rejects with the IoError of the storage.
   */
  async load(position: Bytes, length: Bytes): Promise<void> {
    assert(length <= this.buffer.length && position + length <= this.end, `range is readable position=${position}`)
    const kept = Math.max(0, Math.min(this.length, this.position + this.length - position))
    const isAhead = position >= this.position && kept > 0
    if (isAhead) this.buffer.copyWithin(0, position - this.position, this.length)
    const start = isAhead ? kept : 0
    const wanted = Math.min(this.buffer.length, this.end - position) - start
    this.length = 0
    await readStorage(this.storage, this.buffer, { start, length: wanted, position: position + start })
    this.position = position
    this.length = start + wanted
  }
}
