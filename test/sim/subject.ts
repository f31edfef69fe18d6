// What the simulator runs: the engine, or the small reference volume that proves the simulator.
import { decodeSuperblock } from '../../csi-driver/journal/superblock.ts'
import type { OpenVolume } from './machine.ts'
import { referenceCheckpoint } from './reference-format.ts'
import { openReferenceVolume, type ReferenceBug } from './reference-volume.ts'
import { type Scenario, withinBudget } from './scenario.ts'

export interface Subject {
  readonly openVolume: OpenVolume
  /** Adapts scenarios to what the volume claims. */
  readonly change: (scenario: Scenario) => Scenario
  /**
   * The number up to which the log is destaged, as a write to the first bytes of the cache says it; null for a write
   * that says nothing of the kind.
   */
  readonly checkpointOf: (data: Buffer) => number | null
  /** Keep the whole trace. */
  readonly wholeTrace: boolean
}

/** The engine, or a patched copy of it. */
export function engineSubject(openVolume: OpenVolume): Subject {
  return {
    openVolume,
    change: (scenario) => scenario,
    checkpointOf: (data) => decodeSuperblock(data, 0)?.tail.batchSeq ?? null,
    wholeTrace: false,
  }
}

/** The reference volume, which does not claim to notice damage at rest. */
export function referenceSubject(bug: ReferenceBug): Subject {
  return {
    openVolume: openReferenceVolume(bug),
    change: withinBudget,
    checkpointOf: referenceCheckpoint,
    wholeTrace: false,
  }
}
