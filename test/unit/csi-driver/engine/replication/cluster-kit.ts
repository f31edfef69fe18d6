// Several nodes for tests of the engine with copies: one backing and one register for all, on each node a cache and a
// replica store behind a real receiver. Time is moved by the test.
import type { Timers } from '../../../../../base/clock.ts'
import { MemoryEventLog } from '../../../../../base/log.ts'
import { createPrng } from '../../../../../base/prng.ts'
import { KIB, MIB } from '../../../../../base/units.ts'
import type { Fence } from '../../../../../csi-driver/fencing/fence.ts'
import { Receiver } from '../../../../../csi-driver/replica/receiver.ts'
import { ReplicaStore } from '../../../../../csi-driver/replica/store/replica-store.ts'
import type { ReplicationSettings, VolumeSettings } from '../../../../../csi-driver/engine/volume-settings.ts'
import { openVolume, type Volume } from '../../../../../csi-driver/engine/volume.ts'
import { during, heapMemory, SETTINGS, TestMachine } from '../harness.ts'
import { TestStorage } from '../../replica/store/store-kit.ts'
import { TestTime } from '../test-time.ts'
import { PipeNetwork } from './pipe-network.ts'

export const NODES = ['node-1', 'node-2', 'node-3'] as const
const STORE_BYTES = 24 * MIB

function addressOf(node: string) {
  return { kind: 'tcp', host: node, port: 7070 } as const
}

/** Timers of one process: none of them rings after its end. */
class Life {
  private alive = true
  readonly timers: Timers

  constructor(time: Timers) {
    this.timers = {
      after: (delayMs, callback) => time.after(delayMs, () => void (this.alive && callback())),
      soon: (callback) => time.soon(() => void (this.alive && callback())),
    }
  }

  end(): void {
    this.alive = false
  }
}

/** A replica store that outlives its process. */
class TestPeer {
  readonly storage = new TestStorage(STORE_BYTES)
  process = ''
  life = new Life(new TestTime())
  receiver: Receiver | null = null
  store: ReplicaStore | null = null
}

export class TestCluster {
  /** Its backing, register and clock are everybody's. */
  readonly shared = new TestMachine()
  readonly log = new MemoryEventLog()
  readonly network: PipeNetwork
  readonly fenced: string[] = []
  fence: Fence = {
    fence: (_volume, { node, epoch }) => {
      this.fenced.push(`${node}:${epoch}`)
      return Promise.resolve('off')
    },
  }
  private readonly machines = new Map<string, TestMachine>()
  private readonly peers = new Map<string, TestPeer>()
  private readonly engines = new Map<string, { readonly process: string; readonly life: Life }>()
  private lives = 0

  constructor() {
    this.network = new PipeNetwork(this.shared.time)
    for (const node of NODES) {
      this.machines.set(node, new TestMachine())
      this.peers.set(node, new TestPeer())
    }
  }

  get time() {
    return this.shared.time
  }

  machine(node: string): TestMachine {
    return this.machines.get(node) as TestMachine
  }

  /** Starts the peer process of each of `nodes`. */
  async startPeers(...nodes: readonly string[]): Promise<void> {
    for (const node of nodes) {
      const peer = this.peers.get(node) as TestPeer
      peer.process = `${node}/peer-${(this.lives += 1)}`
      peer.life = new Life(this.time)
      // oxlint-disable-next-line eslint/no-await-in-loop -- one after another
      peer.store = await ReplicaStore.open({
        storage: peer.storage,
        memory: heapMemory,
        clock: this.time,
        random: this.random,
        log: this.log,
        resource: 'flash',
        sizeBytes: STORE_BYTES,
        allowFormat: true,
        segmentBytes: 256 * KIB,
        slotCount: 4,
      })
      peer.receiver = new Receiver(
        {
          network: this.network.attach(node, peer.process),
          store: peer.store,
          clock: this.time,
          timers: peer.life.timers,
          log: this.log,
          memory: heapMemory,
          engines: { endOlder: (_volume, _epoch, done) => done(null) },
        },
        { node },
      )
      // oxlint-disable-next-line eslint/no-await-in-loop -- one after another
      await peer.receiver.listen(addressOf(node))
    }
  }

  receiver(node: string): Receiver {
    const { receiver } = this.peers.get(node) as TestPeer
    if (receiver === null) throw new Error(`no peer runs on ${node}`)
    return receiver
  }

  peer(node: string): TestPeer {
    return this.peers.get(node) as TestPeer
  }

  /** Trims of a node's store never end, as on a disk that hangs; others go on. Until its process is started again. */
  stallTrims(node: string): { readonly asked: number } {
    const stalled = { asked: 0 }
    const [volume] = this.peers.get(node)?.store?.volumes() ?? []
    if (volume === undefined) throw new Error('the store holds the volume')
    volume.trim = () => void (stalled.asked += 1)
    return stalled
  }

  stopPeer(node: string): void {
    const peer = this.peers.get(node) as TestPeer
    peer.life.end()
    this.network.down(peer.process)
  }

  private readonly prng = createPrng(7)
  private readonly random = {
    fill: (buffer: Buffer) => {
      for (let i = 0; i < buffer.length; i += 1) buffer[i] = this.prng.below(256)
    },
  }

  /** The engine process of a node is gone; nothing of it has any effect any more. */
  crash(node: string): void {
    const engine = this.engines.get(node)
    engine?.life.end()
    this.network.down(engine?.process ?? '')
    this.machine(node).crash()
  }

  replication(node: string, same: number): ReplicationSettings {
    const peers = NODES.filter((name) => name !== node).map((name) => ({
      node: name,
      address: addressOf(name),
      domain: 'default',
    }))
    return { peers, ownStore: addressOf(node), domain: 'default', wanted: { same, other: 0 }, compression: 'auto' }
  }

  /** Opens the volume on a node; time goes on meanwhile. */
  open(node: string, same: number, settings: Partial<VolumeSettings> = {}): Promise<Volume> {
    const { shared } = this
    const machine = this.machine(node)
    const process = `${node}/engine-${(this.lives += 1)}`
    const life = new Life(this.time)
    this.engines.set(node, { process, life })
    const ports = {
      ...machine.ports(),
      clock: shared.time,
      timers: life.timers,
      random: this.random,
      log: this.log,
      backing: shared.backing,
      register: shared.register,
      network: this.network.attach(node, process),
      fence: this.fence,
    }
    const opening = openVolume(ports, {
      ...SETTINGS,
      node,
      backingIdentity: { ...SETTINGS.backingIdentity, sizeBytes: shared.backing.sizeBytes },
      replication: this.replication(node, same),
      ...settings,
    })
    return during(shared.time, opening)
  }
}
