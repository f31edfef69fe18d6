// A running store in plain values, for people and for what prints them (`forebay peers`, status): per volume what it has
// promised, which log it holds from where to where, what that takes. Never the volume's key.
import type { BatchSeq, Bytes, Epoch, Run, Seq } from '../../../base/units.ts'
import type { StoredLog } from '../../protocol/stored-log.ts'
import type { ReplicaStore } from './replica-store.ts'
import type { StoreResource } from './store-superblock.ts'
import type { StoredVolume } from './stored-volume.ts'

export interface LogDescription {
  /** Its present name; the one before it in time comes first in `names`. */
  readonly logUuid: string
  readonly names: readonly string[]
  readonly pendingLogUuid: string | null
  readonly tailBatchSeq: BatchSeq
  readonly lastBatchSeq: BatchSeq
  readonly tailSeq: Seq
  readonly lastSeq: Seq
  readonly ackedSeq: Seq
  readonly batches: number
  readonly records: number
  readonly storedBytes: Bytes
}

export interface VolumeDescription {
  readonly volume: string
  readonly volumeUuid: string
  readonly incarnation: number
  readonly promise: Epoch
  readonly epoch: Epoch
  readonly run: Run
  /** Null: no log is here, or it was lost. */
  readonly log: LogDescription | null
  readonly lossReason: string | null
  /** In whole segments. */
  readonly usedBytes: Bytes
  readonly reservedBytes: Bytes
}

export interface StoreDescription {
  readonly storeUuid: string
  readonly incarnation: number
  readonly resource: StoreResource
  readonly capacityBytes: Bytes
  readonly freeBytes: Bytes
  readonly segmentBytes: Bytes
  /** By name. */
  readonly volumes: readonly VolumeDescription[]
}

export function describeStore(store: ReplicaStore): StoreDescription {
  const { storeUuid, incarnation, resource, capacityBytes, freeBytes, segmentBytes } = store
  const volumes = store.volumes().map((volume) => describeVolume(volume, segmentBytes))
  volumes.sort((left, right) => (left.volume < right.volume ? -1 : 1))
  return { storeUuid, incarnation, resource, capacityBytes, freeBytes, segmentBytes, volumes }
}

function describeVolume(held: StoredVolume, segmentBytes: Bytes): VolumeDescription {
  const { volume, volumeUuid, incarnation, state, lossReason, account } = held
  const { promise, epoch, run, log } = state
  return {
    volume,
    volumeUuid,
    incarnation,
    promise,
    epoch,
    run,
    log: log === null ? null : describeLog(log),
    lossReason,
    usedBytes: account.used * segmentBytes,
    reservedBytes: account.reserved * segmentBytes,
  }
}

function describeLog({
  lineage,
  pending,
  tail,
  lastBatchSeq,
  lastSeq,
  ackedSeq,
  storedBytes,
}: StoredLog): LogDescription {
  const names = lineage.map(({ logUuid }) => logUuid)
  return {
    logUuid: names.at(-1) ?? '',
    names,
    pendingLogUuid: pending?.logUuid ?? null,
    tailBatchSeq: tail.batchSeq,
    lastBatchSeq,
    tailSeq: tail.seq,
    lastSeq,
    ackedSeq,
    batches: lastBatchSeq - tail.batchSeq + 1,
    records: lastSeq - tail.seq + 1,
    storedBytes,
  }
}
