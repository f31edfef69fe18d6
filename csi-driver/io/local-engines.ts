// Port to the engines of this node: a replica store asks it before it answers a seal, so that an owner that lives beside
// the store has stopped, or is proven dead, before a successor opens the volume (rule S2).
import type { IoError } from '../../base/errors.ts'
import type { Epoch } from '../../base/units.ts'

/** A volume as the store knows it. */
export interface VolumeHeld {
  readonly volume: string
  readonly volumeUuid: string
  /** By which an engine tells its own volume from one of the same name and identifier. */
  readonly volumeKey: Buffer
}

export interface LocalEngines {
  /**
   * Makes every engine of the volume on this node whose epoch is below `epoch` stop and confirm, or proves it dead by
   * taking its lock. `done(null)`: none is left and none can start. An error: one may live; nothing is known about it.
   */
  endOlder(volume: VolumeHeld, epoch: Epoch, done: (error: IoError | null) => void): void
}
