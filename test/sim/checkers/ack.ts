// Invariant 1: when a write is acknowledged its data stands where no crash takes it: in the log (every completed write
// of the cache device is durable), or on the backing. There it must be durable, unless the device tells its users that
// a flush is needed; then the next flush makes it so.
import { SECTOR_BYTES } from '../../../base/units.ts'
import { describeContent, readSector } from '../content.ts'
import type { Checker, Scene, UserOperation } from './checker.ts'
import type { LogContents } from './log-contents.ts'

export class AckChecker implements Checker {
  readonly name = 'ack'
  readonly rule = 'invariant 1'
  private readonly scene: Scene
  private readonly log: LogContents

  constructor(scene: Scene, log: LogContents) {
    this.scene = scene
    this.log = log
  }

  onAcknowledge(operation: UserOperation): void {
    if (operation.kind !== 'write' || this.scene.beyondBudget) return
    const { backing } = this.scene
    const mustBeDurable = operation.forceUnitAccess || this.scene.deviceMode() === 'write-through'
    const image = mustBeDurable ? backing.durable : backing.visible
    for (let sector = operation.firstSector; sector < operation.firstSector + operation.sectors; sector++) {
      if (this.log.holds(operation.id, sector)) continue
      const found = readSector(image, sector * SECTOR_BYTES, sector)
      if (found === operation.id || this.isNewer(sector, found, operation.id)) continue
      const where = mustBeDurable ? 'durably on the backing' : 'on the backing'
      const message = `write ${operation.id} is acknowledged and neither in the log nor ${where}, which holds ${describeContent(found)} sector=${sector}`
      this.scene.report.add(this.name, this.rule, message)
      return
    }
  }

  /** A version that may lie after the acknowledged one, written by somebody else meanwhile. */
  private isNewer(sector: number, found: number, id: number): boolean {
    const { oracle } = this.scene
    const mine = oracle.candidates(sector, id)[0]
    if (mine === undefined) return false
    const superseders = oracle
      .versionsOf(sector)
      .filter((version) => version !== mine && !oracle.isBefore(version, mine))
    return superseders.some(
      (version) =>
        this.log.holds(version.operation.id, sector) ||
        (version.operation.kind === 'zero' ? true : version.operation.id === found),
    )
  }
}
