// What all volumes of a receiver have in common, and what a long order may ask of its volume.
import type { Clock, Timers } from '../../../base/clock.ts'
import type { EventLog } from '../../../base/log.ts'
import type { Bytes, Ms } from '../../../base/units.ts'
import type { LocalEngines } from '../../io/local-engines.ts'
import type { MessageFrom, MessageOf, Received } from '../wire/messages.ts'
import type { BodyPool } from './body-pool.ts'
import type { ByteShares } from './byte-shares.ts'
import type { EngineLink, Refusal } from './engine-link.ts'
import type { FairWrites } from './fair-writes.ts'
import type { HeldStore, HeldVolume } from './store-port.ts'
import type { VolumeCounters } from './volume-counters.ts'

export interface VolumeHost {
  /** The store's own node. */
  readonly node: string
  readonly store: HeldStore
  readonly clock: Clock
  readonly timers: Timers
  readonly log: EventLog
  readonly engines: LocalEngines
  readonly shares: ByteShares
  readonly writes: FairWrites
  readonly bodies: BodyPool
  /** For checking headers; used within one call. */
  readonly headerScratch: Buffer
  readonly fetchBytesMax: Bytes
  /** Boot clock when this life of the store began to answer (8.2). */
  readonly startedAtMs: Ms
}

/** Whatever may wait in a volume's queue, and the heartbeats that do not. */
export type Order = Exclude<MessageFrom<'engine'>, { readonly type: 'HELLO' | 'CACHE' | 'READ' }>
export type AppendOrder = Received<MessageOf<'APPEND'>>

/** An order that the volume is carrying out, other than an APPEND. */
export interface RunningOrder {
  begin(): void
  /** Nobody waits for it any more: ends as soon as the store has nothing of it in flight, says nothing. */
  cancel(): void
  /** What its link was sent has gone out. */
  drained(): void
}

/** The volume that an order belongs to. */
export interface OrderedVolume {
  readonly host: VolumeHost
  readonly held: HeldVolume
  readonly counters: VolumeCounters
  /** See VolumeReplica. */
  readonly lastHeartbeatAtMs: Ms | null
  readonly released: boolean
  refuse(link: EngineLink, refusal: Refusal): void
  /**
   * Exactly once for each order that was begun: the store has nothing of it in flight, the next one may begin. An error
   * is the store's; the link is the one that gave the order.
   */
  orderEnded(link: EngineLink, error: Error | null): void
}
