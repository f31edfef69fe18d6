// What every front end counts of the requests it takes.
import type { Bytes } from '../../base/units.ts'

/** Plain numbers that only grow, except `inFlight`. */
export interface FrontendCounters {
  reads: number
  readBytes: Bytes
  writes: number
  writtenBytes: Bytes
  zeroes: number
  flushes: number
  /** Requests answered with an error, by the engine or for being malformed. */
  failed: number
  /** Times that reading stopped for want of room. */
  pauses: number
  /** Submitted to the engine and not completed. */
  inFlight: number
}

export function newFrontendCounters(): FrontendCounters {
  return {
    reads: 0,
    readBytes: 0,
    writes: 0,
    writtenBytes: 0,
    zeroes: 0,
    flushes: 0,
    failed: 0,
    pauses: 0,
    inFlight: 0,
  }
}
