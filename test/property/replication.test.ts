// Proves that both sides fit: a real Replicator over simulated streams to real receivers with real replica stores on
// simulated disks. Peers crash and come back, connections break, batches of all sizes and trims go on; learners fill and
// join. At the end each member gives back, through a StoreSession, exactly the owner's un-trimmed log.
import { deepEqual, equal, ok } from 'node:assert/strict'
import fc from 'fast-check'
import { MemoryEventLog, SILENT_LOG } from '../../base/log.ts'
import { KIB, MIB } from '../../base/units.ts'
import type { NetworkAddress } from '../../csi-driver/io/network.ts'
import { Receiver } from '../../csi-driver/replica/receiver.ts'
import { StoreSession } from '../../csi-driver/replica/replicator.ts'
import { ReplicaStore } from '../../csi-driver/replica/store/replica-store.ts'
import type { Member } from '../../csi-driver/register/record.ts'
import { SimulatedDisk } from '../sim/disk.ts'
import { SimulatedMemory } from '../sim/memory.ts'
import type { SimNetwork } from '../sim/network.ts'
import { Process, type World } from '../sim/world.ts'
import { heapMemory } from '../unit/csi-driver/replica/store/store-kit.ts'
import { EPOCH, Owner, VOLUME_KEY, VOLUME_UUID } from '../unit/csi-driver/replica/replicator/owner-kit.ts'

const ORIGINS = { monotonicMs: 5, bootMs: 7, wallMs: 1_700_000_000_000 }
const NODES = ['p', 'q'] as const

/** A peer's process on a disk of its own. */
class Peer {
  readonly node: string
  readonly address: NetworkAddress
  private readonly world: World
  private readonly network: SimNetwork
  private readonly disk: SimulatedDisk
  private process: Process

  constructor(world: World, network: SimNetwork, node: string) {
    this.world = world
    this.network = network
    this.node = node
    this.address = { kind: 'tcp', host: node, port: 7000 }
    this.disk = new SimulatedDisk(world, {
      name: node,
      sizeBytes: 32 * MIB,
      alignmentBytes: 4096,
      volatileCache: false,
      canZero: false,
      latencyMs: 0.2,
      megabytesPerSecond: 500,
      synchronousShare: 0.3,
    })
    this.process = this.newProcess()
  }

  private newProcess(): Process {
    const process: Process = new Process(this.world, `${this.node}-store`, ORIGINS, () => {
      this.network.processDied(process)
      this.disk.processDied(process)
    })
    return process
  }

  async start(): Promise<void> {
    const { process, disk, node } = this
    const { clock, timers } = process
    const random = { fill: (buffer: Buffer) => void buffer.fill(this.world.prng.below(256)) }
    const sizes = { sizeBytes: 32 * MIB, segmentBytes: 256 * KIB, slotCount: 8 }
    const log = new MemoryEventLog()
    const store = await settled(
      this.world,
      ReplicaStore.open({
        storage: disk.attach(process),
        memory: heapMemory,
        resource: 'flash',
        allowFormat: true,
        clock,
        random,
        log,
        ...sizes,
      }),
    )
    const engines = { endOlder: (_volume: unknown, _epoch: number, done: (error: null) => void) => done(null) }
    const network = this.network.attach(process, node)
    const receiver = new Receiver(
      { network, store, clock, timers, log, memory: new SimulatedMemory(), engines },
      { node },
    )
    await settled(this.world, receiver.listen(this.address))
  }

  async crash(): Promise<void> {
    this.process.die()
    await this.world.run(() => !this.disk.hasInFlight(this.process), 60_000)
    this.process = this.newProcess()
    await this.start()
  }
}

async function settled<T>(world: World, promise: Promise<T>): Promise<T> {
  const outcome = await world.waitFor(promise, 60_000)
  if (outcome === undefined) throw new Error('it hangs')
  if ('error' in outcome) throw outcome.error
  return outcome.value
}

const step = fc.oneof(
  {
    weight: 10,
    arbitrary: fc.record({
      kind: fc.constant('burst' as const),
      count: fc.integer({ min: 1, max: 40 }),
      sectors: fc.nat(120),
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constantFrom('crash' as const, 'reset' as const), peer: fc.nat(1) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('trim' as const), part: fc.nat(100) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('pass' as const), ms: fc.nat(1500) }) },
)
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never

async function play(seed: number, before: number, steps: readonly Step[]): Promise<void> {
  const owner = new Owner([], { seed: `replication ${seed}` })
  const peers = NODES.map((node) => new Peer(owner.world, owner.network, node))
  for (const peer of peers) await peer.start()
  await owner.begin([], before)
  const { replicator } = owner
  let members: Member[] = []
  owner.onEvent = (event) => {
    ok(!['lost-content', 'fenced', 'refused'].includes(event.kind), JSON.stringify(event))
    // What fails is learnt again.
    if (event.kind === 'learner-failed') replicator.learn(event.node)
    const member = event.kind === 'joined' ? replicator.joinedMember(event.node) : null
    if (member === null) return
    members = [...members, member]
    replicator.waitFor(members)
  }
  replicator.setPeers(peers.map(({ node, address }) => ({ node, address, domain: 'd' })))
  for (const { node } of peers) replicator.learn(node)
  for (const one of steps) await take(owner, peers, one)
  const joined = await owner.until(() => members.length === NODES.length && !owner.isFlying, 60_000)
  ok(joined, `all join: ${JSON.stringify({ peers: replicator.peers(), events: owner.events.slice(-8) })}`)
  owner.append()
  ok(await owner.until(() => !owner.isFlying, 5_000), 'the last batch hangs')
  await owner.run(1)
  ok(replicator.leaseValid())
  await replicator.stop()
  for (const peer of peers) await compare(owner, peer)
}

async function take(owner: Owner, peers: readonly Peer[], one: Step): Promise<void> {
  switch (one.kind) {
    case 'burst':
      for (let i = 0; i < one.count; i++) {
        if (!(await owner.until(() => !owner.isFlying, 10_000))) throw new Error('a batch hangs')
        owner.append(1 + ((one.sectors * (i + 1)) % 200))
      }
      break
    case 'crash':
      return peers[one.peer]?.crash()
    case 'reset':
      return owner.network.reset('owner', peers[one.peer]?.node ?? '')
    case 'pass':
      return owner.run(one.ms)
    case 'trim': {
      await owner.until(() => !owner.isFlying, 10_000)
      await owner.run(1)
      const { begin, lastBatchSeq } = owner.log
      const batchSeq = begin.batchSeq + Math.floor(((lastBatchSeq - begin.batchSeq) * one.part) / 100)
      if (batchSeq < begin.batchSeq || batchSeq > lastBatchSeq) return undefined
      owner.trim(batchSeq)
      equal(await owner.until(() => owner.trimmed.at(-1) === batchSeq, 10_000), true, 'a trim hangs')
    }
  }
}

/** The next engine gathers from that peer what this one has left. */
async function compare(owner: Owner, peer: Peer): Promise<void> {
  const { world, process, network, log } = owner
  const ports = {
    network: network.attach(process, 'owner'),
    clock: process.clock,
    timers: process.timers,
    log: SILENT_LOG,
  }
  const identity = {
    volume: 'vol',
    volumeUuid: VOLUME_UUID,
    volumeKey: VOLUME_KEY,
    node: 'owner',
    epoch: EPOCH + 1,
    run: 1,
  }
  const session = await settled(world, StoreSession.connect(ports, identity, peer, 'opener'))
  const sealed = await settled(
    world,
    session.seal({ predecessorOff: true }, () => {}),
  )
  equal(sealed.log?.tail.batchSeq, log.begin.batchSeq)
  const seen: [number, Buffer][] = []
  const { batchSeq, previousHash } = log.begin
  const { lastHash } = await settled(
    world,
    session.fetch(
      { batchSeq, previousHash },
      {
        room: (frameBytes) => ({ buffer: Buffer.alloc(frameBytes), start: 0 }),
        take: (view) => seen.push([view.batchSeq, view.buffer.subarray(view.start, view.start + view.frameBytes)]),
      },
    ),
  )
  equal(lastHash, log.lastHash)
  deepEqual(seen, [...log.frames])
  await session.close()
}

const RUNS = Number(process.env['FOREBAY_PROPERTY_RUNS'] ?? 8)

test('what is acknowledged is what the peers give back', async () => {
  await fc.assert(fc.asyncProperty(fc.nat(), fc.nat(60), fc.array(step, { minLength: 3, maxLength: 25 }), play), {
    numRuns: RUNS,
  })
})
