// The strong invariant of PROTOCOL.md §10, in every state: for each member that the register lists, its log over the
// backing gives every acknowledged and every read write; and while the register says dirty=false, the backing has them
// by itself. Looked at after each event for the sectors of which anything has changed: a copy, the backing, the set of
// members, or what was promised. The backing is taken as it is seen, and as a power cut would leave it.
import { SECTOR_BYTES } from '../../../../base/units.ts'
import type { Member, RegisterRecord } from '../../../../csi-driver/register/record.ts'
import type { UserOperation } from '../../checkers/checker.ts'
import { readSector } from '../../content.ts'
import type { SimulatedDisk } from '../../disk.ts'
import type { Oracle } from '../../oracle.ts'
import type { Report } from '../../report.ts'
import type { World } from '../../world.ts'
import { type CopyOfLog, NOT_IN_LOG } from '../log-on-disk.ts'
import type { Holder } from '../holder.ts'
import type { ClusterChecker } from './cluster-checker.ts'

export interface InvariantScene {
  readonly world: World
  readonly report: Report
  readonly oracle: Oracle
  readonly backing: SimulatedDisk
  readonly copies: readonly CopyOfLog[]
  /** The newest version of the register. */
  readonly record: () => RegisterRecord | null
  /** A fault took the content of this copy away: nothing is asked of it. */
  readonly isDestroyed: (member: Member) => boolean
  /** Losses may happen. */
  readonly beyondBudget: boolean
}

export class StrongInvariantChecker implements ClusterChecker {
  readonly name = 'strong-invariant'
  readonly rule = 'PROTOCOL.md §10'
  /** Sectors looked at, for the summary. */
  looks = 0
  private readonly scene: InvariantScene
  private readonly touched = new Set<number>()
  private everything = false
  private judged: RegisterRecord | null = null

  constructor(scene: InvariantScene) {
    this.scene = scene
    for (const copy of scene.copies) {
      copy.onTouched = (sector) => this.touched.add(sector)
      copy.onHead = () => {
        this.everything = true
      }
    }
  }

  onSector(disk: SimulatedDisk, sector: number): void {
    if (disk === this.scene.backing) this.touched.add(sector)
  }

  onAnswer(_holder: Holder, { firstSector, sectors }: UserOperation): void {
    for (let sector = firstSector; sector < firstSector + sectors; sector++) this.touched.add(sector)
  }

  afterEvent(): void {
    const record = this.scene.record()
    if (record !== this.judged) {
      this.judged = record
      this.everything = true
    }
    if (record === null || this.scene.beyondBudget || (!this.everything && this.touched.size === 0)) return
    // Which of its names counts may change what a copy holds, and with it what is to be looked at.
    const copies = record.dirty ? this.listedCopies(record) : []
    const sectors = this.everything ? range(this.scene.oracle.sectors) : [...this.touched]
    this.everything = false
    this.touched.clear()
    if (!record.dirty) this.judgeImage('dirty=false', null, sectors)
    for (const { name, copy } of copies)
      this.judgeImage(`member ${name}, its log over the backing`, copy.content, sectors)
  }

  private listedCopies(record: RegisterRecord): { name: string; copy: CopyOfLog }[] {
    const copies: { name: string; copy: CopyOfLog }[] = []
    for (const member of record.members) {
      if (this.scene.isDestroyed(member)) continue
      const name = `${member.node} ${member.storeUuid.slice(0, 4)}.${member.incarnation}`
      const copy = this.copyOf(member)
      if (copy === null) this.add(`member ${name} is nowhere, and no fault has destroyed it`)
      else if (!copy.named(record.logUuid)) this.add(`member ${name} does not hold the log ${record.logUuid}`)
      else copies.push({ name, copy })
    }
    return copies
  }

  private copyOf({ storeUuid, incarnation }: Member): CopyOfLog | null {
    for (const copy of this.scene.copies) {
      if (copy.head?.storeUuid === storeUuid && copy.head.incarnation === incarnation) return copy
    }
    return null
  }

  private judgeImage(whose: string, log: Int32Array | null, sectors: readonly number[]): void {
    const { backing, oracle, world } = this.scene
    const now = world.tick()
    for (const sector of sectors) {
      this.looks++
      const logged = log === null ? NOT_IN_LOG : (log[sector] as number)
      const seen = logged === NOT_IN_LOG ? readSector(backing.visible, sector * SECTOR_BYTES, sector) : logged
      const illegal = oracle.check(sector, seen, now)
      if (illegal !== null) {
        this.add(`${whose}: ${illegal.message}`)
        return
      }
      const left = logged === NOT_IN_LOG ? readSector(backing.durable, sector * SECTOR_BYTES, sector) : logged
      const gone = left === seen ? null : oracle.checkAfterPowerCut(sector, left, now)
      if (gone === null) continue
      this.add(`${whose}, after a power cut of the backing: ${gone.message}`)
      return
    }
  }

  private add(message: string): void {
    this.scene.report.add(this.name, this.rule, message)
  }
}

function range(length: number): number[] {
  return Array.from({ length }, (_, index) => index)
}
