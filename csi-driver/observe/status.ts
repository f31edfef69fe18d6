// What is shown of a volume: by `forebay status`, by the control socket, later by the Kubernetes object. Field names
// are stable: scripts read them. Sizes in bytes, ages in seconds, `null` where nothing is known or nothing applies.
import type { Bytes, Epoch, Run } from '../../base/units.ts'

/**
 * serving, stopping: by a live engine. restarting: a holder without an engine that answers.
 * stopped, stopped-dirty: nobody serves it; dirty means that the cache holds writes which the backing lacks.
 */
export type VolumeState =
  | 'starting'
  | 'serving'
  | 'stopping'
  | 'restarting'
  | 'stopped'
  | 'stopped-dirty'
  | 'unreadable'

export type PolicyName = 'write-back' | 'write-through'

/** Well-being of a device: since when it fails and why. */
export interface DeviceHealth {
  readonly failing: boolean
  readonly sinceSeconds: number | null
  readonly reason: string | null
}

export interface InSyncMember {
  readonly node: string
  readonly storeUuid: string
}

export interface PeerView {
  readonly node: string
  readonly domain: string
  /** offline, candidate, learning, catching-up, joined, member, behind, lost-content, refused. */
  readonly state: string
  readonly resource: 'flash' | 'memory' | null
  /** Batches that it has not acknowledged. */
  readonly lagBatches: number
  readonly lagBytes: Bytes
  /** Why it is not there, or what it refused; null where all is well. */
  readonly lastError: string | null
}

/** How reads from the cache of the owner before go, after a planned move. */
export interface PreviousCacheView {
  /** searching, trial (only compared with the backing), open, over. */
  readonly state: string
  /** Who serves it; null before it is found. */
  readonly node: string | null
  /** Why it is over; null before. */
  readonly reason: string | null
  readonly hits: number
  /** Questions that it could not answer, and reads that did not wait for its answer any longer. */
  readonly misses: number
  readonly late: number
  readonly bytes: Bytes
  /** Averages of what a read takes there and from the backing; null where nothing was measured. */
  readonly latencyMs: number | null
  readonly backingLatencyMs: number | null
}

export interface VolumeStatus {
  readonly volume: string
  readonly state: VolumeState
  /** /dev/loopN, or the URI of the NBD export; null while there is none. */
  readonly device: string | null
  /** Clients of the NBD export; null where there is none. */
  readonly connections: number | null
  readonly backing: string
  readonly cache: string
  /** What the user asked for, and what is in force. `reason` says why they differ, or why the volume is Blocked. */
  readonly writePolicy: PolicyName
  readonly effectiveWritePolicy: PolicyName
  readonly reason: string | null
  /** Of the register: Detached, Opening, WriteBack, DrainWT, WriteThrough, Closing, Blocked. */
  readonly phase: string
  readonly epoch: Epoch
  readonly run: Run
  readonly inSync: readonly InSyncMember[]
  /** Other nodes that hold a copy or may hold one; null where the volume has no peers or nobody serves it. */
  readonly peers: readonly PeerView[] | null
  /** User data that the backing lacks. */
  readonly dirtyBytes: Bytes
  readonly dirtyLimitBytes: Bytes
  /** Age of the oldest dirty data; 0 when clean. */
  readonly oldestDirtySeconds: number
  readonly holderPid: number | null
  readonly enginePid: number | null
  readonly readHits: number
  readonly readMisses: number
  /** null where nobody has moved the volume here in the life of this engine. */
  readonly previousCache: PreviousCacheView | null
  readonly cacheBytes: Bytes
  /** Part of the read cache that holds data. */
  readonly cachedBytes: Bytes
  readonly logBytes: Bytes
  readonly logUsedBytes: Bytes
  readonly volumeBytes: Bytes
  readonly sectorBytes: number
  readonly backingHealth: DeviceHealth
  readonly cacheHealth: DeviceHealth
  /** Who keeps the device open while a stop waits for it; empty otherwise. */
  readonly openBy: readonly DeviceUser[]
  /** Version of the build that serves. */
  readonly version: string
}

/** One user of a device: a mount, or a process that has it open. */
export interface DeviceUser {
  readonly kind: 'mount' | 'process' | 'other'
  /** Mount point, command name, or what else is known. */
  readonly name: string
  readonly pid: number | null
}

export const HEALTHY: DeviceHealth = { failing: false, sinceSeconds: null, reason: null }

/** The user as a message names it: `mount point /mnt/a`, `process 812 (postgres)`. */
export function printDeviceUser(user: DeviceUser): string {
  if (user.kind === 'mount') return `mount point ${user.name}`
  if (user.kind === 'process') return `process ${user.pid ?? '?'} (${user.name})`
  return user.name
}
