// The peer's side of replication, front door: listens for engines, takes their logs into the replica store, and says how
// that goes. One receiver serves all volumes of a node's peers.
//
//   stream ─▶ receiver/connection.ts ─▶ receiver/volume-directory.ts ─▶ receiver/volume-replica.ts ─▶ replica store
//             frames, deadlines          HELLO finds its volume          one engine, orders in turn
//
// Whoever misbehaves is refused, logged once and disconnected; nobody else notices. Limits: receiver/limits.ts.
import { assert } from '../../base/assert.ts'
import type { Clock, Timer, Timers } from '../../base/clock.ts'
import type { IoError } from '../../base/errors.ts'
import type { EventLog } from '../../base/log.ts'
import type { LocalEngines } from '../io/local-engines.ts'
import { type Listener, type NetworkAddress, printNetworkAddress } from '../io/network.ts'
import type { PeerNetwork, PeerStream } from '../io/peer-network.ts'
import type { AlignedMemory } from '../io/storage.ts'
import { BegunBodies } from './receiver/begun-bodies.ts'
import { BodyPool } from './receiver/body-pool.ts'
import { ByteShares } from './receiver/byte-shares.ts'
import { Connection } from './receiver/connection.ts'
import type { ConnectionHost } from './receiver/connection-host.ts'
import type { Refusal } from './receiver/engine-link.ts'
import { FairWrites } from './receiver/fair-writes.ts'
import { collectGarbage, type GarbageFinding, type GarbageRequest } from './receiver/garbage-collection.ts'
import type { LeftCache } from './receiver/left-cache.ts'
import { LeftCaches } from './receiver/left-caches.ts'
import { DEADLINE_TICK_MS, RECEIVER_LIMITS, type ReceiverLimits } from './receiver/limits.ts'
import { describeVolume, type ReceiverStatus } from './receiver/receiver-status.ts'
import { RefusalLog } from './receiver/refusals.ts'
import type { HeldStore } from './receiver/store-port.ts'
import { VolumeDirectory } from './receiver/volume-directory.ts'
import type { VolumeHost } from './receiver/volume-host.ts'
import { storedBytesFor } from './store/store-geometry.ts'
import { ENVELOPE_BYTES_MAX } from './wire/envelope.ts'
import { HEADER_SCRATCH_BYTES } from './wire/envelope-view.ts'
import { WIRE_VERSIONS, type WireVersions } from './wire/versions.ts'

export interface ReceiverPorts {
  readonly network: PeerNetwork
  readonly store: HeldStore
  readonly clock: Clock
  readonly timers: Timers
  readonly log: EventLog
  readonly memory: AlignedMemory
  readonly engines: LocalEngines
}

export interface ReceiverSettings {
  /** Name of this node, as in its certificate. */
  readonly node: string
  readonly limits?: Partial<ReceiverLimits>
  /** For tests: versions that the product does not speak. */
  readonly versions?: WireVersions
}

export class Receiver {
  private readonly ports: ReceiverPorts
  private readonly limits: ReceiverLimits
  private readonly host: ConnectionHost
  private readonly volumeHost: VolumeHost
  private readonly shares: ByteShares
  private readonly startedAtMs: number
  private readonly connections = new Set<Connection>()
  private readonly perNode = new Map<string, number>()
  private listener: Listener | null = null
  private ticking: Timer | null = null
  private closing = false

  /** From here on seals wait out what an earlier life of the store may have promised (rule 8.2). */
  constructor(ports: ReceiverPorts, { node, limits, versions = WIRE_VERSIONS }: ReceiverSettings) {
    const { store, clock, timers, log, engines } = ports
    this.ports = ports
    this.limits = { ...RECEIVER_LIMITS, ...limits }
    const { unwrittenBytesMax, unwrittenBytesPerVolumeMax, bodyBytesMax, begunBytesPerNodeMax } = this.limits
    this.startedAtMs = clock.bootMs()
    this.shares = new ByteShares({ bytesMax: unwrittenBytesMax, accountBytesMax: unwrittenBytesPerVolumeMax })
    const bufferBytesMax = storedBytesFor(ENVELOPE_BYTES_MAX)
    const bodies = new BodyPool(ports, { bufferBytesMax, bytesMax: bodyBytesMax })
    this.volumeHost = {
      ...{ node, store, clock, timers, log, engines, bodies },
      shares: this.shares,
      writes: new FairWrites(this.limits.writingBytesMax),
      headerScratch: Buffer.alloc(HEADER_SCRATCH_BYTES),
      fetchBytesMax: this.limits.fetchBytesMax,
      startedAtMs: this.startedAtMs,
    }
    this.host = {
      ...{ node, store, clock, timers, log, versions },
      begun: new BegunBodies({ pool: bodies, timers }, begunBytesPerNodeMax),
      refusals: new RefusalLog({ log, clock }),
      unsentBytesMax: this.limits.unsentBytesMax,
      volumes: new VolumeDirectory(this.volumeHost, this.limits),
      leftCaches: new LeftCaches(ports, (buffer) => bodies.give(buffer)),
    }
  }

  /** Accepts engines from now on. Resolves with the address, its port chosen where 0 was asked for. */
  listen(address: NetworkAddress): Promise<NetworkAddress> {
    assert(this.listener === null && !this.closing, 'listens once')
    return new Promise((resolve, reject) => {
      const listening = (error: IoError | null, listener: Listener | null): void => {
        if (listener === null) {
          reject(error ?? new Error('no listener'))
          return
        }
        this.listener = listener
        this.ports.log.event('replica.receiver.listening', { address: printNetworkAddress(listener.address) })
        resolve(listener.address)
      }
      this.ports.network.listen(address, (stream) => this.accept(stream), listening)
    })
  }

  /** Refuses everybody with 'stopping'; resolves when the store has nothing of ours in flight. The store stays open. */
  async close(): Promise<void> {
    this.closing = true
    const { listener } = this
    if (listener !== null) await new Promise<void>((resolve) => listener.close(resolve))
    const stopping: Refusal = { code: 'stopping', message: 'the peer is being stopped' }
    this.host.leftCaches.letGoAll('the peer is being stopped')
    await Promise.all(this.host.volumes.all.map((replica) => replica.stop(stopping)))
    for (const connection of this.connections) connection.refuse(stopping)
    this.ticking?.cancel()
  }

  /**
   * Serves a cache that an owner has left behind on this node, read-only, to the volume's new owner (rule 9). `onLetGo`
   * runs once, when it is closed for good.
   */
  offerCache(cache: LeftCache, onLetGo: (reason: string) => void): void {
    this.host.leftCaches.offer(cache, onLetGo)
  }

  /** Closes the cache of the volume that was left behind here, if there is one. */
  letCacheGo(volumeUuid: string, reason: string): void {
    this.host.leftCaches.letGo(volumeUuid, reason)
  }

  /** What the store may give up by rule 7, and why; removes it unless the run is dry. */
  collectGarbage(request: GarbageRequest): Promise<GarbageFinding[]> {
    const { node, volumes } = this.host
    return collectGarbage({ host: this.volumeHost, directory: volumes, node }, request)
  }

  status(): ReceiverStatus {
    const { store, refusals, volumes } = this.host
    const { bodies } = this.volumeHost
    const nowMs = this.ports.clock.bootMs()
    return {
      node: this.host.node,
      storeUuid: store.storeUuid,
      resource: store.resource,
      capacityBytes: store.capacityBytes,
      freeBytes: store.freeBytes,
      connections: this.connections.size,
      unwrittenBytes: this.shares.bytes,
      bodyBytes: bodies.allocatedBytes,
      refused: Object.fromEntries(refusals.counts),
      volumes: volumes.all.filter(({ isStored }) => isStored).map((replica) => describeVolume(replica, nowMs)),
      leftCaches: this.host.leftCaches.status(),
    }
  }

  private accept(stream: PeerStream): void {
    const { peerNode } = stream
    const connection = new Connection(this.host, stream, () => this.gone(connection))
    const ofNode = (this.perNode.get(peerNode) ?? 0) + 1
    this.connections.add(connection)
    this.perNode.set(peerNode, ofNode)
    connection.start()
    const { connectionsMax, connectionsPerNodeMax } = this.limits
    if (this.closing) connection.refuse({ code: 'stopping', message: 'the peer is being stopped' })
    else if (this.connections.size > connectionsMax) {
      connection.refuse({ code: 'too-many', message: `too many connections limit=${connectionsMax}` })
    } else if (ofNode > connectionsPerNodeMax) {
      connection.refuse({ code: 'too-many', message: `too many connections of a node limit=${connectionsPerNodeMax}` })
    }
    this.tick()
  }

  private gone(connection: Connection): void {
    const { node } = connection
    const ofNode = (this.perNode.get(node) ?? 1) - 1
    this.connections.delete(connection)
    if (ofNode === 0) this.perNode.delete(node)
    else this.perNode.set(node, ofNode)
  }

  /** Looks at every deadline twice a second, as long as anybody is connected. */
  private tick(): void {
    if (this.ticking !== null || this.closing) return
    this.ticking = this.ports.timers.after(DEADLINE_TICK_MS, () => {
      this.ticking = null
      const nowMs = this.ports.clock.monotonicMs()
      for (const connection of this.connections) connection.checkDeadline(nowMs)
      if (this.connections.size > 0) this.tick()
    })
  }
}
