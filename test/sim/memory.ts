// Memory for the engine in the simulator: aligned, never zeroed, and taken over from lives that are over, as O_DIRECT
// buffers of a real process never are but as uninitialised memory behaves.
import { BLOCK_BYTES, type Bytes, roundUp } from '../../base/units.ts'
import type { AlignedMemory } from '../../csi-driver/io/storage.ts'

/** One byte everywhere: a sector of it is nobody's content. */
const GARBAGE = 0xdd
/** Memory kept for later lives; more is left to the garbage collector. */
const KEPT_BYTES_MAX = 64 * 1024 * 1024

const kept = new Map<number, Buffer[]>()
let keptBytes = 0

export class SimulatedMemory implements AlignedMemory {
  allocatedBytes: Bytes = 0
  private readonly buffers: Buffer[] = []

  allocate(length: Bytes): Buffer {
    const size = roundUp(Math.max(length, 1), BLOCK_BYTES)
    const reused = kept.get(size)?.pop()
    if (reused !== undefined) keptBytes -= size
    // A memory of its own each, so that byteOffset is 0 and stands for page alignment.
    const buffer = reused ?? Buffer.from(new ArrayBuffer(size))
    buffer.fill(GARBAGE)
    this.buffers.push(buffer)
    this.allocatedBytes += size
    return size === length ? buffer : buffer.subarray(0, length)
  }

  /** Takes everything back. Nothing of the life that used it may run afterwards. */
  release(): void {
    for (const buffer of this.buffers) {
      if (keptBytes + buffer.length > KEPT_BYTES_MAX) break
      keptBytes += buffer.length
      const list = kept.get(buffer.length)
      if (list === undefined) kept.set(buffer.length, [buffer])
      else list.push(buffer)
    }
    this.buffers.length = 0
  }
}
