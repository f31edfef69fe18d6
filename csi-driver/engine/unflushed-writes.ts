// Writes that were acknowledged from the backing and that no flush covers yet. A flush that fails may have dropped them,
// whoever asked for it (R2): the user's next flush must then fail once, as on a disk of his own, although the device
// flushes well again.
import { IoError } from '../../base/errors.ts'
import type { BackingStore } from '../backing/backing-store.ts'
import type { IoDone } from '../io/storage.ts'
import type { Doubts } from './volume-settings.ts'

export class UnflushedWrites {
  private readonly backing: BackingStore
  private readonly doubts: Doubts
  private acknowledged = 0
  /** Of `acknowledged`: those that a flush made durable or the user knows to be lost. */
  private settled = 0
  /** flushGeneration when the oldest of the others was acknowledged. */
  private generation = 0

  constructor(backing: BackingStore, doubts: Doubts) {
    this.backing = backing
    this.doubts = doubts
    backing.onFlushFailed = () => {
      // Should the engine die before the users have heard: the next one tells them.
      if (this.any) void doubts.raise('flush').catch(() => undefined)
    }
    if (doubts.has('flush')) this.owe()
  }

  get any(): boolean {
    return this.acknowledged > this.settled
  }

  /** A write is acknowledged now, without a flush. */
  note(): void {
    if (!this.any) this.generation = this.backing.flushGeneration
    this.acknowledged += 1
  }

  /**
   * A flush of our own, before the device stops passing the users' flushes on. An error means that they have not all
   * become durable; the users still have to hear of it from a flush of theirs.
   */
  settle(done: IoDone): void {
    const before = this.any ? this.generation : this.backing.flushGeneration
    this.backing.flush((error) => {
      const dropped = this.backing.flushGeneration !== before
      if (error === null && !dropped) this.settled = this.acknowledged
      done(error ?? (dropped ? this.droppedError() : null))
    })
  }

  /** The user's flush: fails when it fails, or when an earlier one failed since the oldest write that it must cover. */
  flush(done: IoDone): void {
    const covered = this.acknowledged
    const before = this.any ? this.generation : this.backing.flushGeneration
    this.backing.flush((error) => {
      const dropped = this.backing.flushGeneration !== before
      this.settled = Math.max(this.settled, covered)
      this.generation = this.backing.flushGeneration
      done(error ?? (dropped ? this.droppedError() : null))
      if (error !== null || dropped) this.told()
    })
  }

  /** Should the mark outlive this, the users of the next engine hear of it twice: safe. */
  private told(): void {
    void this.doubts.clear('flush').catch(() => undefined)
  }

  /** Something that an earlier engine acknowledged was dropped. */
  private owe(): void {
    this.acknowledged = 1
    this.generation = this.backing.flushGeneration - 1
  }

  private droppedError(): IoError {
    return new IoError('EIO', `an earlier flush of the backing failed backing=${this.backing.name}`)
  }
}
