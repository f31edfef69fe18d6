// What one seed stands for: the size of everything, how the disks behave, who uses the device, and which incidents meet
// it in which order. All of it is drawn here and printed with a violation, so that a report can be read by itself.
// Everything is tiny, so that the log wraps, fills, and reaches the dirty limit all the time.
import type { Prng } from '../../base/prng.ts'
import { BLOCK_BYTES, KIB, MIB, roundUp, SECTOR_BYTES } from '../../base/units.ts'
import { BATCH_RECORDS_MAX, frameBytesMaxFor } from '../../csi-driver/batch/batch-format.ts'
import type { VolumeSettings } from '../../csi-driver/engine/volume-settings.ts'
import { LOG_FRAMES_MIN } from '../../csi-driver/journal/superblock.ts'
import type { DiskSettings } from './disk.ts'
import type { WorkloadSettings } from './workload.ts'

/**
 * within: faults that must be survived; nothing may be lost, everything must be answered.
 * beyond: data at rest is damaged; losses may happen, but must be said: nothing may be silently wrong.
 */
export type Budget = 'within' | 'beyond'

export const INCIDENTS_WITHIN = [
  'process-crash',
  'process-crash',
  'crash-at-step',
  'crash-at-step',
  'crash-while-opening',
  'holder-crash',
  'power-cut',
  'power-cut',
  'reopen',
  'suspend',
  'switch-policy',
  'switch-policy',
  'drain',
  'backing-outage',
  'backing-errors',
  'backing-hang',
  'backing-slow',
  'backing-full',
  'flush-errors',
  'cache-read-errors',
  'cache-hang',
  'register-outage',
  'register-unknown',
  'idle',
  'survivors',
  'survivors',
] as const
export const INCIDENTS_BEYOND = [
  'corrupt-log',
  'corrupt-superblock',
  'corrupt-read-cache',
  'lost-cache-write',
  'misdirected-cache-write',
] as const
/** Takes the cache device away for good; what can be read is drained. At most once, near the end. */
export const CACHE_FAILURE = 'cache-failure'
/** Rare situations brought about on purpose, for runs that name them; none is drawn. */
export const INCIDENTS_AIMED = ['holder-crash-twice', 'power-cut-in-commit'] as const
export type Incident =
  | (typeof INCIDENTS_WITHIN)[number]
  | (typeof INCIDENTS_AIMED)[number]
  | (typeof INCIDENTS_BEYOND)[number]
  | typeof CACHE_FAILURE

export interface PlannedIncident {
  /** Operations answered since the last incident before this one happens. */
  readonly afterOperations: number
  readonly incident: Incident
}

export interface Scenario {
  readonly budget: Budget
  readonly cache: DiskSettings
  readonly backing: DiskSettings
  readonly workload: WorkloadSettings
  readonly settings: Omit<VolumeSettings, 'session' | 'start' | 'formatCache' | 'acceptDataLoss' | 'backingChanged'>
  /** Of the whole cache disk, log and read cache. */
  readonly incidents: readonly PlannedIncident[]
  /** How the run ends after the last full read. */
  readonly ending: 'close' | 'power-cut' | 'holder-crash'
}

/** Virtual time within which everything must be answered once all faults have ended. */
export const LIVENESS_MS = 120_000

/** Superblocks stand before the log. */
export const LOG_START = 32 * KIB

export function drawScenario(prng: Prng): Scenario {
  const budget: Budget = prng.chance(0.15) ? 'beyond' : 'within'
  const resource = prng.chance(0.2) ? 'memory' : 'flash'
  const sectorBytes = prng.chance(0.15) ? 4096 : 512
  const sizeBytes = prng.pick([256 * KIB, 512 * KIB, MIB, 2 * MIB])
  // The shortest log that a batch limit allows wraps all the time; twice that gives destage some room.
  const payloadBytesMax = prng.pick([32 * KIB, 64 * KIB, 128 * KIB])
  const recordsMax = prng.pick([4, 32, BATCH_RECORDS_MAX])
  const logBytes = roundUp(LOG_FRAMES_MIN * frameBytesMaxFor(payloadBytesMax) * prng.pick([1, 1.5, 2]), BLOCK_BYTES)
  const largestBytes = prng.pick([16 * KIB, payloadBytesMax])
  const readCacheBytes = prng.pick([64 * KIB, 256 * KIB, MIB])
  const dirtyLimitBytes = prng.pick([64 * KIB, 128 * KIB, 512 * KIB])
  const cacheBytes = LOG_START + logBytes + readCacheBytes
  return {
    budget,
    cache: {
      name: 'cache',
      sizeBytes: cacheBytes,
      alignmentBytes: prng.chance(0.3) ? 4096 : 512,
      volatileCache: false,
      canZero: false,
      latencyMs: resource === 'memory' ? 0.01 : prng.pick([0.05, 0.1, 1]),
      megabytesPerSecond: resource === 'memory' ? 5000 : 1000,
      synchronousShare: resource === 'memory' ? 1 : prng.pick([0, 0, 0.3]),
    },
    backing: {
      name: 'backing',
      sizeBytes,
      alignmentBytes: sectorBytes,
      volatileCache: prng.chance(0.7),
      canZero: prng.chance(0.6),
      latencyMs: prng.pick([0.3, 2, 10]),
      megabytesPerSecond: prng.pick([20, 200]),
      synchronousShare: prng.pick([0, 0, 0.1]),
    },
    workload: drawWorkload(prng.fork('workload'), { sizeBytes, largestBytes, sectorBytes }),
    settings: {
      volume: 'volume-1',
      node: 'node-a',
      resource,
      writePolicy: prng.chance(0.8) ? 'write-back' : 'write-through',
      cacheBytes,
      logBytes,
      batchLimits: { recordsMax, payloadBytesMax },
      readAheadLimits: drawReadAhead(prng.fork('read-ahead')),
      cachePath: 'cache',
      backingPath: 'backing',
      dirtyLimitBytes,
      dirtyAgeMs: prng.pick([50, 1000, 30_000]),
      sectorBytes,
      takeover: false,
      replication: null,
      backingIdentity: { kind: 'block', id: 'simulated-backing', sizeBytes },
    },
    incidents: drawIncidents(prng.fork('incidents'), budget),
    ending: prng.pick(['close', 'close', 'power-cut', 'holder-crash']),
  }
}

/** The same scenario without damage to data at rest, for volumes that do not claim to notice it. */
export function withinBudget(scenario: Scenario): Scenario {
  const damage: readonly Incident[] = INCIDENTS_BEYOND
  return {
    ...scenario,
    budget: 'within',
    incidents: scenario.incidents.filter(({ incident }) => !damage.includes(incident) && incident !== CACHE_FAILURE),
  }
}

/** The same scenario made of the given incidents only. */
export function focused(scenario: Scenario, incidents: readonly Incident[]): Scenario {
  const damage: readonly Incident[] = INCIDENTS_BEYOND
  return {
    ...scenario,
    budget: incidents.some((incident) => damage.includes(incident)) ? 'beyond' : 'within',
    incidents: scenario.incidents.map(({ afterOperations }, index) => ({
      afterOperations,
      incident: incidents[index % incidents.length] as Incident,
    })),
  }
}

/** By name, for command lines. */
export function incidentNamed(name: string): Incident | undefined {
  const all: readonly Incident[] = [...INCIDENTS_WITHIN, ...INCIDENTS_AIMED, ...INCIDENTS_BEYOND, CACHE_FAILURE]
  return all.find((incident) => incident === name)
}

/** From the second read in a row on, and far for volumes of this size. */
export function drawReadAhead(prng: Prng): NonNullable<VolumeSettings['readAheadLimits']> {
  return { pieceBytes: prng.pick([8 * KIB, 16 * KIB, 64 * KIB]), pieces: prng.pick([4, 16]), startBytes: SECTOR_BYTES }
}

function drawWorkload(
  prng: Prng,
  size: { sizeBytes: number; largestBytes: number; sectorBytes: 512 | 4096 },
): WorkloadSettings {
  return {
    sectors: size.sizeBytes / SECTOR_BYTES,
    sectorBytes: size.sectorBytes,
    largestBytes: size.largestBytes,
    depth: prng.pick([1, 2, 4, 8, 16, 32]),
    readShare: prng.pick([0.1, 0.4, 0.7]),
    zeroShare: prng.pick([0, 0.05, 0.15]),
    flushShare: prng.pick([0, 0.03, 0.1]),
    hotShare: prng.pick([0, 0.3, 0.8]),
    thinkMs: prng.pick([0, 0.2, 2]),
  }
}

function drawIncidents(prng: Prng, budget: Budget): PlannedIncident[] {
  const planned: PlannedIncident[] = []
  const count = 2 + prng.below(5)
  for (let i = 0; i < count; i++) {
    planned.push({ afterOperations: 5 + prng.below(80), incident: prng.pick(INCIDENTS_WITHIN) })
  }
  if (budget === 'beyond')
    planned.splice(prng.below(planned.length), 0, { afterOperations: 40, incident: prng.pick(INCIDENTS_BEYOND) })
  else if (prng.chance(0.08)) planned.push({ afterOperations: 20, incident: CACHE_FAILURE })
  return planned
}
