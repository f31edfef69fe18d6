// What a front end hands to the engine. A request is a pooled object of the front end: the engine fills nothing but the
// read buffer and calls `complete` exactly once, possibly before `submit` returns.
import type { Bytes } from '../../base/units.ts'

export const REQUEST_READ = 1
export const REQUEST_WRITE = 2
/** The range reads back as zeros: discard, write zeroes, punch hole (they cannot be told apart, datapath finding 6). */
export const REQUEST_ZERO = 3
export const REQUEST_FLUSH = 4
export type RequestKind = typeof REQUEST_READ | typeof REQUEST_WRITE | typeof REQUEST_ZERO | typeof REQUEST_FLUSH

/** How a request ended. EIO and ENOSPC are the only errors a front end ever shows (datapath §1.3). */
export const REQUEST_OK = 0
export const REQUEST_EIO = 5
export const REQUEST_ENOSPC = 28
export type RequestResult = typeof REQUEST_OK | typeof REQUEST_EIO | typeof REQUEST_ENOSPC

export interface Request {
  kind: RequestKind
  /** Multiples of 512, inside the volume: the front end checks both. Zero for a flush. */
  offset: Bytes
  length: Bytes
  /**
   * READ: page-aligned at `dataStart`, at least `length` rounded up to 4096 plus 4096 bytes long from there; the engine
   * fills [dataStart, dataStart+length) and may scribble behind it. Owned by the engine until `complete`.
   * WRITE: the payload; valid only while `submit` runs: the engine copies it.
   */
  data: Buffer
  dataStart: number
  /** ZERO: space may be released (discard); otherwise it should stay allocated. */
  mayUnmap: boolean
  /** Durable before it is acknowledged. */
  forceUnitAccess: boolean
  /** Name of the request inside its session, as two 32-bit halves; both 0 where the front end has none (NBD). */
  uniqueLow: number
  uniqueHigh: number
  /** The kernel marked it as sent again after a restart of the engine (FUSE_NOTIFY_RESEND). */
  resent: boolean
  complete(result: RequestResult): void
}

/** What stands behind a front end: the engine. */
export interface RequestSink {
  submit(request: Request): void
  /** What can be read for now has been submitted. */
  kick(): void
  /** Size of the volume; may grow between two calls. A multiple of 512. */
  readonly sizeBytes: Bytes
  /** Whether REQUEST_ZERO is understood. Must not change from true to false: the kernel remembers a refusal for ever. */
  readonly canZero: boolean
}
