// Invariant 7: space of the log is used again only for records whose content, or something newer, is durable on the
// backing or still stands elsewhere in the log. Seen when the bytes are overwritten.
import { SECTOR_BYTES } from '../../../base/units.ts'
import { describeContent, readSector } from '../content.ts'
import type { Checker, Scene } from './checker.ts'
import type { LogContents } from './log-contents.ts'

export class TrimChecker implements Checker {
  readonly name = 'trim'
  readonly rule = 'invariant 7'
  private readonly scene: Scene
  private readonly log: LogContents

  constructor(scene: Scene, log: LogContents) {
    this.scene = scene
    this.log = log
    log.onGone = (operationId, sector) => this.gone(operationId, sector)
  }

  private gone(operationId: number, sector: number): void {
    const { oracle, backing, beyondBudget } = this.scene
    if (beyondBudget) return
    const version = oracle.candidates(sector, operationId)[0]
    if (version === undefined) return
    // Nobody was promised it.
    if (version.operation.acknowledgedAt === Number.POSITIVE_INFINITY && !version.observed) return
    const found = readSector(backing.durable, sector * SECTOR_BYTES, sector)
    const onBacking = oracle.candidates(sector, found)
    if (onBacking.some((other) => other === version || !oracle.isBefore(other, version))) return
    const newer = oracle.versionsOf(sector).some(
      (other) =>
        other !== version &&
        !oracle.isBefore(other, version) &&
        // A zeroing leaves no bytes in the log; whether it is safe there is for the survivors checker.
        (other.operation.kind === 'zero' || this.log.holds(other.operation.id, sector)),
    )
    if (newer) return
    const message = `write ${operationId} left the log while the backing durably holds ${describeContent(found)} sector=${sector}`
    this.scene.report.add(this.name, this.rule, message)
  }
}
