// Which versions stand in the log ring, known from the bytes alone and not from the log's format: every sector of user
// data names its operation. Shared by the checkers of acknowledgement and trim.
import { SECTOR_BYTES } from '../../../base/units.ts'
import { identifySector } from '../content.ts'
import type { DiskWatcher, SimulatedDisk } from '../disk.ts'

export class LogContents implements DiskWatcher {
  private readonly disk: SimulatedDisk
  private readonly firstSector: number
  private readonly identities: Float64Array
  private readonly counts = new Map<number, number>()
  /** Called with the identity of content whose last copy in the log has just been overwritten. */
  onGone: ((operationId: number, sector: number) => void) | null = null

  constructor(disk: SimulatedDisk, logStart: number, logEnd: number) {
    this.disk = disk
    this.firstSector = logStart / SECTOR_BYTES
    this.identities = new Float64Array((logEnd - logStart) / SECTOR_BYTES).fill(-1)
  }

  holds(operationId: number, sector: number): boolean {
    return this.counts.has(operationId * 0x10_0000 + sector)
  }

  onSector(disk: SimulatedDisk, sector: number, buffer: Buffer | null, at: number): void {
    if (disk !== this.disk) return
    const index = sector - this.firstSector
    const before = this.identities[index]
    if (before === undefined) return
    const after = buffer === null ? -1 : identifySector(buffer, at)
    if (after === before) return
    this.identities[index] = after
    if (after >= 0) this.counts.set(after, (this.counts.get(after) ?? 0) + 1)
    if (before < 0) return
    const left = (this.counts.get(before) ?? 1) - 1
    if (left > 0) {
      this.counts.set(before, left)
      return
    }
    this.counts.delete(before)
    this.onGone?.(Math.floor(before / 0x10_0000), before % 0x10_0000)
  }
}
