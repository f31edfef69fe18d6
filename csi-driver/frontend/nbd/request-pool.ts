// Requests of one connection, pooled. A READ carries a buffer of its own (frontend/read-requests.ts). The other kinds need
// none: the payload of a WRITE stays where it was received while `submit` runs. Each connection has a pool, so that a client
// which does not read its answers keeps only its own requests from going on; the front end hands the pool to another
// connection when every request of this one is back.
import { assert } from '../../../base/assert.ts'
import type { Bytes } from '../../../base/units.ts'
import { KIB, MIB } from '../../../base/units.ts'
import type { Request, RequestKind, RequestResult } from '../../engine/request.ts'
import { REQUEST_READ } from '../../engine/request.ts'
import type { AlignedMemory } from '../../io/storage.ts'
import { type ReadClass, ReadRequests } from '../read-requests.ts'
import { CMD_READ } from './abi.ts'

/** Longest piece that the engine takes at once (RECORD_PAYLOAD_BYTES_MAX); longer requests are cut. */
export const PIECE_BYTES_MAX: Bytes = MIB
/**
 * Requests of one connection that are not answered. With 16 connections it stays below what the engine keeps waiting
 * (PARKED_REQUESTS_MAX).
 */
export const REQUESTS_MAX = 240
/** Payload of WRITEs of one connection that are not answered: the engine keeps a copy of what has to wait. */
export const PAYLOAD_BYTES_WAITING_MAX: Bytes = 16 * MIB

/** Buffer sizes and how many of each there may be: 8.4 MiB in all, of which untouched pages cost nothing. */
const READ_CLASSES: readonly ReadClass[] = [
  { dataBytes: 4 * KIB, limit: 128 },
  { dataBytes: 16 * KIB, limit: 32 },
  { dataBytes: 128 * KIB, limit: 16 },
  { dataBytes: PIECE_BYTES_MAX, limit: 4 },
]

/** Who gets the request back. */
export interface RequestOwner {
  finish(request: NbdRequest, result: RequestResult): void
}

/** A WRITE of several pieces: answered when all of them are. */
export interface LongWrite {
  piecesOpen: number
  /** The last piece has been submitted. */
  isWhole: boolean
  error: number
}

const NO_DATA = Buffer.alloc(0)

export class NbdRequest implements Request {
  kind: RequestKind = REQUEST_READ
  offset = 0
  length = 0
  data: Buffer
  dataStart: number
  mayUnmap = false
  forceUnitAccess = false
  readonly uniqueLow = 0
  readonly uniqueHigh = 0
  readonly resent = false
  /** What the client asked for, CMD_…. */
  command = CMD_READ
  cookieHigh = 0
  cookieLow = 0
  /** Error for the client; 0: none. */
  error = 0
  /** READ: bytes behind this piece that are still to be read, and whether a piece was answered before. */
  restBytes = 0
  continued = false
  longWrite: LongWrite | null = null
  /** WRITE: what counts against PAYLOAD_BYTES_WAITING_MAX. */
  payloadBytes: Bytes = 0
  /** Submitted and not completed. */
  outstanding = false
  /** Where it goes when it is free. */
  readonly home: NbdRequest[]
  private readonly pool: RequestPool

  constructor(pool: RequestPool, home: NbdRequest[], data: Buffer, dataStart: number) {
    this.pool = pool
    this.home = home
    this.data = data
    this.dataStart = dataStart
  }

  complete(result: RequestResult): void {
    assert(this.outstanding, 'a request is completed exactly once')
    this.outstanding = false
    this.pool.owner?.finish(this, result)
  }
}

export class RequestPool {
  /** The connection that uses it now. */
  owner: RequestOwner | null = null
  /** Requests taken and not given back. */
  inUse = 0
  /** Payload of those. */
  private payloadBytes: Bytes = 0
  private readonly reads: ReadRequests<NbdRequest>
  private readonly plainFree: NbdRequest[] = []

  constructor(memory: AlignedMemory) {
    this.reads = new ReadRequests({
      classes: READ_CLASSES,
      memory,
      make: (home, data, dataStart) => new NbdRequest(this, home, data, dataStart),
    })
  }

  get mayTake(): boolean {
    return this.inUse < REQUESTS_MAX
  }

  /** Whether a WRITE of `length` bytes (at most PIECE_BYTES_MAX) may be taken. */
  mayTakeWrite(length: Bytes): boolean {
    return this.mayTake && this.payloadBytes + length <= PAYLOAD_BYTES_WAITING_MAX
  }

  /** A request with room for `length` bytes (at most PIECE_BYTES_MAX) of data; null: not now. */
  takeRead(length: Bytes): NbdRequest | null {
    const request = this.mayTake ? this.reads.take(length) : null
    if (request !== null) this.inUse++
    return request
  }

  /** A request without a buffer. `mayTake` must hold. */
  takePlain(): NbdRequest {
    assert(this.mayTake, 'a request is free')
    this.inUse++
    return this.plainFree.pop() ?? new NbdRequest(this, this.plainFree, NO_DATA, 0)
  }

  /** A request for `length` bytes of payload. `mayTakeWrite` must hold. */
  takeWrite(length: Bytes): NbdRequest {
    assert(this.mayTakeWrite(length), 'there is room for the payload')
    const request = this.takePlain()
    request.payloadBytes = length
    this.payloadBytes += length
    return request
  }

  giveBack(request: NbdRequest): void {
    this.inUse--
    this.payloadBytes -= request.payloadBytes
    request.payloadBytes = 0
    request.error = 0
    request.restBytes = 0
    request.continued = false
    request.longWrite = null
    request.home.push(request)
  }
}
