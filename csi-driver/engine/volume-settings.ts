// What an engine is made of: ports (things that act) and settings (values), never mixed. The real process and the
// simulator build the same Volume from these; only the adapters differ.
import type { Clock, Timers } from '../../base/clock.ts'
import type { EventLog } from '../../base/log.ts'
import type { Prng } from '../../base/prng.ts'
import type { Bytes, Ms } from '../../base/units.ts'
import type { BatchLimits } from '../batch/batch-builder.ts'
import type { Fence } from '../fencing/fence.ts'
import type { BackingIdentity } from '../io/backing-identity.ts'
import type { AlignedMemory, BackingStorage, Storage } from '../io/storage.ts'
import type { NetworkAddress } from '../io/network.ts'
import type { PeerNetwork } from '../io/peer-network.ts'
import type { Register } from '../register/register.ts'
import type { Peer } from '../replica/replicator.ts'
import type { ReadAheadLimits } from './read-ahead/read-ahead-limits.ts'

export type WritePolicy = 'write-back' | 'write-through'

/** Random identifiers (UUIDs, keys, nonces). The real one is the operating system's generator. */
export interface RandomBytes {
  fill(buffer: Buffer): void
}

export class NoDeviceYet extends Error {}

/** What the front end must do for the engine when the acknowledgement rule changes. */
export interface WriteCacheSwitch {
  /**
   * `write-back`: the device tells its users that a flush is needed and passes flushes on; `write-through`: it does not
   * (every acknowledged write is durable already). Resolves when it is in force; rejects with NoDeviceYet while the
   * device is still to be attached, which ends with a call of `Volume.attached`.
   */
  setWriteCache(mode: 'write-back' | 'write-through'): Promise<void>
}

/**
 * superblock: a change of the register may have been sent without an intent in the superblock, which could not be
 *   written. It counts as an open intent (PROTOCOL.md 1.3).
 * flush: a flush of the backing failed, which may have dropped acknowledged writes, and the users have not heard of it.
 *   Their next flush must fail.
 * write-back, write-through: what the user asked for since the holder started, which the phase does not always show.
 */
export type Doubt = 'superblock' | 'flush' | WritePolicy

/** What an engine leaves to the next one of the same holder, beside the cache. */
export interface Doubts {
  has(doubt: Doubt): boolean
  /** Survives the process when it resolves. Rejects with IoError. */
  raise(doubt: Doubt): Promise<void>
  clear(doubt: Doubt): Promise<void>
}

/** Where the copies go. */
export interface ReplicationSettings {
  /** Candidates in order of preference; never the own node. */
  readonly peers: readonly Peer[]
  /** The replica store on the own node, which may hold a copy from the time when another node owned the volume. */
  readonly ownStore: NetworkAddress | null
  /** Domain of the own node: what fails together with it. */
  readonly domain: string
  /** Copies wanted on nodes of the own domain, and of others; 0 to 2 in all. */
  readonly wanted: { readonly same: number; readonly other: number }
  /** auto: payloads are compressed on their way where that is faster. */
  readonly compression: 'auto' | 'off'
}

export interface VolumePorts {
  readonly clock: Clock
  readonly timers: Timers
  readonly memory: AlignedMemory
  readonly random: RandomBytes
  /** Back-off jitter and names of register changes; nothing that has to be secret. */
  readonly prng: Prng
  readonly log: EventLog
  /** Every completed write is durable (flash: O_DIRECT|O_DSYNC; memory: as durable as the resource). */
  readonly cache: Storage
  /** The same device for read-cache slots: a completed write may still be lost with the power. */
  readonly cacheFill: Storage
  readonly backing: BackingStorage
  readonly register: Register
  readonly writeCache: WriteCacheSwitch
  readonly doubts: Doubts
  /** Null: the volume has no peers. */
  readonly network: PeerNetwork | null
  readonly fence: Fence
}

export interface VolumeSettings {
  readonly volume: string
  readonly node: string
  readonly resource: 'flash' | 'memory'
  readonly writePolicy: WritePolicy
  /** What of the cache storage may be used. */
  readonly cacheBytes: Bytes
  /** Log ring size; the rest of the cache storage behind it holds the read cache. Multiple of 4096. */
  readonly logBytes: Bytes
  readonly dirtyLimitBytes: Bytes
  /** Smaller batches than the format's limits, for tests; writes are split by the front end at payloadBytesMax. */
  readonly batchLimits?: BatchLimits
  /** Smaller than READ_AHEAD_LIMITS, for tests. */
  readonly readAheadLimits?: ReadAheadLimits
  /** Dirty data older than this is destaged at full rate; it never stalls a writer. */
  readonly dirtyAgeMs: Ms
  readonly sectorBytes: 512 | 4096
  readonly backingIdentity: BackingIdentity
  /** The FUSE connection's random name, stored in every batch (DESIGN.md §7.2); 0n where there is none. */
  readonly session: bigint
  /** `first`: a new holder, opens by PROTOCOL.md §5. `restart`: same holder, same epoch, next run (§3). */
  readonly start: 'first' | 'restart'
  /** For messages. */
  readonly cachePath: string
  readonly backingPath: string
  /** What is known from the last report about data that may be lost. */
  readonly atStake?: { readonly dirtyBytes?: number; readonly ageMs?: Ms }
  readonly formatCache: boolean
  /** The volume's name, or empty. */
  readonly acceptDataLoss: string
  /** The volume may be taken over from another node, which `fence` fences. */
  readonly takeover: boolean
  /** Null: no copies on other nodes, and a register that no other node shares. */
  readonly replication: ReplicationSettings | null
  readonly backingChanged: 'none' | 'replay' | 'discard-cache'
}
