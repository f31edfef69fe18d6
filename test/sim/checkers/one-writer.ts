// Invariant 5 on one node: epochs of the register never go back, each opening by a new holder has a new epoch and each
// restarted engine a new run, and no engine touches a disk while a predecessor still has I/O there (rule 3.1).
import type { RegisterRecord } from '../../../csi-driver/register/record.ts'
import type { DiskOperation, SimulatedDisk } from '../disk.ts'
import type { Process } from '../world.ts'
import type { Checker, Scene, VolumeStatus } from './checker.ts'

export class OneWriterChecker implements Checker {
  readonly name = 'one-writer'
  readonly rule = 'invariant 5'
  private readonly scene: Scene
  private registerEpoch = 0
  private epoch = 0
  private run = 0

  constructor(scene: Scene) {
    this.scene = scene
  }

  onRegister(record: RegisterRecord): void {
    if (record.epoch < this.registerEpoch)
      this.add(`the register went back to epoch ${record.epoch} from ${this.registerEpoch}`)
    this.registerEpoch = record.epoch
  }

  onOpened(_process: Process, status: VolumeStatus, start: 'first' | 'restart'): void {
    if (start === 'first' && status.epoch <= this.epoch)
      this.add(`a new holder serves under epoch ${status.epoch} after ${this.epoch}`)
    if (start === 'restart' && status.epoch === this.epoch && status.run <= this.run) {
      this.add(`a restarted engine serves as run ${status.run} after ${this.run}`)
    }
    this.epoch = status.epoch
    this.run = status.run
  }

  onSubmit(disk: SimulatedDisk, operation: DiskOperation): void {
    for (const other of disk.inFlight.values()) {
      if (other.process === operation.process) continue
      this.add(`I/O of two engines at once disk=${disk.settings.name}`)
      return
    }
  }

  private add(message: string): void {
    this.scene.report.add(this.name, this.rule, message)
  }
}
