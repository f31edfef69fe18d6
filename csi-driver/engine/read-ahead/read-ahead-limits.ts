// How much may be read ahead. Types and numbers only.
import type { Bytes, Ms } from '../../../base/units.ts'
import { KIB } from '../../../base/units.ts'

export interface ReadAheadLimits {
  /** One read of the backing; a multiple of 4 KiB. */
  readonly pieceBytes: Bytes
  /** Pieces for all streams together; one stream has half of them at the most, and as many are under way. */
  readonly pieces: number
  /** So much has to be read without a gap before anything is read ahead; more where that went wrong lately. */
  readonly startBytes: Bytes
}

/** 4 MiB in all; 2 MiB under way are 1 GB/s from a backing of 2 ms. */
export const READ_AHEAD_LIMITS: ReadAheadLimits = { pieceBytes: 256 * KIB, pieces: 16, startBytes: 128 * KIB }

/** What nobody has asked for by then is forgotten: well below the 6 s of a lease (PROTOCOL.md 8.1). */
export const AGE_MAX_MS: Ms = 2_000
/** Without a stream for so long the memory is given back. */
export const IDLE_MS: Ms = 2_000
/** A stream that has not gone on for so long may lose what was read ahead of it to another one. */
export const STALLED_AFTER_MS: Ms = 250
