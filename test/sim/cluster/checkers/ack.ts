// Rule 2.1: in write-back a write is acknowledged when every member of the registered set holds it under its current
// incarnation. What a member holds is the strong invariant's business; here is looked at members that hold nothing any
// more: nothing that was submitted after such a loss may be acknowledged while the register still lists the life that
// was lost.
import type { Member, RegisterRecord } from '../../../../csi-driver/register/record.ts'
import type { UserOperation } from '../../checkers/checker.ts'
import type { Report } from '../../report.ts'
import type { ClusterChecker } from './cluster-checker.ts'

export interface AckScene {
  readonly report: Report
  readonly record: () => RegisterRecord | null
  /** Tick at which a fault took the content of this copy away; undefined: none did. */
  readonly destroyedAt: (member: Member) => number | undefined
  readonly beyondBudget: boolean
}

export class ClusterAckChecker implements ClusterChecker {
  readonly name = 'ack'
  readonly rule = 'rule 2.1'
  private readonly scene: AckScene

  constructor(scene: AckScene) {
    this.scene = scene
  }

  onAcknowledge({ epoch }: { readonly epoch: number }, { id, kind, submittedAt }: UserOperation): void {
    const record = this.scene.record()
    if (record === null || record.epoch !== epoch || record.phase !== 'WriteBack' || this.scene.beyondBudget) return
    const gone = record.members.find((member) => submittedAt > (this.scene.destroyedAt(member) ?? Infinity))
    if (gone === undefined) return
    const message = `${kind} ${id} is acknowledged while ${gone.node} is a member under an incarnation that lost its content`
    this.scene.report.add(this.name, this.rule, message)
  }
}
