// A simulated disk: the medium, the operations in flight, and what a crash leaves of them. One SimulatedDisk outlives
// processes; attach() gives a process its port (a BackingStorage, which is a Storage too).
//
// Durability. A disk without a volatile cache (the cache device, O_DIRECT|O_DSYNC): a completed write is durable. With
// one (backing): a completed write is visible and becomes durable with the next flush that is submitted after it and
// succeeds; a power cut keeps any subset of the sectors in between.
// Death of a process: what it had submitted is never issued, done wholly, or (rarely) done in part, and ends before a
// successor may start (the predecessor is reaped). Power cut: any subset of the 512-byte sectors of each write in flight.
import { IoError } from '../../base/errors.ts'
import type { Prng } from '../../base/prng.ts'
import { BLOCK_BYTES, type Bytes, SECTOR_BYTES } from '../../base/units.ts'
import type { BackingStorage, ByteRange, IoDone } from '../../csi-driver/io/storage.ts'
import { DiskFaults, tornSubset } from './disk-faults.ts'
import type { Process, World } from './world.ts'

export type DiskOperationKind = 'read' | 'write' | 'zero' | 'flush'

export interface DiskOperation {
  readonly id: number
  readonly kind: DiskOperationKind
  readonly process: Process
  /** Stretches touched; empty for a flush. */
  readonly ranges: readonly ByteRange[]
  /** WRITE: what was submitted, copied. */
  readonly data: Buffer | null
  /** The caller's memory: target of a read, source of a write. */
  readonly buffer: Buffer | null
  readonly start: number
  readonly done: IoDone
  /** FLUSH: covers unflushed writes up to this number. */
  readonly covers: number
  /** What becomes of it after its process died. */
  fate: 'whole' | 'never' | 'part'
}

/** What checkers may watch. All calls come synchronously, before the effect is visible to anybody else. */
export interface DiskWatcher {
  onSubmit?(disk: SimulatedDisk, operation: DiskOperation): void
  /** Sector `sector` of the device is about to change to buffer[at..] (null: zeros). */
  onSector?(disk: SimulatedDisk, sector: number, buffer: Buffer | null, at: number): void
  onEnd?(disk: SimulatedDisk, operation: DiskOperation, error: IoError | null): void
  /** A write has reached the medium, whole or torn: what stands there now is all that there is of it. */
  onLanded?(disk: SimulatedDisk, operation: DiskOperation): void
  /** Everything on it is gone. */
  onWiped?(disk: SimulatedDisk): void
  /** The process changed a buffer that belonged to the disk. */
  onBufferChanged?(disk: SimulatedDisk, operation: DiskOperation): void
}

export interface DiskSettings {
  readonly name: string
  readonly sizeBytes: Bytes
  readonly alignmentBytes: Bytes
  readonly volatileCache: boolean
  readonly canZero: boolean
  /** Mean service time; a twentieth of the operations take ten times as long. */
  readonly latencyMs: number
  readonly megabytesPerSecond: number
  /** Share of reads and writes that end inside the call. */
  readonly synchronousShare: number
}

interface UnflushedWrite {
  readonly number: number
  readonly ranges: readonly ByteRange[]
  readonly data: Buffer | null
}

export class SimulatedDisk {
  readonly settings: DiskSettings
  readonly world: World
  readonly faults = new DiskFaults()
  readonly watchers: DiskWatcher[] = []
  /** What a read returns. */
  readonly visible: Buffer
  /** What is sure to survive a power cut; the same memory without a volatile cache. */
  readonly durable: Buffer
  sizeBytes: Bytes
  readonly inFlight = new Map<number, DiskOperation>()
  operations = 0
  /** Number of the newest write that a flush submitted now would cover. */
  lastUnflushedNumber = 0
  private readonly prng: Prng
  private unflushed: UnflushedWrite[] = []

  constructor(world: World, settings: DiskSettings, content?: { visible: Buffer; durable: Buffer }) {
    this.world = world
    this.settings = settings
    this.sizeBytes = settings.sizeBytes
    this.prng = world.prng.fork(`disk.${settings.name}`)
    this.visible = content?.visible ?? Buffer.alloc(settings.sizeBytes)
    this.durable = settings.volatileCache ? (content?.durable ?? Buffer.from(this.visible)) : this.visible
  }

  get hasUnflushedWrites(): boolean {
    return this.unflushed.length > 0
  }

  /** The port of one process. */
  attach(process: Process): BackingStorage {
    return new DiskPort(this, process)
  }

  hasInFlight(process: Process): boolean {
    for (const operation of this.inFlight.values()) if (operation.process === process) return true
    return false
  }

  /** Decides what becomes of the dead process's operations; they still end at their time. */
  processDied(process: Process): void {
    for (const operation of this.inFlight.values()) {
      if (operation.process !== process || operation.kind === 'read') continue
      const draw = this.prng.float()
      operation.fate = draw < 0.3 ? 'never' : draw < 0.9 ? 'whole' : 'part'
    }
  }

  /**
   * From now on nothing of these processes lands: what they have in flight is done now, wholly or in part, or never.
   * Returns it; nobody was told.
   */
  cutOff(isCut: (process: Process) => boolean): DiskOperation[] {
    const ended: DiskOperation[] = []
    for (const operation of this.inFlight.values()) {
      if (!isCut(operation.process)) continue
      this.inFlight.delete(operation.id)
      ended.push(operation)
      if (operation.kind !== 'write' && operation.kind !== 'zero') continue
      const draw = this.prng.float()
      if (draw < 0.3) this.land(operation, false)
      else if (draw < 0.5) this.land(operation, true)
    }
    return ended
  }

  /** Everything that is not on the medium is gone, torn where it was being written. */
  powerCut(): void {
    this.visible.set(this.settings.volatileCache ? this.powerCutImage() : this.visible)
    for (const operation of this.inFlight.values()) {
      if (operation.kind === 'write' || operation.kind === 'zero') this.land(operation, true)
    }
    this.inFlight.clear()
    this.unflushed = []
    if (this.settings.volatileCache) this.durable.set(this.visible)
  }

  /** One of the images a power cut now could leave, writes in flight not counted. Changes nothing. */
  powerCutImage(prng: Prng = this.prng): Buffer {
    const image = Buffer.from(this.durable)
    if (!this.settings.volatileCache) return image
    const keepShare = prng.pick([0, 0.1, 0.5, 0.9, 1])
    const bySector = prng.chance(0.5)
    for (const write of this.unflushed) {
      const keepsAll = prng.chance(keepShare)
      for (const range of write.ranges) {
        for (let offset = 0; offset < range.length; offset += SECTOR_BYTES) {
          if (!(bySector ? prng.chance(keepShare) : keepsAll)) continue
          applySector(image, range.position + offset, write.data, sourceOffset(write.ranges, range, offset))
        }
      }
    }
    return image
  }

  /** A tenth of what was ever written from `start` on becomes garbage: a power cut may take completed writes there. */
  scramble(start: Bytes): void {
    for (let at = start; at < this.sizeBytes; at += SECTOR_BYTES) {
      const isWritten = this.visible.readUInt32LE(at) !== 0
      if (isWritten && this.prng.chance(0.1)) this.visible.fill(0x5a, at, at + SECTOR_BYTES)
    }
  }

  /** Flips bits in one sector of the medium. */
  corrupt(sector: number): void {
    const at = sector * SECTOR_BYTES + this.prng.below(SECTOR_BYTES)
    this.visible[at] = (this.visible[at] as number) ^ (1 << this.prng.below(8))
    this.faults.injected.corruptSectors++
  }

  submit(operation: DiskOperation): void {
    this.operations++
    this.inFlight.set(operation.id, operation)
    this.world.trace.add(
      this.world.nowMs,
      `${this.settings.name}.${operation.kind}`,
      operation.ranges[0]?.position ?? 0,
      bytesOf(operation),
    )
    for (const watcher of this.watchers) watcher.onSubmit?.(this, operation)
    if (operation.kind === 'read') operation.buffer?.fill(0xee, operation.start, operation.start + bytesOf(operation))
    const isPlain = operation.kind === 'read' || operation.kind === 'write'
    if (isPlain && this.prng.chance(this.settings.synchronousShare) && this.faults.hungUntilMs <= this.world.nowMs) {
      this.end(operation)
      return
    }
    this.world.schedule(this.latencyMs(operation), `${this.settings.name}.end`, () => this.end(operation))
  }

  private latencyMs(operation: DiskOperation): number {
    const { latencyMs, megabytesPerSecond } = this.settings
    const mean = latencyMs * (this.prng.chance(0.05) ? 10 : 1) * this.faults.slowFactor
    const transfer = bytesOf(operation) / (megabytesPerSecond * 1000)
    return mean * (0.5 + this.prng.float()) + transfer
  }

  private end(operation: DiskOperation): void {
    if (this.inFlight.get(operation.id) !== operation) return
    if (this.faults.hungUntilMs > this.world.nowMs) {
      const wait = this.faults.hungUntilMs - this.world.nowMs + this.prng.float()
      this.world.schedule(wait, `${this.settings.name}.end`, () => this.end(operation))
      return
    }
    const { process } = operation
    if (!process.alive && operation.fate !== 'whole') {
      if (operation.fate === 'part' && operation.kind !== 'flush') this.land(operation, true)
      this.inFlight.delete(operation.id)
      return
    }
    const error = this.carryOut(operation)
    this.inFlight.delete(operation.id)
    for (const watcher of this.watchers) watcher.onEnd?.(this, operation, error)
    process.deliver(() => operation.done(error))
  }

  private carryOut(operation: DiskOperation): IoError | null {
    if (this.faults.takeFailure(operation.kind)) return this.fail(operation)
    switch (operation.kind) {
      case 'read':
        this.fill(operation)
        break
      case 'write':
      case 'zero':
        this.checkBuffer(operation)
        this.write(operation)
        break
      case 'flush':
        this.makeDurable(operation.covers)
        break
    }
    return null
  }

  private fail(operation: DiskOperation): IoError {
    this.faults.injected.errors++
    this.faults.lastErrorMs = this.world.nowMs
    if (operation.kind === 'write' || operation.kind === 'zero') this.land(operation, true)
    if (operation.kind === 'flush' && this.faults.failedFlushDrops) {
      this.faults.injected.lostFlushes++
      this.unflushed = this.unflushed.filter((write) => write.number > operation.covers)
    }
    return new IoError(this.faults.code, `simulated failure disk=${this.settings.name} operation=${operation.kind}`)
  }

  private fill(operation: DiskOperation): void {
    const [range] = operation.ranges
    if (range === undefined) return
    // A write in flight may have reached the medium in part by now: what a read has shown of it stays there.
    for (const other of this.inFlight.values()) {
      if (other.kind === 'write' && other.process.alive && overlaps(other.ranges, range)) this.land(other, true)
    }
    operation.buffer?.set(this.visible.subarray(range.position, range.position + range.length), operation.start)
  }

  private checkBuffer(operation: DiskOperation): void {
    const { buffer, data, start, process } = operation
    if (buffer === null || data === null || !process.alive) return
    if (data.compare(buffer, start, start + data.length) === 0) return
    for (const watcher of this.watchers) watcher.onBufferChanged?.(this, operation)
  }

  private write(operation: DiskOperation): void {
    const fate = operation.kind === 'write' ? this.faults.takeWriteFate() : 'done'
    if (fate === 'lost') return
    if (fate === 'misdirected') {
      const [range] = operation.ranges
      if (range === undefined) return
      const places = Math.floor((this.sizeBytes - range.length) / BLOCK_BYTES)
      const position = this.prng.below(places + 1) * BLOCK_BYTES
      this.land({ ...operation, ranges: [{ position, length: range.length }] }, false)
      return
    }
    this.land(operation, false)
  }

  /** Brings a write (or some of its sectors) onto the medium. */
  private land(operation: DiskOperation, torn: boolean): void {
    const sectors = bytesOf(operation) / SECTOR_BYTES
    const arrived = torn ? tornSubset(this.prng, Math.max(1, sectors)) : null
    if (torn) this.faults.injected.tornWrites++
    let index = 0
    for (const range of operation.ranges) {
      for (let offset = 0; offset < range.length; offset += SECTOR_BYTES, index++) {
        if (arrived !== null && arrived[index] !== true) continue
        const position = range.position + offset
        const at = sourceOffset(operation.ranges, range, offset)
        for (const watcher of this.watchers) watcher.onSector?.(this, position / SECTOR_BYTES, operation.data, at)
        applySector(this.visible, position, operation.data, at)
      }
    }
    for (const watcher of this.watchers) watcher.onLanded?.(this, operation)
    if (!this.settings.volatileCache) return
    this.unflushed.push({ number: ++this.lastUnflushedNumber, ...arrivedOnly(operation, arrived) })
  }

  private makeDurable(covers: number): void {
    for (const write of this.unflushed) {
      if (write.number > covers) break
      for (const range of write.ranges) {
        const at = sourceOffset(write.ranges, range, 0)
        if (write.data === null) this.durable.fill(0, range.position, range.position + range.length)
        else this.durable.set(write.data.subarray(at, at + range.length), range.position)
      }
    }
    this.unflushed = this.unflushed.filter((write) => write.number > covers)
  }
}

/** The sectors that arrived, as ranges of their own with their data. */
function arrivedOnly(
  operation: DiskOperation,
  arrived: boolean[] | null,
): { ranges: readonly ByteRange[]; data: Buffer | null } {
  if (arrived === null) return { ranges: operation.ranges, data: operation.data }
  const ranges: ByteRange[] = []
  const parts: Buffer[] = []
  let index = 0
  for (const range of operation.ranges) {
    for (let offset = 0; offset < range.length; offset += SECTOR_BYTES, index++) {
      if (arrived[index] !== true) continue
      ranges.push({ position: range.position + offset, length: SECTOR_BYTES })
      const at = sourceOffset(operation.ranges, range, offset)
      if (operation.data !== null) parts.push(operation.data.subarray(at, at + SECTOR_BYTES))
    }
  }
  return { ranges, data: operation.data === null ? null : Buffer.concat(parts) }
}

export function bytesOf(operation: DiskOperation): Bytes {
  let bytes = 0
  for (const range of operation.ranges) bytes += range.length
  return bytes
}

export function overlaps(ranges: readonly ByteRange[], other: ByteRange): boolean {
  return ranges.some(
    (range) => range.position < other.position + other.length && other.position < range.position + range.length,
  )
}

/** Where in the operation's data the byte `offset` of `range` stands. */
function sourceOffset(ranges: readonly ByteRange[], range: ByteRange, offset: number): number {
  let at = 0
  for (const each of ranges) {
    if (each === range) break
    at += each.length
  }
  return at + offset
}

function applySector(image: Buffer, position: Bytes, data: Buffer | null, at: number): void {
  if (data === null) image.fill(0, position, position + SECTOR_BYTES)
  else data.copy(image, position, at, at + SECTOR_BYTES)
}

/** One process's view of a disk. */
class DiskPort implements BackingStorage {
  readonly name: string
  readonly alignmentBytes: Bytes
  readonly canZero: boolean
  sizeBytes: Bytes
  private readonly disk: SimulatedDisk
  private readonly process: Process

  constructor(disk: SimulatedDisk, process: Process) {
    this.disk = disk
    this.process = process
    this.name = disk.settings.name
    this.alignmentBytes = disk.settings.alignmentBytes
    this.canZero = disk.settings.canZero
    this.sizeBytes = disk.sizeBytes
  }

  read(buffer: Buffer, start: number, length: Bytes, position: Bytes, done: IoDone): void {
    this.start({ kind: 'read', ranges: [{ position, length }], data: null, buffer, start, done })
  }

  write(buffer: Buffer, start: number, length: Bytes, position: Bytes, done: IoDone): void {
    const data = Buffer.from(buffer.subarray(start, start + length))
    this.start({ kind: 'write', ranges: [{ position, length }], data, buffer, start, done })
  }

  zero(ranges: readonly ByteRange[], done: IoDone): void {
    this.start({
      kind: 'zero',
      ranges: ranges.map((range) => ({ ...range })),
      data: null,
      buffer: null,
      start: 0,
      done,
    })
  }

  flush(done: IoDone): void {
    this.start({ kind: 'flush', ranges: [], data: null, buffer: null, start: 0, done })
  }

  close(done: IoDone): void {
    this.process.effect(() => {})
    const wait = (): void => {
      if (!this.process.alive) return
      if (this.disk.hasInFlight(this.process)) this.disk.world.schedule(0.1, `${this.name}.close`, wait)
      else this.process.deliver(() => done(null))
    }
    this.disk.world.schedule(0.1, `${this.name}.close`, wait)
  }

  refreshSize(done: IoDone): void {
    this.process.effect(() => {
      this.disk.world.schedule(0.1, `${this.name}.size`, () => {
        this.process.deliver(() => {
          this.sizeBytes = this.disk.sizeBytes
          done(null)
        })
      })
    })
  }

  private start(operation: Omit<DiskOperation, 'id' | 'process' | 'covers' | 'fate'>): void {
    this.process.effect(() => {
      const problem = this.problemOf(operation)
      if (problem !== null) {
        this.refuse(operation.done, problem)
        return
      }
      this.disk.submit({
        ...operation,
        id: this.disk.operations + 1,
        process: this.process,
        covers: this.disk.lastUnflushedNumber,
        fate: 'whole',
      })
    })
  }

  private refuse(done: IoDone, problem: string): void {
    const error = new IoError('EINVAL', `${problem} disk=${this.name}`)
    this.disk.world.schedule(0, `${this.name}.invalid`, () => {
      this.process.deliver(() => done(error))
    })
  }

  private problemOf(operation: {
    kind: DiskOperationKind
    ranges: readonly ByteRange[]
    buffer: Buffer | null
    start: number
  }): string | null {
    const alignment = operation.kind === 'zero' ? BLOCK_BYTES : this.alignmentBytes
    for (const { position, length } of operation.ranges) {
      if (length <= 0 || position < 0 || position + length > this.disk.sizeBytes)
        return `outside of the disk position=${position} length=${length}`
      if (position % alignment !== 0 || length % alignment !== 0)
        return `not aligned position=${position} length=${length}`
      if (operation.buffer !== null && operation.start + length > operation.buffer.length)
        return `buffer too small length=${length}`
    }
    if (operation.buffer !== null && (operation.buffer.byteOffset + operation.start) % SECTOR_BYTES !== 0)
      return 'memory not aligned'
    return operation.kind === 'zero' && !this.canZero ? 'zero is not supported' : null
  }
}
