// The peer process of a host: a Receiver over a ReplicaStore, started again when it has died. Before its store answers a
// seal, it has older engines of its own host end (PROTOCOL.md S2): that is asked of the host's holder.
import { IoError } from '../../../base/errors.ts'
import { BLOCK_BYTES, type Bytes } from '../../../base/units.ts'
import { findBlock } from '../../../csi-driver/engine/previous-cache/cache-index.ts'
import type { LeftBehind } from '../../../csi-driver/engine/previous-cache/leave-behind.ts'
import type { LocalEngines } from '../../../csi-driver/io/local-engines.ts'
import { Receiver } from '../../../csi-driver/replica/receiver.ts'
import { ReplicaStore } from '../../../csi-driver/replica/store/replica-store.ts'
import type { SimNetwork } from '../network.ts'
import type { World } from '../world.ts'
import type { Host, Life } from './host.ts'

/** Volumes that a store has room for: ours, and a few that are not there. */
const SLOTS = 2
/** Looks that often whether the dead process's I/O has ended. */
const REAP_POLL_MS = 20
/** A process that could not start is tried again after that. */
const RETRY_MS = 500

export interface PeerParts {
  readonly world: World
  readonly network: SimNetwork
  readonly host: Host
  readonly segmentBytes: Bytes
  /** Ends every engine of this host whose epoch is smaller; resolves when that is certain, rejects where it is not. */
  readonly endOlder: (epoch: number) => Promise<void>
}

export class PeerNode {
  readonly host: Host
  receiver: Receiver | null = null
  store: ReplicaStore | null = null
  life: Life | null = null
  /** Nobody starts it. */
  isStopped = false
  private readonly parts: PeerParts
  private starting = false

  constructor(parts: PeerParts) {
    this.parts = parts
    this.host = parts.host
  }

  get isRunning(): boolean {
    return this.receiver !== null && this.life?.process.alive === true
  }

  /** Starts the process, and again whenever it has died, as long as the host is up. */
  start(): void {
    this.isStopped = false
    if (this.starting || this.isRunning || !this.host.isUp) return
    this.starting = true
    void this.run()
  }

  crash(): void {
    this.life?.process.die()
  }

  /** Ends the process; it is not started before start() is called. */
  stop(): void {
    this.isStopped = true
    this.crash()
  }

  /** What the engine of this host has left behind after a move is served to the new owner, in this life of the process. */
  serveCache({ index, volumeKey }: LeftBehind): void {
    const { receiver, life } = this
    if (receiver === null || life?.process.alive !== true) return
    receiver.offerCache(
      {
        ...{ volume: index.volume, volumeUuid: index.volumeUuid, volumeKey, blocks: index.blocks.length },
        ...{ epochLeft: index.epochLeft, registerRv: index.registerRv, movedTo: index.movedTo },
        find: (block) => findBlock(index, block),
        positionAt: (place) => index.slotsStart + (index.slots[place] as number) * BLOCK_BYTES,
        hashAt: (place) => index.hashes[place] as number,
        storage: this.host.cache.attach(life.process),
      },
      () => {},
    )
  }

  private async run(): Promise<void> {
    const { life } = this
    while (life !== null && !this.host.isReaped(life)) await this.pause(REAP_POLL_MS)
    this.starting = false
    if (!this.host.isUp || this.isStopped) return
    const next = this.host.start('peer')
    this.life = next
    void next.died.then(() => this.died(next))
    try {
      await this.serve(next)
    } catch (error) {
      const { world } = this.parts
      world.trace.note(world.nowMs, `${next.process.name} does not start: ${String(error)}`)
      next.process.die()
    }
  }

  private async serve({ process, memory, random, log }: Life): Promise<void> {
    const { network, host, segmentBytes, endOlder } = this.parts
    const { clock, timers } = process
    const storage = host.store.attach(process)
    const { resource } = host.settings
    const sizeBytes = host.settings.store.sizeBytes
    const options = { storage, memory, clock, random, log, resource, sizeBytes, segmentBytes, slotCount: SLOTS }
    const store = await ReplicaStore.open({ ...options, allowFormat: true })
    const engines: LocalEngines = {
      endOlder: (_volume, epoch, done) => {
        const answer = (error: IoError | null): void => process.deliver(() => done(error))
        process.effect(() => {
          endOlder(epoch).then(
            () => answer(null),
            (error: unknown) => answer(new IoError('EBUSY', String(error))),
          )
        })
      },
    }
    const ports = { network: network.attach(process, host.name), store, clock, timers, log, memory, engines }
    const receiver = new Receiver(ports, { node: host.name })
    await receiver.listen(host.address)
    this.store = store
    this.receiver = receiver
  }

  private died(life: Life): void {
    if (this.life !== life) return
    this.receiver = null
    this.store = null
    if (this.isStopped || !this.host.isUp) return
    this.parts.world.schedule(RETRY_MS, `${this.host.name}.peer.again`, () => this.start())
  }

  private pause(ms: number): Promise<void> {
    const { world } = this.parts
    return new Promise((resolve) => world.schedule(ms, 'reap', resolve))
  }
}
