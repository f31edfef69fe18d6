// Pooled requests. A READ carries a buffer of its own, laid out so that the reply is one write(2) without a copy:
//
//     page 0                          page 1 …                      last page
//     … unused … | fuse_out_header 16 | data, `dataBytes`           | may be scribbled on by the engine
//
// The other kinds need no buffer: the payload of a WRITE stays in the channel's buffer while `submit` runs, and their
// replies are written from one shared buffer. Buffers come in size classes that grow on demand and are reused last in,
// first out, so that a volume with little in flight touches little memory. A class that is empty borrows from the next
// larger one; all together stay below READ_MEMORY_BYTES_MAX.
import { assert } from '../../../base/assert.ts'
import type { Bytes } from '../../../base/units.ts'
import { BLOCK_BYTES, KIB, MIB } from '../../../base/units.ts'
import type { Request, RequestKind, RequestResult } from '../../engine/request.ts'
import { REQUEST_READ } from '../../engine/request.ts'
import type { AlignedMemory } from '../../io/storage.ts'

export const READ_MEMORY_BYTES_MAX = 48 * MIB
/** Requests without a buffer; more than the kernel has in flight (BACKGROUND_REQUESTS_MAX and a few synchronous ones). */
export const PLAIN_REQUESTS_MAX = 1024

/** Buffer sizes and how many of each there may be; the last class takes the longest transfer. */
const READ_CLASSES: readonly { readonly dataBytes: Bytes; readonly limit: number }[] = [
  { dataBytes: 4 * KIB, limit: 512 },
  { dataBytes: 16 * KIB, limit: 128 },
  { dataBytes: 128 * KIB, limit: 48 },
  { dataBytes: MIB, limit: 30 },
]

/** Who gets the request back. */
export interface RequestOwner {
  finish(request: FuseRequest, result: RequestResult): void
}

const NO_DATA = Buffer.alloc(0)

export class FuseRequest implements Request {
  kind: RequestKind = REQUEST_READ
  offset = 0
  length = 0
  data: Buffer
  dataStart: number
  mayUnmap = false
  forceUnitAccess = false
  uniqueLow = 0
  uniqueHigh = 0
  resent = false
  /** Upper half of `unique` as the kernel sent it; the reply carries it back unchanged. */
  replyUniqueHigh = 0
  /** Submitted and not completed. */
  outstanding = false
  /** Where it goes when it is free. */
  readonly home: FuseRequest[]
  private readonly owner: RequestOwner

  constructor(owner: RequestOwner, home: FuseRequest[], data: Buffer, dataStart: number) {
    this.owner = owner
    this.home = home
    this.data = data
    this.dataStart = dataStart
  }

  complete(result: RequestResult): void {
    assert(this.outstanding, 'a request is completed exactly once')
    this.outstanding = false
    this.owner.finish(this, result)
  }
}

interface ReadClass {
  readonly dataBytes: Bytes
  readonly limit: number
  readonly free: FuseRequest[]
  made: number
}

export class RequestPool {
  /** Bytes of the read buffers made so far. */
  readMemoryBytes = 0
  private readonly owner: RequestOwner
  private readonly memory: AlignedMemory
  private readonly classes: readonly ReadClass[]
  private readonly largest: ReadClass
  private readonly plainFree: FuseRequest[] = []
  private plainMade = 0

  constructor(owner: RequestOwner, memory: AlignedMemory) {
    this.owner = owner
    this.memory = memory
    this.classes = READ_CLASSES.map(({ dataBytes, limit }) => ({ dataBytes, limit, free: [], made: 0 }))
    const largest = this.classes.at(-1)
    assert(largest !== undefined, 'there is a largest class')
    this.largest = largest
  }

  /** Whether any request at all can be taken in: the next one is only known once it has been read. */
  get ready(): boolean {
    return (
      (this.largest.free.length > 0 || this.largest.made < this.largest.limit) &&
      (this.plainFree.length > 0 || this.plainMade < PLAIN_REQUESTS_MAX)
    )
  }

  /** A request with room for `length` bytes (at most 1 MiB) of data. `ready` must hold. */
  takeRead(length: Bytes): FuseRequest {
    for (const readClass of this.classes) {
      if (length > readClass.dataBytes) continue
      const request = readClass.free.pop() ?? this.makeRead(readClass)
      if (request !== null) return request
    }
    assert(false, `a read buffer is free length=${length}`)
  }

  /** A request without a buffer. `ready` must hold. */
  takePlain(): FuseRequest {
    const request = this.plainFree.pop()
    if (request !== undefined) return request
    assert(this.plainMade < PLAIN_REQUESTS_MAX, 'a request is free')
    this.plainMade++
    return new FuseRequest(this.owner, this.plainFree, NO_DATA, 0)
  }

  giveBack(request: FuseRequest): void {
    request.home.push(request)
  }

  private makeRead(readClass: ReadClass): FuseRequest | null {
    if (readClass.made === readClass.limit) return null
    const bytes = BLOCK_BYTES + readClass.dataBytes + BLOCK_BYTES
    if (this.readMemoryBytes + bytes > READ_MEMORY_BYTES_MAX) return null
    readClass.made++
    this.readMemoryBytes += bytes
    return new FuseRequest(this.owner, readClass.free, this.memory.allocate(bytes), BLOCK_BYTES)
  }
}
