// What a checker of the simulator is: it watches disks, register, requests and lives of engines from outside, knows the
// oracle, and reports what breaks the promise it stands for. It never changes what it watches.
import type { SimulatedDisk, DiskWatcher } from '../disk.ts'
import type { Oracle } from '../oracle.ts'
import type { RegisterWatcher } from '../register.ts'
import type { Report } from '../report.ts'
import type { Process, World } from '../world.ts'

/** An operation of the workload, as the users of the device see it. */
export interface UserOperation {
  readonly id: number
  readonly kind: 'read' | 'write' | 'zero' | 'flush'
  readonly firstSector: number
  readonly sectors: number
  readonly forceUnitAccess: boolean
  readonly submittedAt: number
  readonly submittedMs: number
}

/** How the device presents itself to its users. */
export type DeviceMode = 'write-back' | 'write-through'

export type CrashKind = 'process' | 'holder' | 'power'

/** What a checker needs of status(). */
export interface VolumeStatus {
  readonly phase: string
  readonly epoch: number
  readonly run: number
  readonly dirtyBytes: number
  readonly logUsedBytes: number
  readonly logBytes: number
}

/** The parts of a run that checkers look at. */
export interface Scene {
  readonly world: World
  readonly report: Report
  readonly oracle: Oracle
  readonly cache: SimulatedDisk
  readonly backing: SimulatedDisk
  /** Byte range of the log ring on the cache disk. */
  readonly logStart: number
  readonly logEnd: number
  readonly dirtyLimitBytes: number
  readonly largestWriteBytes: number
  readonly deviceMode: () => DeviceMode
  /** `dirty` of the newest register record; true while there is none. */
  readonly registerDirty: () => boolean
  /** Faults beyond what must be survived were injected: losses must be said, but may happen. */
  readonly beyondBudget: boolean
}

export interface Checker extends DiskWatcher, RegisterWatcher {
  readonly name: string
  /** Invariant of DESIGN.md §3, or rule of PROTOCOL.md, by number. */
  readonly rule: string
  onOpened?(process: Process, status: VolumeStatus, start: 'first' | 'restart'): void
  onSubmitOperation?(operation: UserOperation): void
  /** Before the oracle learns of it. */
  onAcknowledge?(operation: UserOperation): void
  onStatus?(status: VolumeStatus): void
  onCrash?(kind: CrashKind): void
  /** A drain or a close has ended while nothing was submitted. */
  onDrained?(): void
}
