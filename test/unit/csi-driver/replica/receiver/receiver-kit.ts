// What the receiver's tests share: a receiver over streams in memory, with a clock that the test moves, and engines that
// talk to it in real frames.
import { MemoryEventLog } from '../../../../../base/log.ts'
import { BATCH_HEADER } from '../../../../../csi-driver/batch/batch-format.ts'
import type { IoError } from '../../../../../base/errors.ts'
import { MIB } from '../../../../../base/units.ts'
import type { LocalEngines, VolumeHeld } from '../../../../../csi-driver/io/local-engines.ts'
import type { Listener, StreamHandlers } from '../../../../../csi-driver/io/network.ts'
import type { PeerNetwork, PeerStream } from '../../../../../csi-driver/io/peer-network.ts'
import { Receiver, type ReceiverSettings } from '../../../../../csi-driver/replica/receiver.ts'
import type { HeldStore } from '../../../../../csi-driver/replica/receiver/store-port.ts'
import { envelopeOf } from '../../../../../csi-driver/replica/wire/envelope.ts'
import { nextSequence } from '../../../../../csi-driver/replica/wire/frame.ts'
import { FrameReader } from '../../../../../csi-driver/replica/wire/frame-reader.ts'
import { encodeMessage } from '../../../../../csi-driver/replica/wire/message-codec.ts'
import type {
  EngineMessage,
  Hello,
  MessageFrom,
  MessageOf,
  MessageType,
} from '../../../../../csi-driver/replica/wire/messages.ts'
import { volumeProof } from '../../../../../csi-driver/replica/wire/volume-proof.ts'
import { heapMemory } from '../../batch/batch-kit.ts'
import { settle, TestTime } from '../../engine/test-time.ts'
import { logUuidOf } from '../../register/records.ts'
import { batchFrame } from '../wire/wire-kit.ts'
import { MemoryStore } from './memory-store.ts'

export { logUuidOf, settle }
export type Answer = MessageFrom<'store'>

export const ADDRESS = { kind: 'tcp', host: 'peer', port: 7000 } as const
export const VOLUME_UUID = 'a'.repeat(32)
export const KEY = Buffer.alloc(32, 0x4b)

/** The server's end of a stream, and what the client's end does with it. */
export class TestStream implements PeerStream {
  readonly peerNode: string
  readonly remote = '10.0.0.1:999'
  pendingBytes = 0
  isPaused = false
  isClosed = false
  ended = false
  /** Nothing that the server writes is taken. */
  stalled = false
  onBytes: (bytes: Buffer) => void = () => {}
  onEnd: () => void = () => {}
  private readonly secret: Buffer
  private handlers: StreamHandlers | null = null
  private incoming: Buffer[] = []
  private unsent: Buffer[] = []
  private full = false

  constructor(peerNode: string, secret: Buffer) {
    this.peerNode = peerNode
    this.secret = secret
  }

  exporter(): Buffer {
    return Buffer.from(this.secret)
  }

  start(handlers: StreamHandlers): void {
    this.handlers = handlers
  }

  write(bytes: Buffer): boolean {
    if (this.isClosed || this.ended) return false
    this.unsent.push(bytes)
    this.pendingBytes += bytes.length
    if (!this.stalled) this.flush()
    this.full ||= this.pendingBytes > 4 * 2 ** 20
    return !this.full
  }

  push(): void {}

  pause(): void {
    this.isPaused = true
  }

  resume(): void {
    this.isPaused = false
    queueMicrotask(() => this.pass())
  }

  end(): void {
    if (this.ended) return
    this.ended = true
    queueMicrotask(() => this.onEnd())
  }

  destroy(error: IoError | null = null): void {
    if (this.isClosed) return
    this.isClosed = true
    queueMicrotask(() => this.handlers?.closed(error))
  }

  /** What was stalled goes out. */
  flush(): void {
    const unsent = this.unsent
    this.unsent = []
    this.pendingBytes = 0
    for (const bytes of unsent) this.onBytes(Buffer.from(bytes))
    if (!this.full) return
    this.full = false
    queueMicrotask(() => this.handlers?.drain?.())
  }

  /** From the client. */
  deliver(bytes: Buffer): void {
    this.incoming.push(Buffer.from(bytes))
    this.pass()
  }

  /** The client sends nothing more. */
  clientEnds(): void {
    this.handlers?.end?.()
    if (this.ended) this.destroy()
  }

  private pass(): void {
    while (!this.isPaused && !this.isClosed && this.handlers !== null) {
      const bytes = this.incoming.shift()
      if (bytes === undefined) return
      this.handlers.data(bytes)
      bytes.fill(0xdb)
    }
  }
}

/** An engine that says what the test says. */
export class TestEngine {
  readonly stream: TestStream
  readonly answers: Answer[] = []
  version = 1
  sequence = 1
  private readonly reader: FrameReader<'store'>

  constructor(stream: TestStream) {
    this.stream = stream
    this.reader = new FrameReader({
      from: 'store',
      onMessage: (message) => {
        this.answers.push(message)
        if (message.type === 'WELCOME') this.reader.agree(message.version)
      },
      onProblem: ({ message }) => {
        throw new Error(message)
      },
    })
    stream.onBytes = (bytes) => this.reader.push(bytes)
    // As real engines do: after the store's last word it closes, too.
    stream.onEnd = () => stream.clientEnds()
  }

  get isClosed(): boolean {
    return this.stream.isClosed
  }

  frame(message: EngineMessage): Buffer {
    const { version, sequence } = this
    this.sequence = nextSequence(sequence)
    return Buffer.concat(encodeMessage(message, { version, sequence }))
  }

  send(message: EngineMessage): void {
    this.stream.deliver(this.frame(message))
  }

  hello(changes: Partial<Hello> & { readonly key?: Buffer } = {}): void {
    const { key = KEY, ...fields } = changes
    const volumeUuid = fields.volumeUuid ?? VOLUME_UUID
    this.send({
      type: 'HELLO',
      versionMin: 1,
      versionMax: 1,
      volume: 'tank',
      volumeUuid,
      node: this.stream.peerNode,
      epoch: 1,
      run: 1,
      purpose: 'owner',
      proof: volumeProof(key, this.stream.exporter(), volumeUuid),
      volumeKey: key,
      ...fields,
    })
  }

  /** Types of everything that came, REFUSED with its code. */
  get heard(): string[] {
    return this.answers.map((answer) => (answer.type === 'REFUSED' ? `REFUSED ${answer.code}` : answer.type))
  }

  last<Type extends MessageType>(type: Type): MessageOf<Type> | undefined {
    return this.answers.findLast((answer) => answer.type === type) as MessageOf<Type> | undefined
  }
}

/** The chain of batches that an owner writes. */
export class TestLog {
  readonly volumeUuid: string
  logUuid: string
  epoch: number
  run = 1
  batchSeq = 1
  seq = 1
  previousHash = 0n

  constructor(epoch = 1, volumeUuid = VOLUME_UUID) {
    this.epoch = epoch
    this.volumeUuid = volumeUuid
    this.logUuid = logUuidOf(epoch)
  }

  /** The next batch: `bytes` of data, in writes of the largest size and a rest. */
  next(bytes = 512, fill = 'x', changes = {}): MessageOf<'APPEND'> {
    const entries = Array.from({ length: Math.ceil(bytes / MIB) }, (_, index) => {
      return { sector: index * 4096, data: Buffer.alloc(Math.min(MIB, bytes - index * MIB), fill) }
    })
    const frame = batchFrame(entries, {
      volumeUuid: Buffer.from(this.volumeUuid, 'hex'),
      logUuid: Buffer.from(this.logUuid, 'hex'),
      epoch: this.epoch,
      run: this.run,
      batchSeq: this.batchSeq,
      firstSeq: this.seq,
      ackedSeq: this.seq - 1,
      trimSeq: 0,
      previousHash: this.previousHash,
      ...changes,
    })
    this.previousHash = frame.buffer.readBigUInt64LE(BATCH_HEADER.offsets.headerHash)
    this.batchSeq += 1
    this.seq += entries.length
    return { type: 'APPEND', ...envelopeOf(frame) }
  }

  /** What LEARN says to a store that is to begin where this log is now. */
  learn(logBytes = 2 ** 20): MessageOf<'LEARN'> {
    const { logUuid, batchSeq, seq, previousHash } = this
    const lineage = [{ logUuid, firstBatchSeq: 1 }]
    return { type: 'LEARN', lineage, begin: { batchSeq, seq, previousHash }, logBytes }
  }
}

/** Engines of the store's own node: they end when the test says so. */
export class TestEngines implements LocalEngines {
  /** Answer at once with this. */
  error: IoError | null = null
  hold = false
  readonly asked: { readonly volume: string; readonly epoch: number; done: (error: IoError | null) => void }[] = []

  endOlder({ volume }: VolumeHeld, epoch: number, done: (error: IoError | null) => void): void {
    this.asked.push({ volume, epoch, done })
    if (!this.hold) done(this.error)
  }
}

class TestNetwork implements PeerNetwork {
  onStream: ((stream: PeerStream) => void) | null = null

  listen(
    address: typeof ADDRESS,
    onStream: (stream: PeerStream) => void,
    done: (error: IoError | null, listener: Listener | null) => void,
  ): void {
    this.onStream = onStream
    const close = (closed: () => void): void => {
      this.onStream = null
      queueMicrotask(closed)
    }
    queueMicrotask(() => done(null, { address, close }))
  }

  connect(): never {
    throw new Error('a receiver connects to nobody')
  }
}

export class Rig<Store extends HeldStore = MemoryStore> {
  readonly time: TestTime
  readonly log = new MemoryEventLog()
  readonly engines = new TestEngines()
  readonly store: Store
  readonly receiver: Receiver
  private readonly network = new TestNetwork()
  private connected = 0

  private constructor(store: Store, settings: Partial<ReceiverSettings>, time: TestTime) {
    const { network, log, engines } = this
    this.store = store
    this.time = time
    this.receiver = new Receiver(
      { network, store, clock: time, timers: time, log, memory: heapMemory, engines },
      { node: 'peer', ...settings },
    )
  }

  static async start(settings: Partial<ReceiverSettings> = {}): Promise<Rig> {
    return Rig.over(new MemoryStore(), settings)
  }

  static async over<Store extends HeldStore>(
    store: Store,
    settings: Partial<ReceiverSettings> = {},
    time = new TestTime(),
  ): Promise<Rig<Store>> {
    const rig = new Rig(store, settings, time)
    await rig.receiver.listen(ADDRESS)
    return rig
  }

  connect(node = 'node-a'): TestEngine {
    this.connected += 1
    const stream = new TestStream(node, Buffer.alloc(32, this.connected))
    const engine = new TestEngine(stream)
    this.network.onStream?.(stream)
    return engine
  }

  /** An engine that has been welcomed. */
  async welcomed(changes: Parameters<TestEngine['hello']>[0] = {}, node = 'node-a'): Promise<TestEngine> {
    const engine = this.connect(node)
    engine.hello(changes)
    await settle()
    return engine
  }

  /** A welcomed owner whose store has an empty log. */
  async learned(log: TestLog, changes: Parameters<TestEngine['hello']>[0] = {}, node = 'node-a'): Promise<TestEngine> {
    const { epoch, run, volumeUuid } = log
    const owner = await this.welcomed({ epoch, run, volumeUuid, ...changes }, node)
    owner.send(log.learn())
    await settle()
    owner.answers.length = 0
    return owner
  }
}
