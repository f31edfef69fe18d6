// dirty=false means that the backing alone holds every acknowledged write (rules 1.5, 2.4, 2.5), and so does a finished
// drain or close. Checked whenever the register says so, at every acknowledgement while it says so, and at the end of
// drains: the visible backing must be legal as it is, its durable part legal for somebody who looks after a power cut.
import { SECTOR_BYTES } from '../../../base/units.ts'
import type { RegisterRecord } from '../../../csi-driver/register/record.ts'
import { readSector } from '../content.ts'
import type { Checker, Scene, UserOperation } from './checker.ts'
import { judgeImage } from './image.ts'

export class CleanChecker implements Checker {
  readonly name = 'clean'
  readonly rule = 'rules 1.5 and 2.5'
  private readonly scene: Scene

  constructor(scene: Scene) {
    this.scene = scene
  }

  onRegister(record: RegisterRecord): void {
    if (!record.dirty) this.checkBacking(`the register says dirty=false (rv ${record.rv})`)
  }

  onDrained(): void {
    this.checkBacking('a drain has ended')
  }

  onAcknowledge(operation: UserOperation): void {
    if (this.scene.registerDirty() || this.scene.beyondBudget) return
    if (operation.kind !== 'write') return
    const { backing, oracle } = this.scene
    for (let sector = operation.firstSector; sector < operation.firstSector + operation.sectors; sector++) {
      const found = readSector(backing.visible, sector * SECTOR_BYTES, sector)
      const mine = oracle.candidates(sector, operation.id)[0]
      if (mine === undefined) continue
      if (oracle.candidates(sector, found).some((version) => version === mine || !oracle.isBefore(version, mine)))
        continue
      const message = `write ${operation.id} is acknowledged while dirty=false and is not on the backing sector=${sector}`
      this.scene.report.add(this.name, this.rule, message)
      return
    }
  }

  private checkBacking(when: string): void {
    const { backing, oracle, world, report, beyondBudget } = this.scene
    if (beyondBudget) return
    const now = world.tick()
    const illegal =
      judgeImage(backing.visible, oracle.sectors, (sector, content) => oracle.check(sector, content, now)) ??
      judgeImage(backing.durable, oracle.sectors, (sector, content) => oracle.checkAfterPowerCut(sector, content, now))
    if (illegal !== null) report.add(this.name, this.rule, `${when}, but on the backing ${illegal.message}`)
  }
}
