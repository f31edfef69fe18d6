// Pooled requests of the kernel. A READ carries a buffer of its own (frontend/read-requests.ts). The other kinds need none:
// the payload of a WRITE stays in the channel's buffer while `submit` runs, and their replies are written from one shared
// buffer. Read buffers of all sizes together stay below READ_MEMORY_BYTES_MAX.
import { assert } from '../../../base/assert.ts'
import type { Bytes } from '../../../base/units.ts'
import { KIB, MIB } from '../../../base/units.ts'
import type { Request, RequestKind, RequestResult } from '../../engine/request.ts'
import { REQUEST_READ } from '../../engine/request.ts'
import type { AlignedMemory } from '../../io/storage.ts'
import { type ReadClass, ReadRequests } from '../read-requests.ts'

export const READ_MEMORY_BYTES_MAX = 48 * MIB
/** Requests without a buffer; more than the kernel has in flight (BACKGROUND_REQUESTS_MAX and a few synchronous ones). */
export const PLAIN_REQUESTS_MAX = 1024

/** Buffer sizes and how many of each there may be; the last class takes the longest transfer. */
const READ_CLASSES: readonly ReadClass[] = [
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

export class RequestPool {
  private readonly owner: RequestOwner
  private readonly reads: ReadRequests<FuseRequest>
  private readonly plainFree: FuseRequest[] = []
  private plainMade = 0

  constructor(owner: RequestOwner, memory: AlignedMemory) {
    this.owner = owner
    this.reads = new ReadRequests({
      classes: READ_CLASSES,
      memory,
      memoryBytesMax: READ_MEMORY_BYTES_MAX,
      make: (home, data, dataStart) => new FuseRequest(owner, home, data, dataStart),
    })
  }

  /** Bytes of the read buffers made so far. */
  get readMemoryBytes(): Bytes {
    return this.reads.memoryBytes
  }

  /** Whether any request at all can be taken in: the next one is only known once it has been read. */
  get ready(): boolean {
    return this.reads.hasLargest && (this.plainFree.length > 0 || this.plainMade < PLAIN_REQUESTS_MAX)
  }

  /** A request with room for `length` bytes (at most 1 MiB) of data. `ready` must hold. */
  takeRead(length: Bytes): FuseRequest {
    const request = this.reads.take(length)
    assert(request !== null, `a read buffer is free length=${length}`)
    return request
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
}
