// A replica store for the owner's tests: one volume, kept in memory, decided by the product's own tables, with the faults
// that the owner has to live with. Its batches have one record each, so that numbers of both are the same. What it holds after a restart is what it had acknowledged, unless a test says otherwise.
import { BatchView, PAYLOAD_OK } from '../../../../../csi-driver/batch/batch-view.ts'
import type { NetworkAddress } from '../../../../../csi-driver/io/network.ts'
import type { PeerNetwork, PeerStream } from '../../../../../csi-driver/io/peer-network.ts'
import * as table from '../../../../../csi-driver/protocol/store-table.ts'
import type { RefusalCode, StoredLog, VolumeState } from '../../../../../csi-driver/protocol/stored-log.ts'
import type { Member } from '../../../../../csi-driver/register/record.ts'
import { restoreFrame } from '../../../../../csi-driver/replica/wire/envelope.ts'
import { FIRST_SEQUENCE, nextSequence } from '../../../../../csi-driver/replica/wire/frame.ts'
import { FrameReader } from '../../../../../csi-driver/replica/wire/frame-reader.ts'
import { encodeBody, encodeMessage } from '../../../../../csi-driver/replica/wire/message-codec.ts'
import type { MessageFrom, StoreMessage } from '../../../../../csi-driver/replica/wire/messages.ts'
import { proofMatches } from '../../../../../csi-driver/replica/wire/volume-proof.ts'
import type { SimNetwork } from '../../../../sim/network.ts'
import { Process, type World } from '../../../../sim/world.ts'

export interface HeldBatch {
  readonly batchSeq: number
  readonly headerHash: bigint
  /** Body of its APPEND, as it came. */
  readonly body: Buffer
  readonly hash: bigint
}

const ORIGINS = { monotonicMs: 5_000, bootMs: 9_000, wallMs: 1_700_000_000_000 }

export class FakeStore {
  readonly node: string
  readonly address: NetworkAddress
  storeUuid: string
  incarnation = 1
  freeBytes = 1 << 30
  state: VolumeState | null = null
  held: HeldBatch[] = []
  /** Key that HELLO brought. */
  volumeKey: Buffer | null = null
  /** Every message of an engine, in order. */
  readonly heard: MessageFrom<'engine'>[] = []
  /** Time that an answer takes. */
  answerMs = 0.1
  /** Reads, but neither acts nor answers. */
  mute = false
  /** Says that it has promoted a log, and has not. */
  forgetsPromotions = false
  /** Answered with instead of doing it; once. */
  refuseNext: { readonly type: string; readonly code: RefusalCode } | null = null
  /** Last batch ever stored, and world time of the last heartbeat, by life of the store. */
  readonly storedByLife = new Map<number, number>()
  readonly beatByLife = new Map<number, number>()
  /** Answers to seals: rest of the wait; then granted. */
  sealWaitsMs: number[] = []
  private readonly world: World
  private readonly network: SimNetwork
  private process: Process | null = null
  private present: FakeConnection | null = null

  constructor(world: World, network: SimNetwork, node: string) {
    this.world = world
    this.network = network
    this.node = node
    this.storeUuid = Buffer.from(node.padEnd(16, '.')).toString('hex').slice(0, 32)
    this.address = { kind: 'tcp', host: node, port: 7000 }
  }

  get member(): Member {
    return { node: this.node, storeUuid: this.storeUuid, incarnation: this.incarnation }
  }

  get log(): StoredLog {
    const log = this.state?.log ?? null
    if (log === null) throw new Error('the store holds no log')
    return log
  }

  start(): void {
    const process = new Process(this.world, `${this.node}-store`, ORIGINS, () => this.network.processDied(process))
    this.process = process
    const network: PeerNetwork = this.network.attach(process, this.node)
    network.listen(
      this.address,
      (stream) => void new FakeConnection(this, stream, process),
      (error) => {
        if (error !== null) throw error
      },
    )
  }

  /** Its process is gone; what it holds stays. */
  kill(): void {
    this.process?.die()
    this.process = null
    this.present = null
  }

  get isAlive(): boolean {
    return this.process !== null
  }

  restart(): void {
    this.kill()
    this.start()
  }

  /** Holds the log of an owner as it stands. */
  adopt(log: StoredLog, held: readonly HeldBatch[], epoch: number, run: number): void {
    this.state = { promise: epoch, epoch, run, log }
    this.held = [...held]
    this.storedByLife.set(this.incarnation, log.lastBatchSeq)
  }

  /** Everything is gone, and the store knows. */
  wipe(): void {
    this.incarnation += 1
    this.state = null
    this.held = []
    this.volumeKey = null
  }

  /** The newest batches are gone, and the store does not know. */
  loseTail(count: number): void {
    const kept = this.held.slice(0, this.held.length - count)
    const last = kept.at(-1)
    const { tail } = this.log
    this.held = kept
    this.change({
      lastBatchSeq: last?.batchSeq ?? tail.batchSeq - 1,
      lastSeq: last?.batchSeq ?? tail.seq - 1,
      lastHash: last?.headerHash ?? tail.previousHash,
    })
  }

  change(changes: Partial<StoredLog>): void {
    if (this.state === null) throw new Error('the store holds no volume')
    this.state = { ...this.state, log: { ...this.log, ...changes } }
  }

  says(connection: FakeConnection): void {
    if (this.present !== connection) this.present?.end()
    this.present = connection
  }

  isPresent(connection: FakeConnection): boolean {
    return this.present === connection
  }
}

type Hello = MessageFrom<'engine'> & { readonly type: 'HELLO' }
type Append = MessageFrom<'engine'> & { readonly type: 'APPEND' }

/** One engine's connection. */
class FakeConnection {
  private readonly store: FakeStore
  private readonly stream: PeerStream
  private readonly process: Process
  private readonly reader: FrameReader<'engine'>
  private sequence = FIRST_SEQUENCE
  private sender: table.Sender | null = null
  private over = false
  private queue: (() => void)[] = []

  constructor(store: FakeStore, stream: PeerStream, process: Process) {
    this.store = store
    this.stream = stream
    this.process = process
    this.reader = new FrameReader({
      from: 'engine',
      onMessage: (message) => this.received(message),
      onProblem: ({ message }) => {
        throw new Error(`the owner sent a bad frame: ${message}`)
      },
    })
    stream.start({
      data: (bytes) => this.reader.push(bytes),
      closed: () => {
        this.over = true
      },
    })
  }

  end(): void {
    this.over = true
    this.stream.destroy()
  }

  private received(message: MessageFrom<'engine'>): void {
    const { store } = this
    store.heard.push(message)
    // One after the other, each after its time, as a disk would have it.
    this.queue.push(() => this.handle(message))
    if (this.queue.length === 1) this.next()
  }

  private next(): void {
    this.process.timers.after(this.store.mute ? 10 : this.store.answerMs, () => {
      if (!this.over && !this.store.mute) this.queue[0]?.()
      if (this.store.mute && !this.over) {
        this.next()
        return
      }
      this.queue.shift()
      if (this.queue.length > 0) this.next()
    })
  }

  private answer(message: StoreMessage): void {
    if (this.over) return
    const { sequence } = this
    this.sequence = nextSequence(sequence)
    for (const bytes of encodeMessage(message, { version: 1, sequence })) this.stream.write(bytes)
  }

  private refuse(code: RefusalCode, message: string): void {
    this.answer({ type: 'REFUSED', code, message })
    this.over = true
    this.stream.end()
  }

  private handle(message: MessageFrom<'engine'>): void {
    const { refuseNext } = this.store
    if (refuseNext?.type === message.type) {
      this.store.refuseNext = null
      this.refuse(refuseNext.code, 'as the test wants')
      return
    }
    if (message.type === 'HELLO') this.hello(message)
    else if (this.sender !== null && this.store.state !== null) this.order(message, this.sender, this.store.state)
  }

  private hello(message: Hello): void {
    const { store, stream } = this
    const { purpose, epoch, run, proof, volumeUuid } = message
    if (purpose === 'reader') return this.refuse('not-held', 'no cache was left behind here')
    const key = store.volumeKey ?? message.volumeKey
    const isRight = key !== null && proofMatches(proof, key, stream.exporter(), volumeUuid)
    const { then, label } = table.helloDecision(
      { purpose, epoch, run, proof: key === null ? 'no-key' : isRight ? 'right' : 'wrong', room: 'there' },
      store.state,
    )
    if (typeof then !== 'string') return this.refuse(then.refuse, label)
    store.volumeKey = key
    store.says(this)
    const before = store.state ?? { promise: 0, epoch: 0, run: 0, log: null }
    store.state = { ...before, promise: Math.max(before.promise, epoch), epoch, run }
    this.sender = { present: true, purpose, epoch, run }
    this.reader.agree(1)
    const { node, storeUuid, incarnation, freeBytes, state } = store
    this.answer({
      type: 'WELCOME',
      version: 1,
      node,
      storeUuid,
      incarnation,
      resource: 'flash',
      freeBytes,
      state,
    })
  }

  private order(message: MessageFrom<'engine'>, sender: table.Sender, state: VolumeState): void {
    const { store } = this
    switch (message.type) {
      case 'APPEND':
        return this.append(message, sender, state)
      case 'TRIM':
        return this.trim(message.batchSeq, sender, state)
      case 'HEARTBEAT':
        store.beatByLife.set(store.incarnation, this.process.world.nowMs)
        return this.answer({ type: 'ALIVE', number: message.number })
      case 'RELEASE':
        return this.answer({ type: 'RELEASED' })
      case 'LEARN':
        return this.learn(message, sender, state)
      case 'SEAL': {
        const waitMs = store.sealWaitsMs.shift()
        if (waitMs === undefined) return this.answer({ type: 'SEALED', state })
        this.answer({ type: 'SEAL_WAIT', remainingMs: waitMs })
        this.process.timers.after(waitMs, () => this.order(message, sender, state))
        return undefined
      }
      case 'STATE':
        return this.answer({ type: 'STATE_IS', state })
      case 'PREPARE': {
        const heldHash = this.hashOf(message.lastBatchSeq)
        const { then, label } = table.prepareDecision(sender, state, { ...message, heldHash })
        if (typeof then !== 'string') return this.refuse(then.refuse, label)
        store.change({ pending: { logUuid: message.newLogUuid, firstBatchSeq: message.lastBatchSeq + 1 } })
        return this.answer({ type: 'PREPARED' })
      }
      case 'PROMOTE':
        return this.promote(message.logUuid, sender, state)
      case 'FETCH':
        return this.fetch(message.fromBatchSeq, message.bytesMax)
      case 'HELLO':
      case 'READ':
      case 'CACHE':
        return undefined
    }
  }

  private learn(message: MessageFrom<'engine'> & { type: 'LEARN' }, sender: table.Sender, state: VolumeState): void {
    const { store } = this
    const { lineage, begin, logBytes } = message
    const { then, label } = table.learnDecision(sender, state, {
      lineage,
      begin,
      logBytes,
      availableBytes: store.freeBytes,
    })
    if (then !== 'start-empty') return this.refuse(codeOf(then), label)
    store.held = []
    store.state = { ...state, log: emptyLog(lineage, begin) }
    return this.answer({ type: 'LEARNING' })
  }

  private hashOf(batchSeq: number): bigint | null {
    return this.store.held.find((batch) => batch.batchSeq === batchSeq)?.headerHash ?? null
  }

  private append(message: Append, sender: table.Sender, state: VolumeState): void {
    const { store } = this
    const frame = Buffer.alloc(4 * 1024 * 1024)
    const length = restoreFrame(message, frame)
    const view = new BatchView()
    const whole = length !== null && view.parse(frame, 0, length) === 'ok' && view.checkPayload() === PAYLOAD_OK
    if (!whole) return this.refuse('corrupt', 'batch is damaged')
    const { batchSeq, logUuid, previousHash, headerHash, lastSeq, ackedSeq } = view
    const heldHash = this.hashOf(batchSeq)
    const { then, label } = table.appendDecision(sender, state, {
      batchSeq,
      logUuid,
      previousHash,
      headerHash,
      heldHash,
    })
    if (typeof then !== 'string') return this.refuse(then.refuse, `${label} batchSeq=${batchSeq}`)
    if (then === 'store') {
      const { buffer, start, length: bytes, hash } = message.body
      store.held.push({ batchSeq, headerHash, body: Buffer.from(buffer.subarray(start, start + bytes)), hash })
      store.change({ lastBatchSeq: batchSeq, lastHash: headerHash, lastSeq, ackedSeq })
      store.storedByLife.set(store.incarnation, batchSeq)
    }
    this.answer({ type: 'APPENDED', batchSeq })
  }

  private trim(batchSeq: number, sender: table.Sender, state: VolumeState): void {
    const { store } = this
    const { then, label } = table.trimDecision(sender, state, batchSeq)
    if (typeof then !== 'string') return this.refuse(then.refuse, `${label} batchSeq=${batchSeq}`)
    if (then === 'trim') {
      const previousHash = this.hashOf(batchSeq) ?? 0n
      store.held = store.held.filter((batch) => batch.batchSeq > batchSeq)
      store.change({ tail: { batchSeq: batchSeq + 1, seq: batchSeq + 1, previousHash } })
    }
    this.answer({ type: 'TRIMMED', batchSeq })
  }

  private promote(logUuid: string, sender: table.Sender, state: VolumeState): void {
    const { then, label } = table.promoteDecision(sender, state, logUuid)
    if (typeof then !== 'string') return this.refuse(then.refuse, label)
    const { log, held } = this.store
    const { pending } = log
    if (then === 'promote' && pending !== null && !this.store.forgetsPromotions) {
      this.store.held = held.filter(({ batchSeq }) => batchSeq < pending.firstBatchSeq)
      const last = this.store.held.at(-1)
      this.store.change({
        lineage: [...log.lineage, pending],
        pending: null,
        lastBatchSeq: pending.firstBatchSeq - 1,
        lastSeq: pending.firstBatchSeq - 1,
        lastHash: last?.headerHash ?? log.tail.previousHash,
      })
    }
    this.answer({ type: 'PROMOTED' })
  }

  private fetch(fromBatchSeq: number, bytesMax: number): void {
    let bytes = 0
    let last = fromBatchSeq - 1
    for (const batch of this.store.held) {
      if (batch.batchSeq < fromBatchSeq) continue
      if (bytes > 0 && bytes + batch.body.length > bytesMax) break
      bytes += batch.body.length
      last = batch.batchSeq
      const { sequence } = this
      this.sequence = nextSequence(sequence)
      const body = { buffer: batch.body, start: 0, length: batch.body.length, hash: batch.hash }
      for (const part of encodeBody('BATCH', body, { version: 1, sequence })) this.stream.write(part)
    }
    this.answer({ type: 'FETCH_END', lastBatchSeq: last, more: last < this.store.log.lastBatchSeq })
  }
}

export function emptyLog(lineage: StoredLog['lineage'], begin: StoredLog['tail']): StoredLog {
  return {
    lineage,
    pending: null,
    tail: begin,
    lastBatchSeq: begin.batchSeq - 1,
    lastSeq: begin.seq - 1,
    lastHash: begin.previousHash,
    ackedSeq: 0,
    storedBytes: 0,
  }
}

function codeOf(then: string | { readonly refuse: RefusalCode }): RefusalCode {
  return typeof then === 'string' ? 'io' : then.refuse
}
