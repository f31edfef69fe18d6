// What a replica store must hold, as plain values, beside a store that works on a storage whose writes are in flight: a
// workload draws orders and lets writes end in any order, a crash tears what is in flight, and what the next start finds
// must be what was answered, plus a beginning of what was on its way. Nothing else: nothing less, and nothing that a
// promotion or a learning had dropped.
import { CacheError } from '../../base/errors.ts'
import type { Prng } from '../../base/prng.ts'
import { xxhash64 } from '../../base/xxhash64.ts'
import type { LogBegin, LogName } from '../../csi-driver/protocol/stored-log.ts'
import type { ReplicaStore } from '../../csi-driver/replica/store/replica-store.ts'
import type { StoredVolume } from '../../csi-driver/replica/store/stored-volume.ts'
import { tornSubset } from '../sim/disk-faults.ts'
import {
  bodyOf,
  type MadeBatch,
  openStore,
  readBatch,
  TestOwner,
  TestStorage,
} from '../unit/csi-driver/replica/store/store-kit.ts'

const BLOCK = 4096
/** Slot changes of one volume on their way. */
const CHANGES_MAX = 3

interface LogModel {
  readonly lineage: readonly LogName[]
  readonly pending: LogName | null
  readonly tail: LogBegin
  readonly ackedSeq: number
  readonly batches: readonly MadeBatch[]
}

interface VolumeModel {
  readonly promise: number
  readonly epoch: number
  readonly run: number
  readonly log: LogModel | null
}

const NEW_VOLUME: VolumeModel = { promise: 0, epoch: 0, run: 0, log: null }

type Change = (model: VolumeModel | null) => VolumeModel | null

/** One volume: what was answered, what is on its way, and the owner that makes its batches. */
class Track {
  readonly uuid: string
  /** Null: the store does not know the volume. */
  model: VolumeModel | null = null
  changes: Change[] = []
  append: MadeBatch | null = null
  /** LEARN, PROMOTE, create or discard is on its way. */
  exclusive = false
  owner: TestOwner
  names = 0

  constructor(uuid: string) {
    this.uuid = uuid
    this.owner = new TestOwner()
    this.owner.volumeUuid = uuid
  }

  newName(firstBatchSeq: number): LogName {
    this.names += 1
    return { logUuid: this.names.toString(16).padStart(32, '0'), firstBatchSeq }
  }

  /** Everything that the next start may find. */
  possible(): (VolumeModel | null)[] {
    const found: (VolumeModel | null)[] = []
    let model = this.model
    for (let count = 0; ; count++) {
      found.push(model)
      if (this.append !== null && model !== null) found.push(withBatch(model, this.append))
      const change = this.changes[count]
      if (change === undefined) return found
      model = change(model)
    }
  }
}

function withBatch(model: VolumeModel, batch: MadeBatch): VolumeModel {
  const { log } = model
  if (log === null) return model
  return {
    ...model,
    log: { ...log, batches: [...log.batches, batch], ackedSeq: Math.max(log.ackedSeq, batch.ackedSeq) },
  }
}

function lastOf(log: LogModel): { batchSeq: number; seq: number; hash: bigint } {
  const last = log.batches.at(-1)
  if (last !== undefined) return { batchSeq: last.batchSeq, seq: last.lastSeq, hash: last.headerHash }
  return { batchSeq: log.tail.batchSeq - 1, seq: log.tail.seq - 1, hash: log.tail.previousHash }
}

function namesFrom(lineage: readonly LogName[], tailBatchSeq: number): LogName[] {
  return lineage.filter((_, index) => (lineage[index + 1]?.firstBatchSeq ?? Number.POSITIVE_INFINITY) > tailBatchSeq)
}

function trimLog(log: LogModel, batchSeq: number): LogModel {
  if (batchSeq < log.tail.batchSeq) return log
  const last = log.batches.find((batch) => batch.batchSeq === batchSeq)
  if (last === undefined) throw new Error(`trims what is there batchSeq=${batchSeq}`)
  const tail = { batchSeq: batchSeq + 1, seq: last.lastSeq + 1, previousHash: last.headerHash }
  const pending = log.pending !== null && log.pending.firstBatchSeq < tail.batchSeq ? null : log.pending
  const batches = log.batches.filter((batch) => batch.batchSeq > batchSeq)
  return { ...log, tail, pending, batches, lineage: namesFrom(log.lineage, tail.batchSeq) }
}

function promoteLog(log: LogModel): LogModel {
  const { pending } = log
  if (pending === null) return log
  const batches = log.batches.filter((batch) => batch.batchSeq < pending.firstBatchSeq)
  const lineage = [...log.lineage.filter((name) => name.firstBatchSeq < pending.firstBatchSeq), pending]
  const kept = { ...log, pending: null, batches, lineage }
  return { ...kept, ackedSeq: Math.min(log.ackedSeq, lastOf(kept).seq) }
}

/** What the store shows of a volume, in the model's words. */
async function shown(volume: StoredVolume | null): Promise<unknown> {
  if (volume === null) return null
  const { promise, epoch, run, log } = volume.state
  if (log === null) return { promise, epoch, run, log: null, lossReason: volume.lossReason }
  const bodies: string[] = []
  for (let batchSeq = log.tail.batchSeq; batchSeq <= log.lastBatchSeq; batchSeq++) {
    bodies.push(hashOf(await readBatch(volume, batchSeq)))
  }
  const { lineage, pending, tail, lastBatchSeq, lastSeq, lastHash, ackedSeq } = log
  return { promise, epoch, run, lineage, pending, tail, lastBatchSeq, lastSeq, lastHash, ackedSeq, bodies }
}

function expected(model: VolumeModel | null): unknown {
  if (model === null) return null
  const { log, ...head } = model
  if (log === null) return { ...head, log: null, lossReason: null }
  const { batches, lineage, pending, tail, ackedSeq } = log
  const { batchSeq: lastBatchSeq, seq: lastSeq, hash: lastHash } = lastOf(log)
  const bodies = batches.map((batch) => hashOf(batch.bytes))
  return { ...head, lineage, pending, tail, lastBatchSeq, lastSeq, lastHash, ackedSeq, bodies }
}

function hashOf(bytes: Buffer): string {
  return xxhash64(bytes, 0, bytes.length).toString(16)
}

function textOf(value: unknown): string {
  return JSON.stringify(value, (_, each: unknown) => (typeof each === 'bigint' ? `0x${each.toString(16)}` : each))
}

export interface WorkloadCounts {
  orders: number
  crashes: number
  tornStarts: number
  promoted: number
  learned: number
  full: number
}

export class StoreWorkload {
  readonly counts: WorkloadCounts = { orders: 0, crashes: 0, tornStarts: 0, promoted: 0, learned: 0, full: 0 }
  storage: TestStorage
  private readonly prng: Prng
  private readonly tracks: readonly Track[]
  private store: ReplicaStore | null = null
  /** Answers of an older life count for nothing. */
  private life = 0

  constructor(prng: Prng, storageBytes: number, volumes = 3) {
    this.prng = prng
    this.storage = new TestStorage(storageBytes)
    this.tracks = Array.from({ length: volumes }, (_, index) => new Track(`${index + 1}`.repeat(32)))
  }

  async start(): Promise<void> {
    this.store = (await openStore(this.storage)).store
    this.storage.holdWrites = true
  }

  /** One order, or the end of a write. */
  step(): void {
    const { held } = this.storage
    if (held.length > 0 && this.prng.chance(0.6)) this.storage.complete(this.prng.below(held.length))
    else this.order(this.prng.pick(this.tracks))
  }

  /** Power is lost now; the next start is sometimes cut short by another loss. Checks what is found. */
  async crash(): Promise<void> {
    this.life += 1
    this.counts.crashes += 1
    this.storage = this.storage.crash(this.tearing())
    for (let again = this.prng.below(3); again > 0; again--) await this.tornStart()
    await this.start()
    for (const track of this.tracks) await this.check(track)
  }

  /** Ends everything that is on its way and checks the state without a crash. */
  async settle(): Promise<void> {
    this.storage.completeAll()
    for (const track of this.tracks) await this.check(track)
  }

  private tearing(): (sector: number, sectors: number) => boolean {
    let subset: boolean[] = []
    return (sector, sectors) => {
      if (sector === 0) subset = tornSubset(this.prng, sectors)
      return subset[sector] === true
    }
  }

  private async tornStart(): Promise<void> {
    this.counts.tornStarts += 1
    const { storage } = this
    let left = this.prng.below(8)
    const died = new Promise<void>((resolve) => {
      storage.onWrite = () => {
        left -= 1
        if (left > 0) return
        storage.holdWrites = true
        resolve()
      }
    })
    await Promise.race([openStore(storage), died])
    this.storage = storage.crash(this.tearing())
  }

  private async check(track: Track): Promise<void> {
    const volume = this.store?.find(track.uuid) ?? null
    const found = textOf(await shown(volume))
    const possible = track.possible()
    const match = possible.findIndex((model) => textOf(expected(model)) === found)
    if (match === -1) throw new Error([found, ...possible.map((model) => textOf(expected(model)))].join('\nor '))
    track.model = possible[match] ?? null
    track.changes = []
    track.append = null
    track.exclusive = false
    const { log } = track.model ?? NEW_VOLUME
    if (log !== null) {
      const last = lastOf(log)
      track.owner.next = { batchSeq: last.batchSeq + 1, seq: last.seq + 1, previousHash: last.hash }
    }
  }

  private order(track: Track): void {
    if (track.exclusive) return
    this.counts.orders += 1
    if (track.model === null) return this.create(track)
    const isQuiet = track.changes.length === 0 && track.append === null
    if (track.model.log === null || (isQuiet && this.prng.chance(0.04))) return isQuiet ? this.learn(track) : undefined
    if (isQuiet && this.prng.chance(0.02)) return this.discard(track)
    if (isQuiet && track.model.log.pending !== null && this.prng.chance(0.3)) return this.promote(track)
    if (track.append === null && this.prng.chance(0.6)) return this.appendBatch(track, track.model.log)
    if (track.changes.length < CHANGES_MAX) this.change(track, track.model)
  }

  private volumeOf(track: Track): StoredVolume {
    const volume = this.store?.find(track.uuid)
    if (volume == null) throw new Error(`the store has the volume uuid=${track.uuid}`)
    return volume
  }

  /** A change on its way: answered in order. */
  private begin(track: Track, change: Change): (error: Error | null) => void {
    const { life } = this
    track.changes.push(change)
    return (error) => {
      if (life !== this.life) return
      if (track.changes[0] !== change) throw new Error('answers come in order')
      track.changes.shift()
      track.exclusive = false
      if (error === null) track.model = change(track.model)
      else this.mustBeFull(error)
    }
  }

  private mustBeFull(error: Error): void {
    if (!(error instanceof CacheError && error.code === 'CACHE_STORE_FULL')) throw error
    this.counts.full += 1
  }

  private create(track: Track): void {
    track.exclusive = true
    const done = this.begin(track, () => NEW_VOLUME)
    const volume = {
      volume: `v${track.uuid[0]}`,
      volumeUuid: track.uuid,
      volumeKey: Buffer.alloc(32, 1),
      createdBy: 'node-a',
    }
    this.store?.create(volume, (error) => done(error))
  }

  private discard(track: Track): void {
    track.exclusive = true
    this.volumeOf(track).discard(this.begin(track, () => null))
  }

  private learn(track: Track): void {
    const { prng } = this
    track.exclusive = true
    this.counts.learned += 1
    const from = track.owner.next.batchSeq + prng.below(3)
    const begin = { batchSeq: from, seq: from * 10, previousHash: BigInt(prng.u32()) }
    const name = track.newName(Math.max(1, from - prng.below(2)))
    const { epoch, run } = {
      epoch: (track.model?.epoch ?? 0) + prng.below(2),
      run: (track.model?.run ?? 0) + prng.below(2),
    }
    const order = { lineage: [name], begin, logBytes: prng.below(12) * BLOCK, epoch, run }
    const before = track.owner.next
    track.owner.next = begin
    track.owner.name = name
    track.owner.ackedSeq = 0
    const done = this.begin(track, (model) => ({
      promise: Math.max(model?.promise ?? 0, epoch),
      epoch,
      run,
      log: { lineage: [name], pending: null, tail: begin, ackedSeq: 0, batches: [] },
    }))
    this.volumeOf(track).learn(order, (error) => {
      done(error)
      if (error !== null) track.owner.next = before
    })
  }

  private promote(track: Track): void {
    const pending = track.model?.log?.pending
    if (pending == null) return
    track.exclusive = true
    this.counts.promoted += 1
    const promoted: Change = (model) => model && { ...model, log: model.log && promoteLog(model.log) }
    const log = promoted(track.model)?.log
    const done = this.begin(track, promoted)
    this.volumeOf(track).promote(pending.logUuid, (error) => {
      done(error)
      if (error !== null || log == null) return
      const last = lastOf(log)
      track.owner.next = { batchSeq: last.batchSeq + 1, seq: last.seq + 1, previousHash: last.hash }
      track.owner.name = pending
    })
  }

  private appendBatch(track: Track, log: LogModel): void {
    const { prng, life } = this
    const { owner } = track
    owner.name = log.lineage.at(-1) ?? owner.name
    const before = owner.next
    // What has been acknowledged never falls behind a promotion: the gathered end holds it.
    if (prng.chance(0.3)) owner.ackedSeq = Math.max(log.ackedSeq, log.tail.seq - 1)
    const batch = owner.make(prng.pick([0, 512, 512, 4096, 8192, 16_384]), 1 + prng.below(3), prng.u32() % 65_536)
    track.append = batch
    this.volumeOf(track).append(bodyOf(batch), (error) => {
      if (life !== this.life) return
      track.append = null
      if (error === null) {
        track.model = track.model && withBatch(track.model, batch)
        return
      }
      this.mustBeFull(error)
      owner.next = before
    })
  }

  private change(track: Track, model: VolumeModel): void {
    const { prng } = this
    const volume = this.volumeOf(track)
    const { log } = model
    const kind = prng.below(4)
    if (kind === 0) {
      const by = prng.below(3)
      const promise = track.changes.reduce((latest, change) => change(latest), track.model)?.promise ?? 0
      volume.update(
        { promise: promise + by },
        this.begin(track, (now) => now && { ...now, promise: promise + by }),
      )
    } else if (kind === 1) {
      const latest = track.changes.reduce((found, change) => change(found), track.model) ?? NEW_VOLUME
      const { epoch, run } = { epoch: latest.epoch, run: latest.run + 1 }
      volume.update(
        { epoch, run },
        this.begin(track, (now) => now && { ...now, epoch, run }),
      )
    } else if (log !== null && log.batches.length > 0 && kind === 2) {
      const { batchSeq } = prng.pick(log.batches)
      volume.trim(
        batchSeq,
        this.begin(track, (now) => now && { ...now, log: now.log && trimLog(now.log, batchSeq) }),
      )
    } else if (log !== null && track.changes.length === 0) {
      const end = lastOf(log).batchSeq + 1
      const pending = track.newName(end - prng.below(Math.min(4, end - log.tail.batchSeq + 1)))
      volume.update(
        { pending },
        this.begin(track, (now) => now && { ...now, log: now.log && { ...now.log, pending } }),
      )
    }
  }
}
