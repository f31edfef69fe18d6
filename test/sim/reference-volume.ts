// A small write-back volume that does the simplest thing that is right: every write goes through a log in a format of
// its own, everything un-destaged is kept in memory, one generation at a time is destaged by one write after the other.
// It is there to prove the simulator itself: as it is it must pass every seed, with one of its planted bugs switched on
// it must fail by the checker that stands for it.
import { crc32 } from '../../base/crc32.ts'
import { CacheError, type IoError } from '../../base/errors.ts'
import { BLOCK_BYTES, KIB, roundUp, SECTOR_BYTES } from '../../base/units.ts'
import {
  REQUEST_EIO,
  REQUEST_FLUSH,
  REQUEST_OK,
  REQUEST_READ,
  REQUEST_ZERO,
  type Request,
} from '../../csi-driver/engine/request.ts'
import type { VolumePorts, VolumeSettings, WritePolicy } from '../../csi-driver/engine/volume-settings.ts'
import type { Storage } from '../../csi-driver/io/storage.ts'
import type { RegisterRecord } from '../../csi-driver/register/record.ts'
import type { VolumeStatus } from './checkers/checker.ts'
import type { SimulatedVolume } from './machine.ts'
import { type Checkpoint, type Frame, readHeader, writeHeader } from './reference-format.ts'

export type ReferenceBug =
  | 'none'
  | 'ack-before-log-write'
  | 'trim-before-flush'
  | 'read-uncommitted'
  | 'wrong-buffer'
  | 'two-destages'
  | 'stale-after-settle'
  | 'clean-too-early'
  | 'lost-wakeup'
  | 'torn-frame-accepted'

const LOG_START = 32 * KIB
const RECORDS_MAX = 20
const PAYLOAD_MAX = 1024 * KIB
const RETRY_MS = 50

interface Pending {
  readonly request: Request
  readonly data: Buffer | null
}

/** The newest version of a sector: its bytes (null: zeros) and the batch that holds it. */
interface Kept {
  readonly data: Buffer | null
  readonly batch: number
}

export function openReferenceVolume(bug: ReferenceBug = 'none') {
  return async (ports: VolumePorts, settings: VolumeSettings): Promise<SimulatedVolume> => {
    const volume = new ReferenceVolume(ports, settings, bug)
    await volume.open()
    return volume
  }
}

class ReferenceVolume implements SimulatedVolume {
  private readonly ports: VolumePorts
  private readonly settings: VolumeSettings
  private readonly bug: ReferenceBug
  private readonly kept = new Map<number, Kept>()
  private readonly known = new Set<string>()
  private record: RegisterRecord | null = null
  private waiting: Pending[] = []
  private committing: Pending[] = []
  private checkpoint: Checkpoint = { generation: 0, log: 0, batch: 0, position: LOG_START, run: 0 }
  private head = LOG_START
  private usedBytes = 0
  private batch = 0
  private logging = false
  private destaging = false
  private trimAllowed = true
  private through = false
  private stopped = false
  private readonly frame: Buffer
  private idle: (() => void)[] = []

  constructor(ports: VolumePorts, settings: VolumeSettings, bug: ReferenceBug) {
    this.ports = ports
    this.settings = settings
    this.bug = bug
    this.frame = ports.memory.allocate(BLOCK_BYTES + PAYLOAD_MAX)
    this.through = settings.writePolicy === 'write-through'
  }

  async open(): Promise<void> {
    const { start } = this.settings
    this.trimAllowed = start === 'first'
    this.record = await this.readRegister()
    await this.recover()
    if (start === 'first') await this.change({ epoch: (this.record?.epoch ?? 0) + 1, phase: 'WriteBack', dirty: true })
    await this.writeCheckpoint({ ...this.checkpoint, run: this.checkpoint.run + 1 })
  }

  submit(request: Request): void {
    if (request.kind === REQUEST_READ) {
      void this.read(request)
      return
    }
    if (request.kind === REQUEST_FLUSH) {
      request.complete(REQUEST_OK)
      return
    }
    if (request.resent && this.known.has(this.nameOf(request))) {
      request.complete(REQUEST_OK)
      return
    }
    const zero = request.kind === REQUEST_ZERO
    const data = zero ? null : Buffer.from(request.data.subarray(request.dataStart, request.dataStart + request.length))
    this.waiting.push({ request, data })
  }

  kick(): void {
    void this.pump()
  }

  resendDrained(): void {
    this.trimAllowed = true
    this.kick()
  }

  status(): VolumeStatus {
    const epoch = this.record?.epoch ?? 0
    return {
      phase: this.through ? 'WriteThrough' : 'WriteBack',
      epoch,
      run: this.checkpoint.run,
      dirtyBytes: this.kept.size * SECTOR_BYTES,
      logUsedBytes: this.usedBytes,
      logBytes: this.settings.logBytes,
    }
  }

  async setPolicy(policy: WritePolicy): Promise<void> {
    if (policy === 'write-through') this.through = true
    await this.drain()
    if (policy === 'write-back') this.through = false
  }

  async drain(): Promise<void> {
    while (this.kept.size > 0 || this.logging || this.destaging) {
      if (!this.destaging) void this.destage()
      await new Promise<void>((resolve) => this.idle.push(resolve))
    }
  }

  async close(): Promise<void> {
    if (this.bug === 'clean-too-early') await this.change({ phase: 'WriteThrough', dirty: false })
    await this.drain()
    this.stopped = true
    await this.change({ phase: 'Detached', dirty: false })
  }

  attached(): Promise<void> {
    return this.ports.writeCache.setWriteCache('write-through')
  }

  async suspend(): Promise<void> {
    this.stopped = true
    while (this.logging || this.destaging) await new Promise<void>((resolve) => this.idle.push(resolve))
  }

  private async pump(): Promise<void> {
    if (this.logging || this.stopped || this.waiting.length === 0) return
    if (this.kept.size * SECTOR_BYTES > this.settings.dirtyLimitBytes || this.usedBytes > this.settings.logBytes / 2) {
      void this.destage()
      return
    }
    this.logging = true
    this.takeBatch()
    await this.append()
    if (this.through) await this.destage()
    for (const { request } of this.committing) if (this.bug !== 'ack-before-log-write') request.complete(REQUEST_OK)
    this.committing = []
    this.logging = false
    this.wake()
    this.kick()
  }

  private takeBatch(): void {
    let bytes = 0
    while (this.waiting.length > 0 && this.committing.length < RECORDS_MAX) {
      const next = this.waiting[0] as Pending
      const { length } = next.request
      const room = Math.max(this.settings.dirtyLimitBytes - this.kept.size * SECTOR_BYTES, 0)
      if (bytes > 0 && bytes + length > Math.min(PAYLOAD_MAX, room)) break
      bytes += length
      this.committing.push(next)
      this.waiting.shift()
    }
  }

  private async append(): Promise<void> {
    const { committing, frame } = this
    if (this.bug === 'ack-before-log-write') for (const { request } of committing) request.complete(REQUEST_OK)
    let end = BLOCK_BYTES
    for (const { data } of committing) {
      if (data === null) continue
      data.copy(frame, end)
      end += data.length
    }
    const payloadBytes = end - BLOCK_BYTES
    const header: Frame = {
      log: this.checkpoint.log,
      batch: ++this.batch,
      session: String(this.settings.session),
      records: committing.map(({ request, data }) => ({
        sector: request.offset / SECTOR_BYTES,
        sectors: request.length / SECTOR_BYTES,
        zero: data === null,
        unique: request.uniqueLow,
      })),
      payloadBytes,
      payloadCrc: crc32(frame, BLOCK_BYTES, end),
    }
    writeHeader(frame, header)
    const length = BLOCK_BYTES + roundUp(payloadBytes, BLOCK_BYTES)
    const position = this.head + length > LOG_START + this.settings.logBytes ? LOG_START : this.head
    const done = this.attempt('cache', (storage, done) => storage.write(frame, 0, length, position, done))
    if (this.bug === 'wrong-buffer') this.ports.timers.after(0.02, () => frame.fill(0, BLOCK_BYTES, end))
    await done
    this.head = position + length
    this.usedBytes += length
    this.apply(committing, this.batch)
  }

  private apply(committed: readonly Pending[], batch: number): void {
    for (const { request, data } of committed) {
      const first = request.offset / SECTOR_BYTES
      for (let i = 0; i < request.length / SECTOR_BYTES; i++) {
        this.kept.set(first + i, { data: data?.subarray(i * SECTOR_BYTES, (i + 1) * SECTOR_BYTES) ?? null, batch })
      }
    }
  }

  private async destage(): Promise<void> {
    if (this.destaging && this.bug !== 'two-destages') return
    if (this.kept.size === 0) return
    this.destaging = true
    const through = this.batch
    const { head } = this
    const generation = [...this.kept].filter(([, { batch }]) => batch <= through).sort(([a], [b]) => a - b)
    const superblock = { ...this.checkpoint, batch: through, position: head }
    if (this.bug === 'trim-before-flush' && this.trimAllowed) await this.writeCheckpoint(superblock)
    // A failed flush may have dropped what it should have covered: only writing it all again makes the next one count.
    do await this.writeGeneration(generation)
    while (this.bug !== 'trim-before-flush' && !(await this.flushed()))
    for (const [sector, kept] of generation) {
      if (this.kept.get(sector) === kept || this.bug === 'stale-after-settle') this.kept.delete(sector)
    }
    while (!this.trimAllowed) await this.pause()
    await this.writeCheckpoint(superblock)
    this.usedBytes = this.batch === through ? 0 : this.usedBytes / 2
    this.destaging = false
    this.wake()
    if (this.bug !== 'lost-wakeup') this.kick()
  }

  /** One backing write at a time, whole blocks joined; sectors between are left alone. */
  private async writeGeneration(generation: readonly [number, Kept][]): Promise<void> {
    const buffer = this.ports.memory.allocate(BLOCK_BYTES)
    const unit = this.settings.sectorBytes / SECTOR_BYTES
    for (let i = 0; i < generation.length; ) {
      const [first] = generation[i] as [number, Kept]
      let count = 0
      while (count < 8 && generation[i + count]?.[0] === first + count && (count === 0 || (first + count) % 8 !== 0)) {
        const { data } = (generation[i + count] as [number, Kept])[1]
        if (data === null) buffer.fill(0, count * SECTOR_BYTES, (count + 1) * SECTOR_BYTES)
        else data.copy(buffer, count * SECTOR_BYTES)
        count++
      }
      if (count % unit !== 0) throw new Error('a generation is made of whole units')
      await this.attempt('backing', (storage, done) =>
        storage.write(buffer, 0, count * SECTOR_BYTES, first * SECTOR_BYTES, done),
      )
      i += count
    }
  }

  private async read(request: Request): Promise<void> {
    const { data, dataStart, offset, length } = request
    const before = this.versions(offset, length)
    const result = await new Promise<IoError | null>((resolve) =>
      this.ports.backing.read(data, dataStart, length, offset, resolve),
    )
    if (result !== null) {
      request.complete(REQUEST_EIO)
      return
    }
    for (const versions of [before, this.versions(offset, length)]) {
      for (const [index, kept] of versions) {
        const at = dataStart + index * SECTOR_BYTES
        if (kept.data === null) data.fill(0, at, at + SECTOR_BYTES)
        else kept.data.copy(data, at)
      }
    }
    request.complete(REQUEST_OK)
  }

  private versions(offset: number, length: number): [number, Kept][] {
    const found: [number, Kept][] = []
    for (let i = 0; i < length / SECTOR_BYTES; i++) {
      const kept = this.kept.get(offset / SECTOR_BYTES + i)
      if (kept !== undefined) found.push([i, kept])
      if (this.bug === 'read-uncommitted') found.push(...this.uncommitted(offset / SECTOR_BYTES + i, i))
    }
    return found
  }

  private uncommitted(sector: number, index: number): [number, Kept][] {
    const found: [number, Kept][] = []
    for (const { request, data } of this.committing) {
      const at = sector * SECTOR_BYTES - request.offset
      if (at < 0 || at >= request.length) continue
      found.push([index, { data: data?.subarray(at, at + SECTOR_BYTES) ?? null, batch: 0 }])
    }
    return found
  }

  private nameOf(request: Request): string {
    return `${this.settings.session}/${request.uniqueLow}`
  }

  private wake(): void {
    const { idle } = this
    this.idle = []
    for (const resume of idle) resume()
  }

  private pause(): Promise<void> {
    return new Promise((resolve) => {
      this.ports.timers.after(RETRY_MS, resolve)
    })
  }

  /** Repeats a call of a disk until it succeeds. */
  private async attempt(
    disk: 'cache' | 'backing',
    call: (storage: Storage, done: (error: IoError | null) => void) => void,
  ): Promise<void> {
    for (;;) {
      const error = await new Promise<IoError | null>((resolve) => call(this.ports[disk], resolve))
      if (error === null) return
      await this.pause()
    }
  }

  private async flushed(): Promise<boolean> {
    const error = await new Promise<IoError | null>((resolve) => this.ports.backing.flush(resolve))
    if (error !== null) await this.pause()
    return error === null
  }

  private async writeCheckpoint(checkpoint: Checkpoint): Promise<void> {
    this.checkpoint = { ...checkpoint, generation: this.checkpoint.generation + 1 }
    const slot = this.ports.memory.allocate(BLOCK_BYTES)
    writeHeader(slot, this.checkpoint)
    const position = (this.checkpoint.generation % 4) * 8 * KIB
    await this.attempt('cache', (storage, done) => storage.write(slot, 0, BLOCK_BYTES, position, done))
  }

  private async recover(): Promise<void> {
    const buffer = this.ports.memory.allocate(BLOCK_BYTES + PAYLOAD_MAX)
    for (let slot = 0; slot < 4; slot++) {
      await this.attempt('cache', (storage, done) => storage.read(buffer, 0, BLOCK_BYTES, slot * 8 * KIB, done))
      const found = readHeader(buffer) as Checkpoint | null
      if (found !== null && found.generation > this.checkpoint.generation) this.checkpoint = found
    }
    if (this.record?.dirty === true && this.checkpoint.generation === 0) {
      throw new CacheError('corrupt', 'CACHE_BLOCKED', 'the register says dirty and the cache is empty')
    }
    this.batch = this.checkpoint.batch
    this.head = this.checkpoint.position
    while (await this.replayNext(buffer, this.head)) continue
    // A new log number, so that frames of the old one beyond the end are never taken for new ones.
    if (this.settings.start === 'first' && this.kept.size > 0) await this.destageAll()
  }

  private async destageAll(): Promise<void> {
    this.trimAllowed = true
    await this.destage()
  }

  private async replayNext(buffer: Buffer, position: number): Promise<boolean> {
    for (const at of [position, LOG_START]) {
      if (at + BLOCK_BYTES > LOG_START + this.settings.logBytes) continue
      const length = Math.min(BLOCK_BYTES + PAYLOAD_MAX, LOG_START + this.settings.logBytes - at)
      await this.attempt('cache', (storage, done) => storage.read(buffer, 0, length, at, done))
      const frame = readHeader(buffer) as Frame | null
      if (frame === null || frame.batch !== this.batch + 1) continue
      const end = BLOCK_BYTES + frame.payloadBytes
      if (crc32(buffer, BLOCK_BYTES, end) !== frame.payloadCrc && this.bug !== 'torn-frame-accepted') continue
      this.replay(frame, buffer)
      this.head = at + BLOCK_BYTES + roundUp(frame.payloadBytes, BLOCK_BYTES)
      this.usedBytes += this.head - at
      return true
    }
    return false
  }

  private replay(frame: Frame, buffer: Buffer): void {
    this.batch = frame.batch
    let at = BLOCK_BYTES
    for (const { sector, sectors, zero, unique } of frame.records) {
      this.known.add(`${frame.session}/${unique}`)
      for (let i = 0; i < sectors; i++) {
        const data = zero ? null : Buffer.from(buffer.subarray(at, at + SECTOR_BYTES))
        if (!zero) at += SECTOR_BYTES
        this.kept.set(sector + i, { data, batch: frame.batch })
      }
    }
  }

  private async readRegister(): Promise<RegisterRecord | null> {
    for (;;) {
      try {
        return await this.ports.register.read()
      } catch (error) {
        if (!(error instanceof CacheError) || error.kind !== 'retry') throw error
        await this.pause()
      }
    }
  }

  /** Changes the register and comes back when it is settled. */
  private async change(fields: Partial<RegisterRecord>): Promise<void> {
    for (let attempt = 0; ; attempt++) {
      const present = await this.readRegister()
      const next: RegisterRecord = {
        ...(present ?? this.firstRecord()),
        ...fields,
        rv: (present?.rv ?? 0) + 1,
        changeId: (attempt * 1000 + (present?.rv ?? 0)).toString(16).padStart(16, '0'),
      }
      try {
        if ((await this.ports.register.compareAndSwap(present?.rv ?? 0, next)) === 'applied') {
          this.record = next
          return
        }
      } catch (error) {
        if (!(error instanceof CacheError) || error.kind !== 'retry') throw error
      }
      await this.pause()
    }
  }

  private firstRecord(): RegisterRecord {
    return {
      formatVersion: 1,
      volume: this.settings.volume,
      volumeUuid: '1'.repeat(32),
      registerNonce: '2'.repeat(32),
      rv: 0,
      changeId: '0'.repeat(16),
      epoch: 0,
      owner: this.settings.node,
      logUuid: '0000000000000001'.padEnd(32, '3'),
      members: [{ node: this.settings.node, storeUuid: '4'.repeat(32), incarnation: 1 }],
      phase: 'Opening',
      previousPhase: 'Detached',
      dirty: true,
      unfenced: [],
      lastSeq: 0,
      volumeKey: '5'.repeat(64),
      backing: this.settings.backingIdentity,
    }
  }
}
