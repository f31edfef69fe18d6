// Invariant 10: what the engine holds at once is bounded: dirty data by its limit, log use by the log, and operations in
// flight on each disk, timers and memory by numbers that do not depend on the load.
import type { DiskOperation, SimulatedDisk } from '../disk.ts'
import type { Process } from '../world.ts'
import type { Checker, Scene, VolumeStatus } from './checker.ts'

/** Far above what the engine's own named limits add up to; a leak passes it within a run. */
export const IN_FLIGHT_MAX = 1024
export const TIMERS_MAX = 64
/** Dirty data may pass its limit by that many of the largest writes: what is being committed when the limit is met. */
export const DIRTY_OVERRUN_WRITES_MAX = 2

export class BoundedChecker implements Checker {
  readonly name = 'bounded'
  readonly rule = 'invariant 10'
  private readonly scene: Scene
  private process: Process | null = null
  /** A replay finds everything that was not trimmed dirty again: bounded by the log, and never added to. */
  private replayedBytes = 0

  constructor(scene: Scene) {
    this.scene = scene
  }

  onOpened(process: Process, status: VolumeStatus): void {
    this.process = process
    this.replayedBytes = status.dirtyBytes
  }

  onSubmit(disk: SimulatedDisk, _operation: DiskOperation): void {
    if (disk.inFlight.size > IN_FLIGHT_MAX) {
      this.add(`too many operations in flight disk=${disk.settings.name} operations=${disk.inFlight.size}`)
    }
    if (this.process !== null && this.process.timersSet > TIMERS_MAX)
      this.add(`too many timers set timers=${this.process.timersSet}`)
  }

  onStatus(status: VolumeStatus): void {
    const { dirtyLimitBytes, largestWriteBytes } = this.scene
    const limit = Math.max(dirtyLimitBytes, this.replayedBytes)
    if (status.dirtyBytes > limit + DIRTY_OVERRUN_WRITES_MAX * largestWriteBytes) {
      this.add(`dirty data is above its limit dirtyBytes=${status.dirtyBytes} limit=${dirtyLimitBytes}`)
    }
    if (status.logUsedBytes > status.logBytes) this.add(`log use exceeds the log used=${status.logUsedBytes}`)
  }

  private add(message: string): void {
    this.scene.report.add(this.name, this.rule, message)
  }
}
