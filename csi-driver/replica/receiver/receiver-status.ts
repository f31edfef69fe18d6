// What a receiver says about itself: plain numbers, for `forebay peers` and for metrics.
import type { BatchSeq, Bytes, Epoch, Ms, Run, Seq } from '../../../base/units.ts'
import { SEAL_WAIT_MS } from '../../protocol/lease-times.ts'
import type { LogName, RefusalCode } from '../../protocol/stored-log.ts'
import type { LeftCacheStatus } from './left-cache.ts'
import type { VolumeCounters } from './volume-counters.ts'
import type { VolumeReplica } from './volume-replica.ts'

export interface ReceiverStatus {
  readonly node: string
  readonly storeUuid: string
  readonly resource: 'flash' | 'memory'
  readonly capacityBytes: Bytes
  /** Neither used nor reserved. */
  readonly freeBytes: Bytes
  readonly connections: number
  /** Received and not yet durable, of all volumes, as its buffers count in memory. */
  readonly unwrittenBytes: Bytes
  /** Memory for bodies, ever taken. */
  readonly bodyBytes: Bytes
  /** Connections refused since the start, by code. */
  readonly refused: Readonly<Partial<Record<RefusalCode, number>>>
  readonly volumes: readonly VolumeReplicaStatus[]
  /** Caches that owners have left behind on this node, served to their new owners. */
  readonly leftCaches: readonly LeftCacheStatus[]
}

export interface VolumeReplicaStatus {
  readonly volume: string
  readonly volumeUuid: string
  /** The life of the store under which this volume is a member. */
  readonly incarnation: number
  readonly epoch: Epoch
  readonly run: Run
  readonly promise: Epoch
  /** null: no log is here. */
  readonly log: StoredLogStatus | null
  /** Why no log is here although there was one; null otherwise. */
  readonly lossReason: string | null
  readonly reservedBytes: Bytes
  /** The engine that is connected; null: none. */
  readonly engine: EngineStatus | null
  /** Until when a seal has to wait for the lease, from now; 0: it has not. */
  readonly leaseRemainingMs: Ms
  readonly unwrittenBytes: Bytes
  readonly waitingOrders: number
  /** Why the volume refuses everybody until the process starts anew; null: it does not. */
  readonly failure: string | null
  readonly counters: Readonly<VolumeCounters>
}

export interface StoredLogStatus {
  /** Oldest first; the last one is the present name. */
  readonly names: readonly LogName[]
  readonly pending: LogName | null
  readonly storedBytes: Bytes
  readonly firstBatchSeq: BatchSeq
  readonly lastBatchSeq: BatchSeq
  readonly lastSeq: Seq
  readonly ackedSeq: Seq
  /** Records that are here and not yet known to be acknowledged. */
  readonly unackedRecords: number
}

export interface EngineStatus {
  readonly node: string
  readonly purpose: 'owner' | 'opener'
}

export function describeVolume(replica: VolumeReplica, nowMs: Ms): VolumeReplicaStatus {
  const { held, link, lastHeartbeatAtMs, released } = replica
  const { volume, volumeUuid, incarnation, state, logBytesReserved, lossReason } = held
  const leased = lastHeartbeatAtMs !== null && !released
  return {
    volume,
    volumeUuid,
    incarnation,
    epoch: state.epoch,
    run: state.run,
    promise: state.promise,
    log: state.log === null ? null : describeLog(state.log),
    lossReason,
    reservedBytes: logBytesReserved,
    engine: link === null ? null : { node: link.node, purpose: link.purpose },
    leaseRemainingMs: leased ? Math.max(0, lastHeartbeatAtMs + SEAL_WAIT_MS - nowMs) : 0,
    unwrittenBytes: replica.share.bytes,
    waitingOrders: replica.waitingOrders,
    failure: replica.failure?.message ?? null,
    counters: { ...replica.counters },
  }
}

function describeLog(log: NonNullable<VolumeReplica['held']['state']['log']>): StoredLogStatus {
  return {
    names: log.lineage,
    pending: log.pending,
    storedBytes: log.storedBytes,
    firstBatchSeq: log.tail.batchSeq,
    lastBatchSeq: log.lastBatchSeq,
    lastSeq: log.lastSeq,
    ackedSeq: log.ackedSeq,
    // A log that begins late knows nothing of what was acknowledged before, and holds none of it.
    unackedRecords: log.lastSeq - Math.max(log.ackedSeq, log.tail.seq - 1),
  }
}
