// What the engines of a holder leave to one another beside the cache, in memory that outlives an engine.
import type { Doubt, Doubts } from '../../csi-driver/engine/volume-settings.ts'

export class RememberedDoubts implements Doubts {
  private readonly raised = new Set<Doubt>()

  has(doubt: Doubt): boolean {
    return this.raised.has(doubt)
  }

  raise(doubt: Doubt): Promise<void> {
    this.raised.add(doubt)
    return Promise.resolve()
  }

  clear(doubt: Doubt): Promise<void> {
    this.raised.delete(doubt)
    return Promise.resolve()
  }
}
