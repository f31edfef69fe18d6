// Page-aligned buffers for the bodies of batches: received into, written from, read into, and used again. Their sizes
// are few, so that a buffer of any volume serves any other. Aligned memory is never freed, so the sum has a limit; half
// of it belongs to the largest size alone, which serves every wish: small buffers can never take up all room for good.
import { assert } from '../../../base/assert.ts'
import type { Timers } from '../../../base/clock.ts'
import type { Bytes } from '../../../base/units.ts'
import type { AlignedMemory } from '../../io/storage.ts'
import { BODY_CLASS_BYTES, BODY_CLASS_HEADER_BYTES } from './limits.ts'

/** One size of buffers. */
interface SizeClass {
  readonly bytes: Bytes
  readonly free: Buffer[]
}

interface Waiting {
  readonly bytes: Bytes
  readonly callback: () => void
}

export class BodyPool {
  usedBytes: Bytes = 0
  private readonly memory: AlignedMemory
  private readonly timers: Timers
  private readonly halfBytesMax: Bytes
  private readonly largest: SizeClass
  /** For data of BODY_CLASS_BYTES × 4^i, below the largest. */
  private readonly smaller: SizeClass[] = []
  /** Ever allocated, of either half. */
  private smallerBytes: Bytes = 0
  private largestBytes: Bytes = 0
  private readonly waiting: Waiting[] = []

  constructor(
    { memory, timers }: { memory: AlignedMemory; timers: Timers },
    { bufferBytesMax, bytesMax }: { bufferBytesMax: Bytes; bytesMax: Bytes },
  ) {
    this.halfBytesMax = bytesMax / 2
    assert(this.halfBytesMax >= bufferBytesMax, `the largest body fits bytesMax=${bytesMax}`)
    this.memory = memory
    this.timers = timers
    this.largest = { bytes: bufferBytesMax, free: [] }
    for (let data = BODY_CLASS_BYTES; data + BODY_CLASS_HEADER_BYTES < bufferBytesMax; data *= 4) {
      this.smaller.push({ bytes: data + BODY_CLASS_HEADER_BYTES, free: [] })
    }
  }

  get bufferBytesMax(): Bytes {
    return this.largest.bytes
  }

  get allocatedBytes(): Bytes {
    return this.smallerBytes + this.largestBytes
  }

  /** A buffer of at least `bytes` (at most bufferBytesMax), with old content; null: none is free, wait. */
  take(bytes: Bytes): Buffer | null {
    assert(bytes <= this.largest.bytes, `a body fits the largest buffer bytes=${bytes}`)
    const buffer = this.takeSmall(bytes) ?? this.largest.free.pop() ?? this.allocateLargest()
    if (buffer !== null) this.usedBytes += buffer.length
    return buffer
  }

  /** Nobody uses the buffer any more. */
  give(buffer: Buffer): void {
    const home = [...this.smaller, this.largest].find((each) => each.bytes === buffer.length)
    assert(home !== undefined, `a buffer of this pool length=${buffer.length}`)
    this.usedBytes -= buffer.length
    home.free.push(buffer)
    this.wake(buffer.length)
  }

  /**
   * Calls back once when a buffer of so many bytes has been given back, first come, first served, not within the call of
   * give. Whoever wants it no more then passes it on with `wake`; whoever finds none after all waits again.
   */
  wait(bytes: Bytes, callback: () => void): void {
    this.waiting.push({ bytes, callback })
  }

  /** A buffer of so many bytes is free. */
  wake(bytes: Bytes): void {
    const index = this.waiting.findIndex((each) => each.bytes <= bytes)
    const [next] = index < 0 ? [] : this.waiting.splice(index, 1)
    if (next !== undefined) this.timers.soon(next.callback)
  }

  private takeSmall(bytes: Bytes): Buffer | null {
    let size: Bytes | null = null
    for (const each of this.smaller) {
      if (each.bytes < bytes) continue
      size ??= each.bytes
      const buffer = each.free.pop()
      if (buffer !== undefined) return buffer
    }
    if (size === null || this.smallerBytes + size > this.halfBytesMax) return null
    this.smallerBytes += size
    return this.memory.allocate(size)
  }

  private allocateLargest(): Buffer | null {
    const { bytes } = this.largest
    if (this.largestBytes + bytes > this.halfBytesMax) return null
    this.largestBytes += bytes
    return this.memory.allocate(bytes)
  }
}
