// A replica store in memory for the receiver's tests: the port's promises in the fewest words. Orders complete at once,
// or, with `hold`, when the test says so; any of them can be made to fail.
import { CacheError } from '../../../../../base/errors.ts'
import type { BatchSeq } from '../../../../../base/units.ts'
import type { StoredLog, VolumeState } from '../../../../../csi-driver/protocol/stored-log.ts'
import type {
  HeldStore,
  HeldVolume,
  NewVolume,
  StoreDone,
} from '../../../../../csi-driver/replica/receiver/store-port.ts'
import { EnvelopeView } from '../../../../../csi-driver/replica/wire/envelope-view.ts'
import type { BodyInMemory } from '../../../../../csi-driver/replica/wire/messages.ts'

type Update = Parameters<HeldVolume['update']>[0]
type Learn = Parameters<HeldVolume['learn']>[0]

/** An order that waits for complete(). */
interface Held {
  readonly name: string
  readonly run: () => void
}

export class MemoryStore implements HeldStore {
  readonly storeUuid = 'e'.repeat(32)
  incarnation = 1
  readonly resource = 'flash'
  readonly capacityBytes = 2 ** 30
  /** Orders wait for complete(). */
  hold = false
  /** The next order of this name fails with it. */
  fails: { readonly name: string; readonly error: Error } | null = null
  /** Names of the orders so far, with the volume's. */
  readonly orders: string[] = []
  readonly waiting: Held[] = []
  private readonly byUuid = new Map<string, MemoryVolume>()

  get freeBytes(): number {
    return this.capacityBytes - this.volumes().reduce((sum, { logBytesReserved }) => sum + logBytesReserved, 0)
  }

  volumes(): MemoryVolume[] {
    return [...this.byUuid.values()]
  }

  find(volumeUuid: string): MemoryVolume | null {
    return this.byUuid.get(volumeUuid) ?? null
  }

  create(volume: NewVolume, done: (error: Error | null, volume: HeldVolume | null) => void): void {
    const made = new MemoryVolume(this, volume)
    const finish = (error: Error | null): void => {
      if (error === null) this.byUuid.set(volume.volumeUuid, made)
      done(error, error === null ? made : null)
    }
    this.order(`create ${volume.volume}`, () => {}, finish)
  }

  forget(volumeUuid: string): void {
    this.byUuid.delete(volumeUuid)
  }

  order(name: string, act: () => void, done: StoreDone): void {
    this.orders.push(name)
    const failing = this.fails?.name === name ? this.fails : null
    if (failing !== null) this.fails = null
    const run = (): void => {
      if (failing === null) act()
      done(failing?.error ?? null)
    }
    if (this.hold) this.waiting.push({ name, run })
    else run()
  }

  /** Completes one held order, the oldest where no other is named. */
  complete(name?: string): void {
    const index = name === undefined ? 0 : this.waiting.findIndex((each) => each.name === name)
    const [held] = this.waiting.splice(index, 1)
    if (held === undefined || index < 0) throw new Error(`no such order waits name=${name}`)
    held.run()
  }
}

const view = new EnvelopeView()

export class MemoryVolume implements HeldVolume {
  readonly volume: string
  readonly volumeUuid: string
  readonly volumeKey: Buffer
  readonly createdBy: string
  readonly incarnation: number
  readonly lossReason = null
  state: VolumeState = { promise: 0, epoch: 0, run: 0, log: null }
  logBytesReserved = 0
  private readonly store: MemoryStore
  private readonly bodies = new Map<BatchSeq, Buffer>()
  private readonly hashes = new Map<BatchSeq, bigint>()

  constructor(store: MemoryStore, identity: NewVolume) {
    this.store = store
    this.incarnation = store.incarnation
    this.createdBy = identity.createdBy
    this.volume = identity.volume
    this.volumeUuid = identity.volumeUuid
    this.volumeKey = identity.volumeKey
  }

  get log(): StoredLog {
    if (this.state.log === null) throw new Error('no log')
    return this.state.log
  }

  update({ pending, ...numbers }: Update, done: StoreDone): void {
    this.order(
      'update',
      () => {
        const { log } = this.state
        this.state = {
          ...this.state,
          ...numbers,
          log: log !== null && pending !== undefined ? { ...log, pending } : log,
        }
      },
      done,
    )
  }

  learn({ lineage, begin, logBytes, epoch, run }: Learn, done: StoreDone): void {
    if (logBytes > this.store.freeBytes + this.logBytesReserved) {
      done(new CacheError('full', 'CACHE_STORE_FULL', 'no room'))
      return
    }
    this.order(
      'learn',
      () => {
        this.bodies.clear()
        this.logBytesReserved = logBytes
        const last = { lastBatchSeq: begin.batchSeq - 1, lastSeq: begin.seq - 1, lastHash: begin.previousHash }
        const log = { lineage, pending: null, tail: begin, ...last, ackedSeq: 0, storedBytes: 0 }
        this.state = { promise: Math.max(this.state.promise, epoch), epoch, run, log }
      },
      done,
    )
  }

  append({ buffer, start, length, hash }: BodyInMemory, done: StoreDone): void {
    this.order(
      'append',
      () => {
        const body = Buffer.from(buffer.subarray(start, start + length))
        view.read(body, 0, length)
        const { batchSeq, lastSeq, headerHash, ackedSeq } = view
        this.bodies.set(batchSeq, body)
        this.hashes.set(batchSeq, hash)
        const { log } = this
        const storedBytes = log.storedBytes + length
        const end = { lastBatchSeq: batchSeq, lastSeq, lastHash: headerHash }
        this.state = { ...this.state, log: { ...log, ...end, storedBytes, ackedSeq: Math.max(log.ackedSeq, ackedSeq) } }
      },
      done,
    )
  }

  trim(batchSeq: BatchSeq, done: StoreDone): void {
    this.order(
      'trim',
      () => {
        const previousHash = this.headerHashOf(batchSeq) ?? 0n
        for (const held of this.bodies.keys()) if (held <= batchSeq) this.bodies.delete(held)
        this.state = { ...this.state, log: { ...this.log, tail: { batchSeq: batchSeq + 1, seq: 1, previousHash } } }
      },
      done,
    )
  }

  promote(logUuid: string, done: StoreDone): void {
    this.order(
      'promote',
      () => {
        const { pending, lineage } = this.log
        if (pending?.logUuid !== logUuid) throw new Error('not pending')
        const lastBatchSeq = pending.firstBatchSeq - 1
        const lastHash = this.headerHashOf(lastBatchSeq) ?? this.log.tail.previousHash
        for (const held of this.bodies.keys()) if (held > lastBatchSeq) this.bodies.delete(held)
        const log = { ...this.log, lineage: [...lineage, pending], pending: null, lastBatchSeq, lastHash }
        this.state = { ...this.state, log }
      },
      done,
    )
  }

  headerHashOf(batchSeq: BatchSeq): bigint | null {
    const body = this.bodies.get(batchSeq)
    if (body === undefined) return null
    view.read(body, 0, body.length)
    return view.headerHash
  }

  read(batchSeq: BatchSeq, into: Buffer, done: (error: Error | null, body: BodyInMemory | null) => void): void {
    const body = this.bodies.get(batchSeq) ?? Buffer.alloc(0)
    const start = 64
    this.order(
      'read',
      () => void body.copy(into, start),
      (error) =>
        done(
          error,
          error === null ? { buffer: into, start, length: body.length, hash: this.hashes.get(batchSeq) ?? 0n } : null,
        ),
    )
  }

  discard(done: StoreDone): void {
    this.order('discard', () => this.store.forget(this.volumeUuid), done)
  }

  private order(name: string, act: () => void, done: StoreDone): void {
    this.store.order(`${name} ${this.volume}`, act, done)
  }
}
