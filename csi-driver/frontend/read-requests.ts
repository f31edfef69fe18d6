// Requests that carry a buffer for what is read, in classes by size. Buffers are made on demand and reused last in, first
// out, so that a volume with little in flight touches little memory; a class that is used up borrows from the next larger
// one. In front of the data is room for the header of a reply, so that both go out with one write(2) without a copy:
//
//     page 0                          page 1 …                      last page
//     … unused … | header of reply    | data, `dataBytes`           | may be scribbled on by the engine
import { assert } from '../../base/assert.ts'
import type { Bytes } from '../../base/units.ts'
import { BLOCK_BYTES } from '../../base/units.ts'
import type { AlignedMemory } from '../io/storage.ts'

export interface ReadClass {
  readonly dataBytes: Bytes
  /** Most requests of this class. */
  readonly limit: number
}

interface MadeClass<R> extends ReadClass {
  readonly free: R[]
  made: number
}

export interface ReadRequestsOptions<R> {
  /** Smallest first; the last one takes the longest transfer. */
  readonly classes: readonly ReadClass[]
  readonly memory: AlignedMemory
  /** Of all buffers together; no limit unless given. */
  readonly memoryBytesMax?: Bytes
  /** `data` from `dataStart` on is for what is read; `home` is where the request goes when it is free: push it there. */
  readonly make: (home: R[], data: Buffer, dataStart: number) => R
}

export class ReadRequests<R> {
  /** Bytes of the buffers made so far. */
  memoryBytes: Bytes = 0
  private readonly options: ReadRequestsOptions<R>
  private readonly classes: readonly MadeClass<R>[]
  private readonly largest: MadeClass<R>

  constructor(options: ReadRequestsOptions<R>) {
    this.options = options
    this.classes = options.classes.map((readClass) => ({ ...readClass, free: [], made: 0 }))
    const largest = this.classes.at(-1)
    assert(largest !== undefined, 'there is a largest class')
    this.largest = largest
  }

  /** Whether a request of any size can be had. */
  get hasLargest(): boolean {
    return this.largest.free.length > 0 || this.largest.made < this.largest.limit
  }

  /** A request with room for `length` bytes of data; null when none is free. */
  take(length: Bytes): R | null {
    for (const readClass of this.classes) {
      if (length > readClass.dataBytes) continue
      const request = readClass.free.pop() ?? this.make(readClass)
      if (request !== null) return request
    }
    return null
  }

  private make(readClass: MadeClass<R>): R | null {
    const { memory, make, memoryBytesMax = Infinity } = this.options
    const bytes = BLOCK_BYTES + readClass.dataBytes + BLOCK_BYTES
    if (readClass.made === readClass.limit || this.memoryBytes + bytes > memoryBytesMax) return null
    readClass.made++
    this.memoryBytes += bytes
    return make(readClass.free, memory.allocate(bytes), BLOCK_BYTES)
  }
}
