// What a holder remembers for its engines about the cache's superblock, in memory that outlives an engine.
import type { SuperblockDoubt } from '../../csi-driver/engine/volume-settings.ts'

export class RememberedDoubt implements SuperblockDoubt {
  present = false

  raise(): Promise<void> {
    this.present = true
    return Promise.resolve()
  }

  clear(): Promise<void> {
    this.present = false
    return Promise.resolve()
  }
}
