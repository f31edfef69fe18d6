// What a checker of the cluster is: it watches disks, register, users and lives of engines from outside, and is asked
// once more after each event, when everything that follows from it has happened.
import type { UserOperation } from '../../checkers/checker.ts'
import type { DiskWatcher } from '../../disk.ts'
import type { RegisterWatcher } from '../../register.ts'
import type { Holder } from '../holder.ts'

export interface ClusterChecker extends DiskWatcher, RegisterWatcher {
  readonly name: string
  /** Invariant of DESIGN.md §3, or rule of PROTOCOL.md, by number. */
  readonly rule: string
  /** An engine of this holder has opened the volume and serves from now on. */
  onServing?(holder: Holder): void
  /** A write or zero is acknowledged; before the oracle learns of it. */
  onAcknowledge?(holder: Holder, operation: UserOperation): void
  /** Any answer; after the oracle has learnt of it. */
  onAnswer?(holder: Holder, operation: UserOperation): void
  afterEvent?(): void
}
