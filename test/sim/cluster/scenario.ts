// What one seed of the cluster stands for: the hosts and their disks, clocks and domains, how many copies are wanted, how
// the network, the backing and the fence behave, who uses the volume, and which incidents meet it in which order.
// Everything is tiny and short, so that thousands of seeds are run; see docs/explanation/simulator.md.
import type { Prng } from '../../../base/prng.ts'
import { BLOCK_BYTES, type Bytes, KIB, type Ms, roundUp, SECTOR_BYTES } from '../../../base/units.ts'
import { frameBytesMaxFor } from '../../../csi-driver/batch/batch-format.ts'
import type { VolumeSettings } from '../../../csi-driver/engine/volume-settings.ts'
import { LOG_FRAMES_MIN } from '../../../csi-driver/journal/superblock.ts'
import { segmentsForLog, STORE_SUPERBLOCK_AREA_BYTES } from '../../../csi-driver/replica/store/store-geometry.ts'
import type { DiskSettings } from '../disk.ts'
import type { NetworkSettings } from '../network.ts'
import { drawReadAhead } from '../scenario.ts'
import type { WorkloadSettings } from '../workload.ts'
import type { HostSettings } from './host.ts'
import { CLUSTER_INCIDENTS, type ClusterIncident } from './incident-names.ts'

/**
 * within: no more copies are destroyed than the policy survives; nothing may be lost, everything must be answered.
 * beyond: every copy may be destroyed; losses may happen, but must be said.
 */
export type ClusterBudget = 'within' | 'beyond'

export interface PlannedClusterIncident {
  /** Operations answered since the last incident before this one happens, unless it takes too long. */
  readonly afterOperations: number
  readonly incident: ClusterIncident
}

type EngineSettings = Pick<
  VolumeSettings,
  | 'volume'
  | 'writePolicy'
  | 'cacheBytes'
  | 'logBytes'
  | 'dirtyLimitBytes'
  | 'dirtyAgeMs'
  | 'sectorBytes'
  | 'backingIdentity'
  | 'cachePath'
  | 'backingPath'
  | 'readAheadLimits'
> & { readonly batchLimits: NonNullable<VolumeSettings['batchLimits']> }

export interface ClusterScenario {
  readonly budget: ClusterBudget
  readonly hosts: readonly HostSettings[]
  /** Wanted copies beside the own one. */
  readonly wanted: { readonly same: number; readonly other: number }
  readonly backing: DiskSettings
  readonly network: Partial<NetworkSettings>
  readonly segmentBytes: Bytes
  readonly compression: 'auto' | 'off'
  readonly workload: WorkloadSettings
  readonly engine: EngineSettings
  /** What the fence does with the host of an old owner. */
  readonly fence: 'cut' | 'off' | 'either'
  readonly operator: {
    /** An owner that does not answer for so long is taken over. */
    readonly patienceMs: Ms
    /** The host that served last is tried first. */
    readonly sticky: boolean
  }
  readonly incidents: readonly PlannedClusterIncident[]
  /** After the last fault the run waits until there are as many copies as wanted. */
  readonly waitsForCopies: boolean
  /** How the run ends after the last full read. */
  readonly ending: 'close' | 'takeover'
}

/** Superblocks stand before the log. */
const LOG_START: Bytes = 32 * KIB
const READ_CACHE_BYTES: Bytes = 32 * KIB
const SLOT_AREA_BYTES: Bytes = 4 * BLOCK_BYTES

export function drawClusterScenario(prng: Prng): ClusterScenario {
  const replicas = prng.pick([0, 1, 1, 1, 1, 2, 2, 2])
  const budget: ClusterBudget = prng.chance(0.1) ? 'beyond' : 'within'
  const sizeBytes = prng.pick([64 * KIB, 128 * KIB, 256 * KIB])
  const payloadBytesMax = prng.pick([8 * KIB, 16 * KIB, 32 * KIB])
  const logBytes = roundUp(LOG_FRAMES_MIN * frameBytesMaxFor(payloadBytesMax) * prng.pick([1, 1.5]), BLOCK_BYTES)
  const cacheBytes = LOG_START + logBytes + READ_CACHE_BYTES
  const segmentBytes = roundUp(frameBytesMaxFor(payloadBytesMax), BLOCK_BYTES) + prng.pick([2, 8]) * BLOCK_BYTES
  const domains = prng.chance(0.3) ? 2 : 1
  const hosts = drawHosts(prng.fork('hosts'), { replicas, domains, cacheBytes, logBytes, segmentBytes })
  const other = domains === 2 ? prng.below(replicas + 1) : 0
  return {
    budget,
    hosts,
    wanted: { same: replicas - other, other },
    backing: {
      name: 'backing',
      sizeBytes,
      alignmentBytes: SECTOR_BYTES,
      volatileCache: prng.chance(0.7),
      canZero: prng.chance(0.6),
      latencyMs: prng.pick([0.3, 2, 10]),
      megabytesPerSecond: prng.pick([20, 200]),
      synchronousShare: 0,
    },
    network: {
      latencyMs: prng.pick([0.05, 0.2, 2]),
      megabytesPerSecond: prng.pick([1, 10, 1000]),
      windowBytes: prng.pick([16 * KIB, 256 * KIB]),
      chunkBytesMax: prng.pick([700, 8 * KIB, 64 * KIB]),
    },
    segmentBytes,
    compression: prng.pick(['auto', 'auto', 'off']),
    workload: drawWorkload(prng.fork('workload'), sizeBytes, payloadBytesMax),
    engine: {
      volume: 'volume-1',
      writePolicy: prng.chance(0.9) ? 'write-back' : 'write-through',
      cacheBytes,
      logBytes,
      batchLimits: { recordsMax: prng.pick([2, 8, 64]), payloadBytesMax },
      readAheadLimits: drawReadAhead(prng.fork('read-ahead')),
      cachePath: 'cache',
      backingPath: 'backing',
      dirtyLimitBytes: prng.pick([32 * KIB, 64 * KIB]),
      dirtyAgeMs: prng.pick([50, 500, 10_000]),
      sectorBytes: 512,
      backingIdentity: { kind: 'block', id: 'simulated-backing', sizeBytes },
    },
    fence: prng.pick(['cut', 'off', 'either']),
    operator: { patienceMs: prng.pick([1000, 3000, 10_000]), sticky: prng.chance(0.4) },
    incidents: drawIncidents(prng.fork('incidents')),
    waitsForCopies: prng.chance(0.3),
    ending: prng.pick(['close', 'takeover']),
  }
}

function drawHosts(
  prng: Prng,
  size: { replicas: number; domains: number; cacheBytes: Bytes; logBytes: Bytes; segmentBytes: Bytes },
): HostSettings[] {
  const { replicas, domains, cacheBytes, logBytes, segmentBytes } = size
  const count = Math.min(5, Math.max(2, replicas + 1 + prng.below(3)))
  const driftMax = prng.pick([0, 0.001, 0.05])
  const resources = prng.pick(['flash', 'flash', 'memory', 'mixed'] as const)
  const wanted = segmentsForLog(logBytes, segmentBytes)
  return Array.from({ length: count }, (_, index) => {
    const name = `host-${'abcde'[index]}`
    const resource = resources === 'mixed' ? prng.pick(['flash', 'memory'] as const) : resources
    // A store that is too small for the log refuses to learn.
    const segments = index > 1 && prng.chance(0.1) ? wanted - 1 : wanted + prng.below(3)
    // Segments begin behind the slots.
    const storeBytes = STORE_SUPERBLOCK_AREA_BYTES + SLOT_AREA_BYTES + segments * segmentBytes
    return {
      name,
      domain: `domain-${1 + (index % domains)}`,
      resource,
      drift: (prng.float() * 2 - 1) * driftMax,
      cache: diskOf(`${name}.cache`, cacheBytes, resource, prng),
      store: diskOf(`${name}.store`, storeBytes, resource, prng),
      storeSegments: segments,
      readCacheStart: LOG_START + logBytes,
    }
  })
}

function diskOf(name: string, sizeBytes: Bytes, resource: 'flash' | 'memory', prng: Prng): DiskSettings {
  const isMemory = resource === 'memory'
  return {
    name,
    sizeBytes,
    alignmentBytes: SECTOR_BYTES,
    volatileCache: false,
    canZero: false,
    latencyMs: isMemory ? 0.01 : prng.pick([0.05, 0.2, 1]),
    megabytesPerSecond: isMemory ? 5000 : 1000,
    synchronousShare: isMemory ? 1 : prng.pick([0, 0.3]),
  }
}

function drawWorkload(prng: Prng, sizeBytes: Bytes, payloadBytesMax: Bytes): WorkloadSettings {
  return {
    sectors: sizeBytes / SECTOR_BYTES,
    sectorBytes: 512,
    largestBytes: Math.min(8 * KIB, payloadBytesMax),
    depth: prng.pick([1, 2, 4, 8]),
    readShare: prng.pick([0.1, 0.4, 0.6]),
    zeroShare: prng.pick([0, 0.1]),
    flushShare: prng.pick([0, 0.03]),
    hotShare: prng.pick([0, 0.5, 0.9]),
    thinkMs: prng.pick([1, 5, 20]),
  }
}

function drawIncidents(prng: Prng): PlannedClusterIncident[] {
  const count = 2 + prng.below(3)
  return Array.from({ length: count }, () => ({
    afterOperations: 3 + prng.below(20),
    incident: prng.pick(CLUSTER_INCIDENTS),
  }))
}

/** The same scenario made of the given incidents only. */
export function focusedOn(scenario: ClusterScenario, incidents: readonly ClusterIncident[]): ClusterScenario {
  return {
    ...scenario,
    incidents: scenario.incidents.map(({ afterOperations }, index) => ({
      afterOperations,
      incident: incidents[index % incidents.length] as ClusterIncident,
    })),
  }
}
