// DESIGN.md §3, destage: between generations the backing alone is a crash-consistent image of the past. Looked at when a
// checkpoint is written that says that more of the log is destaged, while the last thing that happened to the backing
// was a flush, in runs that have only ever acknowledged from the log (a through-write is allowed to run ahead).
//
// An image is a consistent cut if no version in it was submitted after the acknowledgement of one that is missing: with
// T the latest submission among the versions present, every sector must be legal for somebody who looks at T.
import type { DiskOperation, SimulatedDisk } from '../disk.ts'
import { SECTOR_BYTES } from '../../../base/units.ts'
import { INITIAL_ID, readSector } from '../content.ts'
import type { Illegal } from '../oracle.ts'
import type { Checker, Scene } from './checker.ts'

export class GenerationChecker implements Checker {
  readonly name = 'generation'
  readonly rule = 'ordered generations'
  /** Images looked at, for the summary. */
  images = 0
  /** False once anything but pure write-back has happened. */
  pureWriteBack = true
  private readonly scene: Scene
  private readonly contents: Float64Array
  private flushedSinceWrite = false
  private destagedUpTo = Number.POSITIVE_INFINITY
  private readonly checkpointOf: (data: Buffer) => number | null

  constructor(scene: Scene, checkpointOf: (data: Buffer) => number | null) {
    this.scene = scene
    this.contents = new Float64Array(scene.oracle.sectors)
    this.checkpointOf = checkpointOf
  }

  onSubmit(disk: SimulatedDisk, operation: DiskOperation): void {
    if (disk === this.scene.backing) {
      if (operation.kind === 'write' || operation.kind === 'zero') this.flushedSinceWrite = false
      return
    }
    const [range] = operation.ranges
    if (operation.data === null || range === undefined || range.position >= this.scene.logStart) return
    const destaged = this.checkpointOf(operation.data)
    if (destaged === null) return
    const isCheckpoint = destaged > this.destagedUpTo
    this.destagedUpTo = destaged
    if (isCheckpoint && this.flushedSinceWrite && this.pureWriteBack && !this.scene.beyondBudget) this.checkCut()
  }

  onEnd(disk: SimulatedDisk, operation: DiskOperation, error: Error | null): void {
    if (disk !== this.scene.backing || operation.kind !== 'flush') return
    this.flushedSinceWrite = error === null && !disk.hasUnflushedWrites && !hasWriteInFlight(disk)
  }

  onCrash(): void {
    // A generation was cut short: the image is consistent again only after the next one.
    this.flushedSinceWrite = false
  }

  private checkCut(): void {
    const { backing, oracle, report } = this.scene
    this.images++
    let latest = 0
    for (let sector = 0; sector < oracle.sectors; sector++) {
      const content = readSector(backing.durable, sector * SECTOR_BYTES, sector)
      this.contents[sector] = content
      // Zeros do not say whose they are; without them the cut is only looked for too early, never too late.
      if (content > INITIAL_ID) latest = Math.max(latest, oracle.submittedAt(sector, content))
    }
    let illegal: Illegal | null = null
    for (let sector = 0; sector < oracle.sectors && illegal === null; sector++) {
      const content = this.contents[sector] as number
      illegal = oracle.check(sector, content, latest)
    }
    if (illegal !== null) report.add(this.name, this.rule, `the backing is no image of any moment: ${illegal.message}`)
  }
}

function hasWriteInFlight(disk: SimulatedDisk): boolean {
  for (const operation of disk.inFlight.values())
    if (operation.kind === 'write' || operation.kind === 'zero') return true
  return false
}
