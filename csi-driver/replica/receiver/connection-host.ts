// What the connections of a receiver have in common.
import type { Clock, Timers } from '../../../base/clock.ts'
import type { EventLog } from '../../../base/log.ts'
import type { Bytes } from '../../../base/units.ts'
import type { WireVersions } from '../wire/versions.ts'
import type { BegunBodies } from './begun-bodies.ts'
import type { LeftCaches } from './left-caches.ts'
import type { RefusalLog } from './refusals.ts'
import type { HeldStore } from './store-port.ts'
import type { VolumeDirectory } from './volume-directory.ts'

export interface ConnectionHost {
  /** Of this store, as its certificate and the register have it. */
  readonly node: string
  readonly store: HeldStore
  readonly clock: Clock
  readonly timers: Timers
  readonly log: EventLog
  readonly refusals: RefusalLog
  readonly begun: BegunBodies
  readonly unsentBytesMax: Bytes
  readonly versions: WireVersions
  readonly volumes: VolumeDirectory
  readonly leftCaches: LeftCaches
}
