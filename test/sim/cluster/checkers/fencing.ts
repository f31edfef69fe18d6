// A new owner touches the backing only after the old ones are fenced from it (invariant 5, PROTOCOL.md S2 and 5.3): once
// the register lists nobody as unfenced and somebody serves, no write of an engine of an older epoch lands any more, and
// nobody serves while the register still lists somebody.
import type { RegisterRecord } from '../../../../csi-driver/register/record.ts'
import type { DiskOperation, SimulatedDisk } from '../../disk.ts'
import type { Report } from '../../report.ts'
import type { Process } from '../../world.ts'
import type { Holder } from '../holder.ts'
import type { ClusterChecker } from './cluster-checker.ts'

export type Server = Pick<Holder, 'epoch'> & { readonly life: { readonly process: Process } | null }

export class FencingChecker implements ClusterChecker {
  readonly name = 'fencing'
  readonly rule = 'S2 and 5.3'
  private readonly report: Report
  private readonly backing: SimulatedDisk
  private readonly record: () => RegisterRecord | null
  private readonly epochs = new Map<Process, number>()
  private servingEpoch = 0

  constructor(parts: { report: Report; backing: SimulatedDisk; record: () => RegisterRecord | null }) {
    this.report = parts.report
    this.backing = parts.backing
    this.record = parts.record
  }

  onServing({ epoch, life }: Server): void {
    if (life !== null) this.epochs.set(life.process, epoch)
    const record = this.record()
    if (record !== null && record.epoch === epoch && record.unfenced.length > 0) {
      const names = record.unfenced.map((entry) => `${entry.node}/${entry.epoch}`)
      this.add(`epoch ${epoch} serves while others are not fenced: ${names.join(',')}`)
    }
    this.servingEpoch = Math.max(this.servingEpoch, epoch)
  }

  onLanded(disk: SimulatedDisk, { process, ranges }: DiskOperation): void {
    if (disk !== this.backing) return
    const epoch = this.epochs.get(process)
    if (epoch === undefined || epoch >= this.servingEpoch) return
    const position = ranges[0]?.position ?? 0
    this.add(
      `a write of ${process.name} of epoch ${epoch} lands while epoch ${this.servingEpoch} serves position=${position}`,
    )
  }

  private add(message: string): void {
    this.report.add(this.name, this.rule, message)
  }
}
