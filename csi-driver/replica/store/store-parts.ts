// What all volumes of one store share: its ports, its geometry, the table of its segments, and what a volume has to tell
// the store.
import type { Clock } from '../../../base/clock.ts'
import type { EventLog } from '../../../base/log.ts'
import type { AlignedMemory, Storage } from '../../io/storage.ts'
import type { SegmentTable } from './segment-table.ts'
import type { StoreDone } from './slot-queue.ts'
import type { StoreGeometry } from './store-geometry.ts'
import type { SlotContent } from './volume-slot.ts'

/** What all volumes of a store share. */
export interface StoreParts {
  readonly storage: Storage
  readonly memory: AlignedMemory
  readonly clock: Clock
  readonly random: RandomFill
  readonly log: EventLog
  readonly geometry: StoreGeometry
  readonly storeUuid: string
  readonly table: SegmentTable
  readonly activity: StoreActivity
  readonly registry: VolumeRegistry
}

/** What the store does when a volume is removed. */
export interface VolumeRegistry {
  /** From now on new volumes get another incarnation, durably. */
  beginIncarnation(done: StoreDone): void
  /** The slot is durably free. */
  removed(volumeUuid: string, slot: SlotContent): void
}

/** Random identifiers; the real one is the operating system's generator. */
export interface RandomFill {
  fill(buffer: Buffer): void
}

/** Orders that are not answered yet, of all volumes: a store closes when there are none. */
export interface StoreActivity {
  inFlight: number
  closing: boolean
  onIdle: () => void
}

/** An order was answered. */
export function orderEnded(activity: StoreActivity): void {
  activity.inFlight -= 1
  if (activity.inFlight === 0) activity.onIdle()
}
