// Requests that have to wait: for space, for the dirty limit, for the end of a change of phase. In the order of their
// arrival; a write's payload is copied, since its buffer is the front end's only while it submits. The number is bounded
// by the front end (a loop device has 128 requests); a front end without a bound of its own is a programmer's error.
import { assert } from '../../base/assert.ts'
import type { Bytes } from '../../base/units.ts'
import type { Request } from './request.ts'
import { REQUEST_WRITE } from './request.ts'

export const PARKED_REQUESTS_MAX = 4096

export interface ParkedRequest {
  readonly request: Request
  /** The payload of a write from 0 on; the request's own buffer for anything else. */
  readonly data: Buffer
}

export class ParkedRequests {
  private items: ParkedRequest[] = []
  private head = 0
  /** Bytes of copied payloads. */
  bytes: Bytes = 0

  get count(): number {
    return this.items.length - this.head
  }

  park(request: Request): void {
    const data =
      request.kind === REQUEST_WRITE
        ? Buffer.from(request.data.subarray(request.dataStart, request.dataStart + request.length))
        : request.data
    this.add(request, data)
  }

  /** Parks with data that the caller gives away. */
  add(request: Request, data: Buffer): void {
    assert(this.count < PARKED_REQUESTS_MAX, `too many parked requests limit=${PARKED_REQUESTS_MAX}`)
    if (request.kind === REQUEST_WRITE) this.bytes += data.length
    this.items.push({ request, data })
  }

  /** Puts requests before all others: they had been admitted before. */
  addFirst(requests: readonly ParkedRequest[]): void {
    for (const { request, data } of requests) if (request.kind === REQUEST_WRITE) this.bytes += data.length
    this.items = [...requests, ...this.items.slice(this.head)]
    this.head = 0
  }

  first(): ParkedRequest | null {
    return this.items[this.head] ?? null
  }

  removeFirst(): void {
    const item = this.items[this.head]
    if (item === undefined) return
    if (item.request.kind === REQUEST_WRITE) this.bytes -= item.data.length
    this.head += 1
    if (this.head < 64 && this.head < this.items.length) return
    this.items = this.items.slice(this.head)
    this.head = 0
  }
}
