// What the tests of the replica store share: a storage whose writes can be held, torn and damaged; an owner that makes
// the batches of one log; and a tiny store (segments of a few blocks, so that logs cross them all the time).
import { IoError } from '../../../../../base/errors.ts'
import { MemoryEventLog } from '../../../../../base/log.ts'
import { createPrng } from '../../../../../base/prng.ts'
import { xxhash64 } from '../../../../../base/xxhash64.ts'
import { BatchBuilder, type SealFields } from '../../../../../csi-driver/batch/batch-builder.ts'
import type { AlignedMemory, IoDone, Storage } from '../../../../../csi-driver/io/storage.ts'
import type { LogBegin, LogName, StoredLog } from '../../../../../csi-driver/protocol/stored-log.ts'
import { ReplicaStore, type StoreOptions } from '../../../../../csi-driver/replica/store/replica-store.ts'
import { STORED_HEADER_BYTES, storedBytesFor } from '../../../../../csi-driver/replica/store/store-geometry.ts'
import type { StoredVolume } from '../../../../../csi-driver/replica/store/stored-volume.ts'
import { envelopeBytes, envelopeOf, writeEnvelope } from '../../../../../csi-driver/replica/wire/envelope.ts'
import type { BodyInMemory } from '../../../../../csi-driver/replica/wire/messages.ts'

export const BLOCK = 4096
const SECTOR = 512
export const SEGMENT_BYTES = 8 * BLOCK
export const SLOTS = 4
/** Superblocks, two copies of the table. */
export const SEGMENTS_START = 64 * 1024 + 2 * SLOTS * BLOCK
export const VOLUME_UUID = '1'.repeat(32)

/** As memory that was used before. */
export const heapMemory: AlignedMemory = { allocate: (length) => Buffer.alloc(length, 0xdd) }

interface HeldWrite {
  readonly data: Buffer
  readonly position: number
  readonly done: IoDone
}

/** A storage in memory. Writes complete at once, or are held until they are completed, or lost in a crash. */
export class TestStorage implements Storage {
  readonly name = 'store'
  readonly alignmentBytes = 4096
  bytes: Buffer
  holdWrites = false
  /** The next write fails and leaves nothing. */
  failNextWrite = false
  failReads: (position: number, length: number) => boolean = () => false
  /** Called before a write reaches the medium. */
  onWrite: (position: number, data: Buffer) => void = () => undefined
  closed = false
  readBytes = 0
  held: HeldWrite[] = []

  constructor(bytes: Buffer | number) {
    this.bytes = typeof bytes === 'number' ? Buffer.alloc(bytes) : bytes
  }

  get sizeBytes(): number {
    return this.bytes.length
  }

  read(buffer: Buffer, start: number, length: number, position: number, done: IoDone): void {
    this.check(buffer, start, length, position)
    this.readBytes += length
    if (this.failReads(position, length)) return done(new IoError('EIO', 'read failed'))
    this.bytes.copy(buffer, start, position, position + length)
    done(null)
  }

  write(buffer: Buffer, start: number, length: number, position: number, done: IoDone): void {
    this.check(buffer, start, length, position)
    if (this.failNextWrite) {
      this.failNextWrite = false
      return done(new IoError('EIO', 'write failed'))
    }
    const data = Buffer.from(buffer.subarray(start, start + length))
    this.onWrite(position, data)
    this.held.push({ data, position, done })
    if (!this.holdWrites) this.complete()
  }

  flush(done: IoDone): void {
    done(null)
  }

  close(done: IoDone): void {
    this.closed = true
    done(null)
  }

  /** Completes one held write, the oldest where no other is named. */
  complete(index = 0): void {
    const [write] = this.held.splice(index, 1)
    if (write === undefined) throw new Error('no write is held')
    write.data.copy(this.bytes, write.position)
    write.done(null)
  }

  completeAll(): void {
    while (this.held.length > 0) this.complete()
  }

  /** Power is lost: of each held write the sectors reach the medium for which `keeps` says so. */
  crash(keeps: (sector: number, sectors: number) => boolean): TestStorage {
    for (const { data, position } of this.held) {
      const sectors = data.length / SECTOR
      for (let sector = 0; sector < sectors; sector++) {
        if (!keeps(sector, sectors)) continue
        data.copy(this.bytes, position + sector * SECTOR, sector * SECTOR, (sector + 1) * SECTOR)
      }
    }
    this.held = []
    return this.reborn()
  }

  /** A medium with the same bytes: what the next process finds. */
  reborn(): TestStorage {
    return new TestStorage(Buffer.from(this.bytes))
  }

  private check(buffer: Buffer, start: number, length: number, position: number): void {
    const aligned = length % 4096 === 0 && position % 4096 === 0
    const inside = start >= 0 && start + length <= buffer.length && position >= 0 && position + length <= this.sizeBytes
    if (!aligned || !inside) throw new Error(`illegal transfer position=${position} length=${length} start=${start}`)
  }
}

let wallMs = 1_700_000_000_000
export const testClock = { monotonicMs: () => 0, bootMs: () => 0, wallMs: () => wallMs++ }

export function randomOf(seed: string): { fill(buffer: Buffer): void } {
  const prng = createPrng(seed)
  return {
    fill(buffer) {
      for (let at = 0; at < buffer.length; at++) buffer[at] = prng.below(256)
    },
  }
}

export interface OpenedStore {
  readonly storage: TestStorage
  readonly store: ReplicaStore
  readonly log: MemoryEventLog
}

let opened = 0

export function bytesFor(segments: number): number {
  return SEGMENTS_START + segments * SEGMENT_BYTES
}

export async function openStore(storage: TestStorage, options: Partial<StoreOptions> = {}): Promise<OpenedStore> {
  const log = new MemoryEventLog()
  opened += 1
  const store = await ReplicaStore.open({
    storage,
    memory: heapMemory,
    clock: testClock,
    random: randomOf(`open ${opened}`),
    log,
    resource: 'flash',
    sizeBytes: storage.sizeBytes,
    allowFormat: true,
    segmentBytes: SEGMENT_BYTES,
    slotCount: SLOTS,
    ...options,
  })
  return { storage, store, log }
}

export type Call = (done: (error: Error | null) => void) => void

export function settled(call: Call): Promise<void> {
  return new Promise((resolve, reject) => call((error) => (error === null ? resolve() : reject(error))))
}

/** The error with which the call ends. */
export function failure(call: Call): Promise<Error> {
  return new Promise((resolve, reject) => {
    call((error) => (error === null ? reject(new Error('it did not fail')) : resolve(error)))
  })
}

export function createVolume(store: ReplicaStore, volumeUuid = VOLUME_UUID, volume = 'data'): Promise<StoredVolume> {
  return new Promise((resolve, reject) => {
    store.create({ volume, volumeUuid, volumeKey: Buffer.alloc(32, 7), createdBy: '' }, (error, created) => {
      if (created === null) reject(error ?? new Error('no volume'))
      else resolve(created)
    })
  })
}

export function logName(epoch: number, firstBatchSeq = 1): LogName {
  return { logUuid: `${epoch.toString(16).padStart(16, '0')}${'a'.repeat(16)}`, firstBatchSeq }
}

export const FIRST_BATCH: LogBegin = { batchSeq: 1, seq: 1, previousHash: 0n }

/** A batch as the owner made it and as it comes over the wire. */
export interface MadeBatch {
  readonly batchSeq: number
  readonly lastSeq: number
  readonly headerHash: bigint
  readonly ackedSeq: number
  readonly bytes: Buffer
}

/** Makes the batches of one log, one after the other. */
export class TestOwner {
  volumeUuid = VOLUME_UUID
  name: LogName = logName(1)
  epoch = 1
  run = 1
  next: LogBegin
  ackedSeq = 0
  readonly made = new Map<number, MadeBatch>()

  constructor(begin: LogBegin = FIRST_BATCH) {
    this.next = begin
  }

  /** Goes on behind batch `batchSeq`, which it has made. */
  returnTo(batchSeq: number): void {
    const last = this.made.get(batchSeq)
    if (last === undefined) throw new Error(`never made batchSeq=${batchSeq}`)
    this.next = { batchSeq: batchSeq + 1, seq: last.lastSeq + 1, previousHash: last.headerHash }
  }

  /** A batch of `records` records, the first with `payloadBytes` of data (0: all are ZERO records). */
  make(payloadBytes: number, records = 1, fill: number = this.next.batchSeq): MadeBatch {
    const builder = new BatchBuilder(heapMemory, { recordsMax: 240, payloadBytesMax: Math.max(512, payloadBytes) })
    for (let index = 0; index < records; index++) {
      const unique = { uniqueLow: index, uniqueHigh: fill }
      if (index === 0 && payloadBytes > 0) {
        const buffer = Buffer.alloc(payloadBytes, fill & 0xff)
        builder.addWrite({ sector: fill, buffer, start: 0, length: payloadBytes, ...unique })
      } else builder.addZero({ sector: index * 8, sectors: 8, mayUnmap: true, ...unique })
    }
    const { batchSeq, seq, previousHash } = this.next
    const seal: SealFields = {
      volumeUuid: Buffer.from(this.volumeUuid, 'hex'),
      logUuid: Buffer.from(this.name.logUuid, 'hex'),
      epoch: this.epoch,
      run: this.run,
      batchSeq,
      firstSeq: seq,
      ackedSeq: this.ackedSeq,
      trimSeq: 0,
      previousHash,
      wallMs: 1_700_000_000_000 + batchSeq,
      session: 9n,
    }
    const headerHash = builder.seal(seal)
    const envelope = envelopeOf({
      buffer: builder.buffer,
      start: builder.frameStart,
      headerBytes: builder.frameBytes - builder.paddedPayloadBytes,
      payloadBytes: builder.payloadBytes,
    })
    const bytes = Buffer.alloc(envelopeBytes(envelope))
    writeEnvelope(bytes, 0, envelope)
    const batch = { batchSeq, lastSeq: seq + records - 1, headerHash, ackedSeq: this.ackedSeq, bytes }
    this.made.set(batchSeq, batch)
    this.next = { batchSeq: batchSeq + 1, seq: seq + records, previousHash: headerHash }
    return batch
  }
}

/** The batch where a receiver would have put it. */
export function bodyOf({ bytes }: MadeBatch): BodyInMemory {
  const buffer = Buffer.alloc(storedBytesFor(bytes.length), 0xcc)
  bytes.copy(buffer, STORED_HEADER_BYTES)
  return { buffer, start: STORED_HEADER_BYTES, length: bytes.length, hash: xxhash64(bytes, 0, bytes.length) }
}

export function append(volume: StoredVolume, batch: MadeBatch): Promise<void> {
  return settled((done) => volume.append(bodyOf(batch), done))
}

export function learn(volume: StoredVolume, options: Partial<Parameters<StoredVolume['learn']>[0]> = {}) {
  const order = { lineage: [logName(1)], begin: FIRST_BATCH, logBytes: 8 * BLOCK, epoch: 1, run: 1, ...options }
  return settled((done) => volume.learn(order, done))
}

/** Body of a batch as the store gives it. */
export function readBatch(volume: StoredVolume, batchSeq: number): Promise<Buffer> {
  const into = Buffer.alloc(SEGMENT_BYTES, 0xdd)
  return new Promise((resolve, reject) => {
    volume.read(batchSeq, into, (error, body) => {
      if (body === null) reject(error ?? new Error('no body'))
      else resolve(Buffer.from(body.buffer.subarray(body.start, body.start + body.length)))
    })
  })
}

export function logOf(volume: StoredVolume): StoredLog {
  const { log } = volume.state
  if (log === null) throw new Error(`there is no log reason=${volume.lossReason}`)
  return log
}

export function volumeIn(store: ReplicaStore, volumeUuid = VOLUME_UUID): StoredVolume {
  const volume = store.find(volumeUuid)
  if (volume === null) throw new Error('there is no such volume')
  return volume
}

/** A store with one volume that has an empty log. */
export async function freshLog(segments = 16): Promise<OpenedStore & { volume: StoredVolume; owner: TestOwner }> {
  const found = await openStore(new TestStorage(bytesFor(segments)))
  const volume = await createVolume(found.store)
  await learn(volume)
  return { ...found, volume, owner: new TestOwner() }
}
