// Ports' promise on memory: a buffer belongs to the disk from the call until `done`. A write whose bytes change in
// between may reach the medium in any mixture.
import type { DiskOperation, SimulatedDisk } from '../disk.ts'
import type { Checker, Scene } from './checker.ts'

export class BufferChecker implements Checker {
  readonly name = 'buffers'
  readonly rule = 'buffer ownership (io/storage.ts)'
  private readonly scene: Pick<Scene, 'report'>

  constructor(scene: Pick<Scene, 'report'>) {
    this.scene = scene
  }

  onBufferChanged(disk: SimulatedDisk, operation: DiskOperation): void {
    const position = operation.ranges[0]?.position ?? 0
    this.scene.report.add(
      this.name,
      this.rule,
      `a buffer was changed in flight disk=${disk.settings.name} position=${position}`,
    )
  }
}
