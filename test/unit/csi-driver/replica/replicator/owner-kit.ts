// The owner of a volume for the replicator's tests: a simulated process with a log of its own, a Replicator over it, and
// stores on other nodes. Everything happens in one simulated world; what the engine would see is remembered.
import { BatchBuilder } from '../../../../../csi-driver/batch/batch-builder.ts'
import { BatchView } from '../../../../../csi-driver/batch/batch-view.ts'
import { createPrng } from '../../../../../base/prng.ts'
import { MemoryEventLog } from '../../../../../base/log.ts'
import type { LogName, StoredLog } from '../../../../../csi-driver/protocol/stored-log.ts'
import type { Member } from '../../../../../csi-driver/register/record.ts'
import {
  type BatchFrame,
  type BatchSource,
  type PayloadCoder,
  Replicator,
  type ReplicatorEvent,
} from '../../../../../csi-driver/replica/replicator.ts'
import { envelopeBytes, envelopeOf, writeEnvelope } from '../../../../../csi-driver/replica/wire/envelope.ts'
import { xxhash64 } from '../../../../../base/xxhash64.ts'
import { SimNetwork } from '../../../../sim/network.ts'
import { Process, World } from '../../../../sim/world.ts'
import { heapMemory } from '../../batch/batch-kit.ts'
import { emptyLog, FakeStore, type HeldBatch } from './fake-store.ts'

export const VOLUME_UUID = '11'.repeat(16)
export const EPOCH = 7
export const LOG_UUID = `${EPOCH.toString(16).padStart(16, '0')}${'ab'.repeat(8)}`
export const VOLUME_KEY = Buffer.alloc(32, 0x5c)
export const RUN = 2

/** The owner's journal as the replicator sees it, in memory. */
export class MemoryLog implements BatchSource {
  lineage: readonly LogName[] = [{ logUuid: LOG_UUID, firstBatchSeq: 1 }]
  begin: StoredLog['tail'] = { batchSeq: 1, seq: 1, previousHash: 0n }
  frames = new Map<number, Buffer>()
  lastBatchSeq = 0
  lastHash = 0n
  reads = 0
  /** Batches that can't be read. */
  readonly failing = new Set<number>()
  readMs = 0.05
  private readonly process: Process
  private readonly shared = Buffer.alloc(4 * 1024 * 1024)

  constructor(process: Process) {
    this.process = process
  }

  readBatch(batchSeq: number, done: (error: Error | null, frame: BatchFrame | null) => void): void {
    this.reads += 1
    const answer = (): void => {
      if (this.failing.has(batchSeq)) return done(new Error('EIO'), null)
      const stored = this.frames.get(batchSeq)
      if (stored === undefined || batchSeq < this.begin.batchSeq) return done(null, null)
      // One buffer for all reads, overwritten after the call, as the contract allows.
      stored.copy(this.shared)
      done(null, frameAt(this.shared, 0, stored.length))
      this.shared.fill(0xee, 0, stored.length)
    }
    if (this.readMs === 0) answer()
    else this.process.timers.after(this.readMs, answer)
  }

  trimTo(batchSeq: number): void {
    const stored = this.frames.get(batchSeq)
    if (stored === undefined) throw new Error('trimmed what is there')
    const view = new BatchView()
    view.parse(stored, 0, stored.length)
    this.begin = { batchSeq: batchSeq + 1, seq: view.lastSeq + 1, previousHash: view.headerHash }
    for (const key of this.frames.keys()) if (key <= batchSeq) this.frames.delete(key)
  }
}

export function frameAt(buffer: Buffer, start: number, length: number): BatchFrame {
  const view = new BatchView()
  view.parse(buffer, start, length)
  return { buffer, start, headerBytes: view.payloadOffset, payloadBytes: view.payloadBytes }
}

export class Owner {
  readonly world: World
  readonly network: SimNetwork
  readonly process: Process
  readonly log: MemoryLog
  readonly events: ReplicatorEvent[] = []
  readonly eventLog = new MemoryEventLog()
  readonly replicator: Replicator
  /** Batches whose done has run. */
  readonly completed: number[] = []
  /** Trims whose done has run. */
  readonly trimmed: number[] = []
  readonly stores: FakeStore[]
  /** Last batch that was appended. */
  appendedSeq = 0
  /** Called with each event, as an engine would. */
  onEvent: (event: ReplicatorEvent) => void = () => {}
  /** Runs when the stores are filled, before the replicator starts. */
  beforeStart: () => void = () => {}
  /** Runs at the moment when a batch is complete. */
  onCompleted: (batchSeq: number) => void = () => {}
  private lastHash = 0n
  private nextSeq = 1
  private readonly builders = [new BatchBuilder(heapMemory), new BatchBuilder(heapMemory)]
  private pending = 0

  constructor(
    nodes: readonly string[],
    options: { seed?: string; payloads?: PayloadCoder; windowBytes?: number } = {},
  ) {
    this.world = new World(options.seed ?? 'replicator')
    this.network = new SimNetwork(this.world, { windowBytes: options.windowBytes ?? 1024 * 1024 })
    this.process = new Process(this.world, 'owner', { monotonicMs: 100, bootMs: 200, wallMs: 1_700_000_000_000 }, () =>
      this.network.processDied(this.process),
    )
    this.log = new MemoryLog(this.process)
    this.stores = nodes.map((node) => new FakeStore(this.world, this.network, node))
    this.replicator = new Replicator(
      {
        network: this.network.attach(this.process, 'owner'),
        clock: this.process.clock,
        timers: this.process.timers,
        prng: createPrng('owner'),
        log: this.eventLog,
        source: this.log,
        ...(options.payloads === undefined ? {} : { payloads: options.payloads }),
      },
      {
        volume: 'vol',
        volumeUuid: VOLUME_UUID,
        volumeKey: VOLUME_KEY,
        node: 'owner',
        epoch: EPOCH,
        run: RUN,
        logBytes: 1 << 20,
      },
    )
    this.replicator.onChange = (event) => {
      this.events.push(event)
      this.onEvent(event)
    }
    for (const store of this.stores) store.start()
  }

  store(node: string): FakeStore {
    const found = this.stores.find((store) => store.node === node)
    if (found === undefined) throw new Error(`no store ${node}`)
    return found
  }

  get ownMember(): Member {
    return { node: 'owner', storeUuid: 'ff'.repeat(16), incarnation: 1 }
  }

  /** Stands as after an opening: the members hold the same log as the owner. */
  async begin(members: readonly string[], batches = 0): Promise<void> {
    for (let i = 0; i < batches; i++) this.writeOwn(this.nextBuilder(), (write) => write())
    for (const node of members) {
      this.store(node).volumeKey = VOLUME_KEY
      this.store(node).adopt(this.ownLog(), this.ownBatches(), EPOCH, RUN)
    }
    this.beforeStart()
    const { replicator } = this
    replicator.setPeers(this.stores.map(({ node, address }) => ({ node, address, domain: 'd' })))
    replicator.waitFor(this.members(members))
    replicator.start()
    await this.run(50)
  }

  members(nodes: readonly string[]): Member[] {
    return [this.ownMember, ...nodes.map((node) => this.store(node).member)]
  }

  /** Appends one batch; the own log has it a moment later. */
  append(sectors = 1): number {
    const builder = this.nextBuilder(sectors)
    const batchSeq = this.appendedSeq + 1
    this.pending = 2
    const frame = this.writeOwn(builder, (write) => {
      this.process.timers.after(0.2, () => {
        write()
        this.pending -= 1
      })
    })
    this.replicator.append(frame, batchSeq, () => {
      this.onCompleted(batchSeq)
      this.completed.push(batchSeq)
      this.pending -= 1
      // The engine fills it again at once: whoever still reads it sends rubbish.
      builder.buffer.fill(0x77)
    })
    return batchSeq
  }

  /** Until the own log and the peers have the batch. */
  get isFlying(): boolean {
    return this.pending > 0
  }

  trim(batchSeq: number): void {
    this.log.trimTo(batchSeq)
    this.replicator.trim(batchSeq, () => void this.trimmed.push(batchSeq))
  }

  /** Lets so much time pass. */
  async run(ms: number): Promise<void> {
    await this.world.run(() => false, ms)
  }

  /** Until `condition`; false where it did not hold within the time. */
  async until(condition: () => boolean, ms: number): Promise<boolean> {
    return (await this.world.run(condition, ms)) === 'condition'
  }

  kinds(node?: string): string[] {
    return this.events.filter((event) => node === undefined || event.node === node).map(({ kind }) => kind)
  }

  ownLog(): StoredLog {
    return {
      ...emptyLog(this.log.lineage, this.log.begin),
      lastBatchSeq: this.appendedSeq,
      lastHash: this.lastHash,
      lastSeq: this.nextSeq - 1,
    }
  }

  ownBatches(): HeldBatch[] {
    return [...this.log.frames].map(([batchSeq, stored]) => {
      const view = new BatchView()
      view.parse(stored, 0, stored.length)
      const body = bodyOf(stored)
      return { batchSeq, headerHash: view.headerHash, body, hash: xxhash64(body, 0, body.length) }
    })
  }

  /** headerHash of each batch in the own log, by number. */
  hashes(): Map<number, bigint> {
    return new Map(this.ownBatches().map(({ batchSeq, headerHash }) => [batchSeq, headerHash]))
  }

  private nextBuilder(sectors = 1): BatchBuilder {
    const builder = this.builders[this.appendedSeq % 2] as BatchBuilder
    builder.buffer.fill(0)
    builder.reset()
    const data = Buffer.alloc(512 * sectors, this.appendedSeq + 1)
    builder.addWrite({ sector: this.nextSeq, buffer: data, start: 0, length: data.length, uniqueLow: 1, uniqueHigh: 0 })
    return builder
  }

  private writeOwn(builder: BatchBuilder, when: (write: () => void) => void): BatchFrame {
    const batchSeq = this.appendedSeq + 1
    this.lastHash = builder.seal({
      volumeUuid: Buffer.from(VOLUME_UUID, 'hex'),
      logUuid: Buffer.from(LOG_UUID, 'hex'),
      epoch: EPOCH,
      run: RUN,
      batchSeq,
      firstSeq: this.nextSeq,
      ackedSeq: this.nextSeq - 1,
      trimSeq: 0,
      previousHash: this.lastHash,
      wallMs: 1,
      session: 1n,
    })
    this.appendedSeq = batchSeq
    this.nextSeq += 1
    const start = builder.frameStart
    const copy = Buffer.from(builder.buffer.subarray(start, start + builder.frameBytes))
    const { lastHash } = this
    const write = (): void => {
      this.log.frames.set(batchSeq, copy)
      this.log.lastBatchSeq = batchSeq
      this.log.lastHash = lastHash
    }
    when(write)
    return frameAt(builder.buffer, start, builder.frameBytes)
  }
}

function bodyOf(stored: Buffer): Buffer {
  const envelope = envelopeOf(frameAt(stored, 0, stored.length))
  const body = Buffer.alloc(envelopeBytes(envelope))
  writeEnvelope(body, 0, envelope)
  return body
}

/** An owner whose members hold its log of so many batches, and other peers that hold nothing. */
export async function owner(members: readonly string[], others: readonly string[] = [], batches = 0): Promise<Owner> {
  const one = new Owner([...members, ...others])
  await one.begin(members, batches)
  return one
}
