// A peer's process and owners' engines in the simulator: real receiver, real replica store, simulated disk and network.
// An owner appends one batch after the other, sometimes several at once, with contents that say which run made them; it
// connects anew when the connection ends, and begins a new run now and then, which goes on from what the store welcomes
// it with. What is noted is what a checker needs: acknowledged batches, and refusals.
import { MemoryEventLog } from '../../../../../base/log.ts'
import type { Prng } from '../../../../../base/prng.ts'
import { KIB, MIB } from '../../../../../base/units.ts'
import type { PeerStream } from '../../../../../csi-driver/io/peer-network.ts'
import { BATCH_HEADER } from '../../../../../csi-driver/batch/batch-format.ts'
import { Receiver } from '../../../../../csi-driver/replica/receiver.ts'
import { ReplicaStore } from '../../../../../csi-driver/replica/store/replica-store.ts'
import { FrameReader } from '../../../../../csi-driver/replica/wire/frame-reader.ts'
import { encodeMessage } from '../../../../../csi-driver/replica/wire/message-codec.ts'
import type { EngineMessage, MessageFrom, MessageOf } from '../../../../../csi-driver/replica/wire/messages.ts'
import { volumeProof } from '../../../../../csi-driver/replica/wire/volume-proof.ts'
import { heapMemory } from '../store/store-kit.ts'
import { SimulatedDisk } from '../../../../sim/disk.ts'
import { SimulatedMemory } from '../../../../sim/memory.ts'
import { SimNetwork } from '../../../../sim/network.ts'
import { Process, World } from '../../../../sim/world.ts'
import { ADDRESS, KEY, TestLog } from './receiver-kit.ts'

const ORIGINS = { monotonicMs: 5, bootMs: 7, wallMs: 1_700_000_000_000 }
/** Appends that an owner has on the way at most. */
const PIPELINE_MAX = 4
/** About so many batches stay in the store before some are trimmed. */
const KEPT_BATCHES = 20

export class SimulatedPeer {
  readonly world: World
  readonly network: SimNetwork
  readonly log = new MemoryEventLog()
  readonly disk: SimulatedDisk
  process: Process
  store: ReplicaStore | null = null
  private memory = new SimulatedMemory()

  constructor(seed: string) {
    this.world = new World(seed)
    this.network = new SimNetwork(this.world, { latencyMs: 1, chunkBytesMax: 6000, windowBytes: 40_000 })
    this.disk = new SimulatedDisk(this.world, {
      name: 'store',
      sizeBytes: 32 * MIB,
      alignmentBytes: 4096,
      volatileCache: false,
      canZero: false,
      latencyMs: 2,
      megabytesPerSecond: 200,
      synchronousShare: 0.3,
    })
    this.process = this.newProcess('peer')
  }

  newProcess(name: string): Process {
    const process: Process = new Process(this.world, name, ORIGINS, () => {
      this.network.processDied(process)
      this.disk.processDied(process)
    })
    return process
  }

  async start(): Promise<void> {
    const { process, disk, memory, log } = this
    const { clock, timers } = process
    const storage = disk.attach(process)
    const random = { fill: (buffer: Buffer) => void buffer.fill(this.world.prng.below(256)) }
    const options = { resource: 'flash', sizeBytes: 32 * MIB, allowFormat: true, segmentBytes: 256 * KIB } as const
    const opening = ReplicaStore.open({ storage, memory: heapMemory, clock, random, log, ...options, slotCount: 8 })
    const opened = await this.world.waitFor(opening, 60_000)
    if (opened === undefined || !('value' in opened)) throw new Error('the store does not open', { cause: opened })
    const network = this.network.attach(process, 'peer')
    const engines = {
      endOlder: (_volume: unknown, _epoch: number, done: (error: null) => void) => done(null),
    }
    this.store = opened.value
    const limits = { unwrittenBytesMax: 200_000, bodyBytesMax: 8 * MIB, writingBytesMax: 60_000 }
    const receiver = new Receiver(
      { network, store: opened.value, clock, timers, log, memory, engines },
      { node: 'peer', limits },
    )
    const listening = await this.world.waitFor(receiver.listen(ADDRESS), 10_000)
    if (listening !== undefined && 'error' in listening) throw listening.error
  }

  /** The process dies, its writes end somehow, and the next one opens what they left. */
  async crash(): Promise<void> {
    this.process.die()
    await this.world.run(() => !this.disk.hasInFlight(this.process), 60_000)
    this.memory.release()
    this.memory = new SimulatedMemory()
    this.process = this.newProcess('peer')
    await this.start()
  }
}

export class SimulatedOwner {
  readonly volumeUuid: string
  /** headerHash of every batch that was acknowledged, by number. */
  readonly acked = new Map<number, bigint>()
  readonly refused: string[] = []
  /** Batches up to this one may have been given up by order. */
  trimmed = 0
  run = 1
  private readonly peer: SimulatedPeer
  private readonly prng: Prng
  private readonly process: Process
  /** What was made and may have to be sent again, by number. */
  private made = new Map<number, { batch: MessageOf<'APPEND'>; hash: bigint }>()
  private log: TestLog
  private stream: PeerStream | null = null
  private sequence = 1
  private sent = 0

  constructor(peer: SimulatedPeer, name: string, volumeUuid: string) {
    this.peer = peer
    this.volumeUuid = volumeUuid
    this.prng = peer.world.prng.fork(name)
    this.process = peer.newProcess(name)
    this.log = new TestLog(1, volumeUuid)
    this.connectSoon()
  }

  /** The engine dies and the next one takes over: it knows nothing but what the store tells it. */
  takeOver(): void {
    this.run += 1
    this.made.clear()
    this.stream?.destroy()
    this.stream = null
    this.connectSoon()
  }

  private connectSoon(): void {
    const { run } = this
    this.process.timers.after(1 + this.prng.float() * 30, () => {
      if (run !== this.run || this.stream !== null) return
      this.peer.network.attach(this.process, 'owner').connect(ADDRESS, 'peer', (error, stream) => {
        if (run !== this.run) stream?.destroy()
        else if (stream === null) this.connectSoon()
        else this.greet(stream)
      })
    })
  }

  private greet(stream: PeerStream): void {
    const reader = new FrameReader({
      from: 'store',
      onMessage: (message) => {
        if (message.type === 'WELCOME') reader.agree(message.version)
        if (this.stream === stream) this.onMessage(message)
      },
      onProblem: ({ message }) => void this.refused.push(`problem ${message}`),
    })
    this.stream = stream
    this.sequence = 1
    stream.start({
      data: (bytes) => reader.push(bytes),
      closed: () => {
        if (this.stream !== stream) return
        this.stream = null
        this.connectSoon()
      },
      end: () => stream.end(),
    })
    const { run, volumeUuid } = this
    const proof = volumeProof(KEY, stream.exporter(), volumeUuid)
    const identity = { volume: `v${volumeUuid[0]}`, volumeUuid, node: 'owner', volumeKey: KEY, proof }
    const versions = { versionMin: 1, versionMax: 1 }
    this.send({ type: 'HELLO', ...versions, ...identity, epoch: 1, run, purpose: 'owner' })
  }

  private onMessage(message: MessageFrom<'store'>): void {
    if (message.type === 'WELCOME') this.welcomed(message)
    else if (message.type === 'APPENDED') this.appended(message.batchSeq)
    else if (message.type === 'REFUSED') this.refused.push(message.code)
  }

  /** A store without a log gets one; otherwise what it has is adopted, or what it misses is sent again. */
  private welcomed({ state }: MessageOf<'WELCOME'>): void {
    const { log } = state
    if (log === null) {
      this.log = new TestLog(1, this.volumeUuid)
      this.send(this.log.learn(4 * MIB))
    }
    this.sent = log?.lastBatchSeq ?? 0
    if (log !== null && this.made.size === 0) {
      this.log = new TestLog(1, this.volumeUuid)
      Object.assign(this.log, { batchSeq: log.lastBatchSeq + 1, seq: log.lastSeq + 1, previousHash: log.lastHash })
    }
    this.log.run = this.run
    this.beat(1)
    this.sendMore()
  }

  private appended(batchSeq: number): void {
    for (const [number, { hash }] of this.made) {
      if (number > batchSeq) break
      this.acked.set(number, hash)
      this.made.delete(number)
    }
    if (batchSeq > this.trimmed + KEPT_BATCHES && this.prng.chance(0.1)) {
      this.trimmed = batchSeq - 1 - this.prng.below(KEPT_BATCHES)
      this.send({ type: 'TRIM', batchSeq: this.trimmed })
    }
    this.sendMore()
  }

  private sendMore(): void {
    const wanted = 1 + this.prng.below(PIPELINE_MAX)
    while (this.made.size < wanted) {
      const number = this.log.batchSeq
      const bytes = this.prng.pick([0, 512, 4096, 10_240, 32_768])
      const batch = this.log.next(bytes, `run ${this.run} batch ${number} `)
      this.made.set(number, { batch, hash: batch.header.readBigUInt64LE(BATCH_HEADER.offsets.headerHash) })
    }
    for (const [number, { batch }] of this.made) {
      if (number !== this.sent + 1) continue
      this.sent = number
      this.send(batch)
      // Sent twice, as after a doubtful reconnect.
      if (this.prng.chance(0.05)) this.send(batch)
    }
  }

  private beat(number: number): void {
    if (this.stream === null) return
    this.send({ type: 'HEARTBEAT', number })
    const { stream } = this
    this.process.timers.after(1000, () => {
      if (this.stream === stream) this.beat(number + 1)
    })
  }

  private send(message: EngineMessage): void {
    const mark = { version: 1, sequence: this.sequence++ }
    for (const part of encodeMessage(message, mark)) this.stream?.write(part)
  }
}
