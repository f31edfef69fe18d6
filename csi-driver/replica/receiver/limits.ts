// Every limit of the receiver, by name. What a peer can cost is bounded by them: connections, volumes, memory for
// bodies, orders that wait, time that a frame or a reader may take, lines in the log.
import type { Bytes, Ms } from '../../../base/units.ts'
import { KIB, MIB } from '../../../base/units.ts'

export interface ReceiverLimits {
  /** Those among them that are not yet, or no more, at a volume included. A volume has one engine, and one arriving. */
  readonly connectionsMax: number
  /** Of one node's certificate. It may own as many volumes as a store holds, and all of them reconnect at once. */
  readonly connectionsPerNodeMax: number
  /** Volumes that the store may know; the HELLO of one more is refused. */
  readonly volumesMax: number
  /**
   * Those among them that one node's certificate has brought: half of them, so that a single node never takes the room of
   * all others. Whoever takes a volume over does not bring it anew.
   */
  readonly volumesPerNodeMax: number
  /** Received and not yet durable, of all volumes: shared evenly among those that have any (byte-shares.ts). */
  readonly unwrittenBytesMax: Bytes
  /** The same of one volume, however little the others have. */
  readonly unwrittenBytesPerVolumeMax: Bytes
  /** Handed to the store's writes at once, of all volumes; one write is always allowed. */
  readonly writingBytesMax: Bytes
  /** Buffers for bodies: `unwrittenBytesMax` and what connections have begun to receive. */
  readonly bodyBytesMax: Bytes
  /** Buffers for what the connections of one node have begun to receive; at least the largest body. */
  readonly begunBytesPerNodeMax: Bytes
  /** Answers that the other side does not read. */
  readonly unsentBytesMax: Bytes
  /** One FETCH sends no more than this, whatever it asks for. */
  readonly fetchBytesMax: Bytes
}

export const RECEIVER_LIMITS: ReceiverLimits = {
  connectionsMax: 1024,
  connectionsPerNodeMax: 512,
  volumesMax: 256,
  volumesPerNodeMax: 128,
  unwrittenBytesMax: 64 * MIB,
  unwrittenBytesPerVolumeMax: 16 * MIB,
  writingBytesMax: 8 * MIB,
  bodyBytesMax: 192 * MIB,
  begunBytesPerNodeMax: 48 * MIB,
  unsentBytesMax: 8 * MIB,
  fetchBytesMax: 64 * MIB,
}

/** From the stream's first byte to the whole HELLO. */
export const HELLO_DEADLINE_MS: Ms = 5_000
/** From the first byte of a frame to its last, while we read. The largest frame at 1 Mbit/s takes 17 s. */
export const FRAME_DEADLINE_MS: Ms = 20_000
/** Without a whole frame of an owner that sends heartbeats, while we read: they come every second (rule 8.1). */
export const IDLE_DEADLINE_MS: Ms = 10_000
/** The same of an engine that opens or resumes: it may wait for the register, a fence or another store meanwhile. */
export const QUIET_DEADLINE_MS: Ms = 120_000
/** A FETCH whose reader takes nothing for so long is given up. */
export const DRAIN_DEADLINE_MS: Ms = 10_000
/** After a REFUSED, for the other side to read it. */
export const LINGER_MS: Ms = 1_000
/** How often deadlines are looked at; each may be late by so much. */
export const DEADLINE_TICK_MS: Ms = 500

/** Orders of one volume that wait; above it its connection is not read, at four times as many it is refused. */
export const ORDERS_WAITING_MAX = 256

/** How often one who waits for a seal hears about it. */
export const SEAL_REPORT_MS: Ms = 1_000
/** Engines of this node have so long to end before a seal is refused. */
export const LOCAL_ENGINES_DEADLINE_MS: Ms = 30_000

/** The same refusal of the same node is logged once in so long. */
export const REFUSAL_LOG_INTERVAL_MS: Ms = 60_000
/** Pairs of node and code that are remembered for that. */
export const REFUSALS_REMEMBERED_MAX = 1_024
/** Names and messages of peers are cut to this in the log. */
export const LOGGED_TEXT_MAX = 200

/** Data that fits into the smallest buffer for a body; larger ones are for 4, 16, … times as much. */
export const BODY_CLASS_BYTES: Bytes = 16 * KIB
/** Room in each of them for what stands in front of the data. */
export const BODY_CLASS_HEADER_BYTES: Bytes = 8 * KIB
