// Invariant 5 in a cluster: epochs of the register never go back, each ownership serves under an epoch of its own and each
// restarted engine as a run of its own; and once an engine of a newer epoch serves, nobody of an older one acknowledges a
// write under a lease: what it may still say is that a through-write, which ended before its fence, has ended (8.4).
import type { RegisterRecord } from '../../../../csi-driver/register/record.ts'
import type { UserOperation } from '../../checkers/checker.ts'
import type { Report } from '../../report.ts'
import type { Holder } from '../holder.ts'
import type { ClusterChecker } from './cluster-checker.ts'

/** What of a holder is looked at. */
export type Writer = Pick<Holder, 'epoch' | 'run' | 'number'>

export class OneWriterChecker implements ClusterChecker {
  readonly name = 'one-writer'
  readonly rule = 'invariant 5'
  private readonly report: Report
  private registerEpoch = 0
  private servingEpoch = 0
  private readonly runs = new Map<number, { run: number; holder: number }>()
  /** Epochs whose owner was the only member when the next claim came: no lease bound it. */
  private readonly alone = new Set<number>()
  private last: RegisterRecord | null = null

  constructor(report: Report) {
    this.report = report
  }

  onRegister(record: RegisterRecord): void {
    const { last } = this
    if (record.epoch < this.registerEpoch)
      this.add(`the register went back to epoch ${record.epoch} from ${this.registerEpoch}`)
    if (last !== null && record.epoch > last.epoch && last.members.length <= 1) this.alone.add(last.epoch)
    this.registerEpoch = record.epoch
    this.last = record
  }

  onServing({ epoch, run, number }: Writer): void {
    if (epoch > this.registerEpoch) this.add(`epoch ${epoch} serves and the register knows only ${this.registerEpoch}`)
    const before = this.runs.get(epoch)
    if (before !== undefined && before.holder !== number) this.add(`two holders serve under epoch ${epoch}`)
    if (before !== undefined && before.run >= run) this.add(`run ${run} of epoch ${epoch} serves after ${before.run}`)
    this.runs.set(epoch, { run, holder: number })
    this.servingEpoch = Math.max(this.servingEpoch, epoch)
  }

  onAcknowledge({ epoch }: Writer, operation: UserOperation): void {
    if (epoch >= this.servingEpoch || this.alone.has(epoch)) return
    this.add(`epoch ${epoch} acknowledges ${operation.kind} ${operation.id} while epoch ${this.servingEpoch} serves`)
  }

  private add(message: string): void {
    this.report.add(this.name, this.rule, message)
  }
}
