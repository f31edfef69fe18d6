// What the receiver needs of a replica store, as store/replica-store.ts gives it: the volumes that it knows, what is
// durable of each, and orders that change it. Every `done` runs exactly once, perhaps before the call returns. Of one
// volume the receiver has one order in flight at a time; orders of different volumes are independent.
import type { BatchSeq, Bytes, Epoch, Run } from '../../../base/units.ts'
import type { LogBegin, LogName, VolumeState } from '../../protocol/stored-log.ts'
import type { BodyInMemory } from '../wire/messages.ts'

export type StoreDone = (error: Error | null) => void

export interface NewVolume {
  readonly volume: string
  /** 32 hexadecimal digits. */
  readonly volumeUuid: string
  readonly volumeKey: Buffer
  /** The node whose certificate brings it. */
  readonly createdBy: string
}

export interface HeldVolume {
  readonly volume: string
  readonly volumeUuid: string
  readonly volumeKey: Buffer
  /** The node by whose certificate it was made; empty: not known. */
  readonly createdBy: string
  /** The life of the store under which this volume is a member. */
  readonly incarnation: number
  /** As durable. Replaced, never changed in place. */
  readonly state: VolumeState
  readonly logBytesReserved: Bytes
  /** Why the log is null although there was one: damaged. Said once in the log. */
  readonly lossReason: string | null
  update(change: { promise?: Epoch; epoch?: Epoch; run?: Run; pending?: LogName | null }, done: StoreDone): void
  /** Epoch and run, and the promise of that epoch, become durable with the log. */
  learn(
    log: { lineage: readonly LogName[]; begin: LogBegin; logBytes: Bytes; epoch: Epoch; run: Run },
    done: StoreDone,
  ): void
  /** The body stays where it is until `done`, room for STORED_HEADER_BYTES in front of it, which begin on a page. */
  append(body: BodyInMemory, done: StoreDone): void
  trim(batchSeq: BatchSeq, done: StoreDone): void
  promote(logUuid: string, done: StoreDone): void
  /** headerHash of a batch that is held; null of any other. */
  headerHashOf(batchSeq: BatchSeq): bigint | null
  /** The body as it was received, into a page-aligned buffer for the longest one. */
  read(batchSeq: BatchSeq, into: Buffer, done: (error: Error | null, body: BodyInMemory | null) => void): void
  discard(done: StoreDone): void
}

export interface HeldStore {
  readonly storeUuid: string
  /** What a volume gets that is created now. */
  readonly incarnation: number
  readonly resource: 'flash' | 'memory'
  readonly capacityBytes: Bytes
  readonly freeBytes: Bytes
  volumes(): readonly HeldVolume[]
  find(volumeUuid: string): HeldVolume | null
  create(volume: NewVolume, done: (error: Error | null, volume: HeldVolume | null) => void): void
}
