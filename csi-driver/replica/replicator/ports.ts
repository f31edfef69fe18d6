// What the owner's side of replication is given: the ports it talks through, the volume it writes for, the log it copies
// from. Types only.
import type { Clock, Timers } from '../../../base/clock.ts'
import type { EventLog } from '../../../base/log.ts'
import type { Prng } from '../../../base/prng.ts'
import type { BatchSeq, Bytes, Epoch, Run } from '../../../base/units.ts'
import type { NetworkAddress } from '../../io/network.ts'
import type { PeerNetwork } from '../../io/peer-network.ts'
import type { LogBegin, LogName } from '../../protocol/stored-log.ts'
import type { BatchFrame } from '../wire/envelope.ts'
import type { PayloadCoder } from './payloads.ts'

/** Whose log it is, and who writes it. One life of an engine: epoch and run never change. */
export interface VolumeIdentity {
  readonly volume: string
  /** 32 hexadecimal digits. */
  readonly volumeUuid: string
  /** 32 bytes; never logged. */
  readonly volumeKey: Buffer
  /** The node of this engine. */
  readonly node: string
  readonly epoch: Epoch
  readonly run: Run
}

export interface ReplicatorIdentity extends VolumeIdentity {
  /** Space of the own log; a learner reserves as much. */
  readonly logBytes: Bytes
}

/** The owner's own log, from which learners are filled. */
export interface BatchSource {
  /** Names of the log, oldest first. */
  readonly lineage: readonly LogName[]
  /** Where the own log begins, durably: it moves before `trim` is called. */
  readonly begin: LogBegin
  /** The last batch that is complete in the own log, not one in flight; begin.batchSeq - 1 where the log is empty. */
  readonly lastBatchSeq: BatchSeq
  /** headerHash of that batch; begin.previousHash where the log is empty. */
  readonly lastHash: bigint
  /**
   * Reads a complete batch and verifies it, header and payload: a damaged one is an error. A frame of null: it has been
   * trimmed meanwhile. The frame is the source's again when `done` returns (what is sent is copied), and each learner asks
   * for one batch at a time.
   */
  readBatch(batchSeq: BatchSeq, done: (error: Error | null, frame: BatchFrame | null) => void): void
}

export interface ReplicatorPorts {
  readonly network: PeerNetwork
  readonly clock: Clock
  readonly timers: Timers
  /** Spreads reconnects. */
  readonly prng: Prng
  readonly log: EventLog
  readonly source: BatchSource
  /** Absent: payloads are sent as they are. */
  readonly payloads?: PayloadCoder
}

/** A node that may hold a copy. */
export interface Peer {
  readonly node: string
  readonly address: NetworkAddress
  /** Nodes of one domain fail together. */
  readonly domain: string
}
