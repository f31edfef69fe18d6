// What the engine's tests share: one small machine (time that stands still until a test moves it, a cache and a backing
// in memory whose operations can be held back or made to fail, a register in memory), volumes opened on it, requests
// that remember their answer. Everything answers at once unless a test says otherwise.
import { CacheError, IoError } from '../../../../base/errors.ts'
import { MemoryEventLog } from '../../../../base/log.ts'
import { createPrng } from '../../../../base/prng.ts'
import { KIB, MIB } from '../../../../base/units.ts'
import { frameBytesMaxFor } from '../../../../csi-driver/batch/batch-format.ts'
import { BackingStore } from '../../../../csi-driver/backing/backing-store.ts'
import { makeTables } from '../../../../csi-driver/engine/cache-layout.ts'
import { EngineCore } from '../../../../csi-driver/engine/engine-core.ts'
import type { Request, RequestKind, RequestResult } from '../../../../csi-driver/engine/request.ts'
import { REQUEST_FLUSH, REQUEST_READ, REQUEST_WRITE, REQUEST_ZERO } from '../../../../csi-driver/engine/request.ts'
import { openVolume, type Volume } from '../../../../csi-driver/engine/volume.ts'
import type { VolumePorts, VolumeSettings } from '../../../../csi-driver/engine/volume-settings.ts'
import type { AlignedMemory, BackingStorage, ByteRange, IoDone } from '../../../../csi-driver/io/storage.ts'
import { formatJournal, openJournal, SUPERBLOCK_AREA_BYTES } from '../../../../csi-driver/journal/journal.ts'
import { LOG_FRAMES_MIN } from '../../../../csi-driver/journal/superblock.ts'
import type { Phase, RegisterRecord } from '../../../../csi-driver/register/record.ts'
import { MemoryRegister } from '../../../../csi-driver/register/memory-register.ts'
import type { CasReply, Register } from '../../../../csi-driver/register/register.ts'
import { noFence } from '../../../../csi-driver/fencing/no-fence.ts'
import { RememberedDoubts } from '../../../sim/remembered-doubts.ts'
import { settle, TestTime } from './test-time.ts'

export { settle, TestTime } from './test-time.ts'

export const PAYLOAD_BYTES_MAX = 64 * KIB
export const LOG_BYTES = LOG_FRAMES_MIN * frameBytesMaxFor(PAYLOAD_BYTES_MAX)
export const SLOTS = 64
export const CACHE_BYTES = SUPERBLOCK_AREA_BYTES + LOG_BYTES + SLOTS * 4096
export const VOLUME_BYTES = MIB
/** First byte behind the log ring. */
export const SLOTS_START = SUPERBLOCK_AREA_BYTES + LOG_BYTES

export const heapMemory: AlignedMemory = { allocate: (length) => Buffer.alloc(length) }

export type OperationKind = 'read' | 'write' | 'zero' | 'flush'

export interface HeldOperation {
  readonly kind: OperationKind
  readonly position: number
  readonly length: number
  /** Carries it out and answers; with an error only answers. */
  complete(error?: IoError): void
}

/** Bytes in memory. Operations end inside the call, unless their kind is held. */
export class TestStorage implements BackingStorage {
  readonly name: string
  readonly alignmentBytes: number
  bytes: Buffer
  canZero = true
  /** What `refreshSize` will find. */
  grownBytes = 0
  /** Every operation that was begun: `write 4096+512`. */
  readonly begun: string[] = []
  readonly held: HeldOperation[] = []
  closed = false
  private readonly holding = new Set<OperationKind>()
  private readonly failing: { kind: OperationKind; times: number; code: string; from: number; to: number }[] = []

  constructor(name: string, sizeBytes: number, alignmentBytes = 512) {
    this.name = name
    this.alignmentBytes = alignmentBytes
    this.bytes = Buffer.alloc(sizeBytes)
  }

  get sizeBytes(): number {
    return this.bytes.length
  }

  hold(...kinds: OperationKind[]): void {
    for (const kind of kinds) this.holding.add(kind)
  }

  /** Stops holding and completes what is held, also what that starts. */
  letGo(): void {
    this.holding.clear()
    this.completeAll()
  }

  completeAll(): void {
    while (this.held.length > 0) this.held[0]?.complete()
  }

  /** The next `times` operations of that kind inside [from, to) fail. */
  fail(kind: OperationKind, times = 1, options: { code?: string; from?: number; to?: number } = {}): void {
    this.failing.push({ kind, times, code: options.code ?? 'EIO', from: options.from ?? 0, to: options.to ?? Infinity })
  }

  heal(): void {
    this.failing.length = 0
  }

  /** What was held is never done: the process that asked for it is gone. */
  drop(): void {
    this.held.length = 0
    this.holding.clear()
    this.failing.length = 0
    this.closed = false
  }

  count(kind: OperationKind): number {
    return this.begun.filter((line) => line.startsWith(kind)).length
  }

  // oxlint-disable-next-line eslint/max-params -- the signature of Storage
  read(buffer: Buffer, start: number, length: number, position: number, done: IoDone): void {
    this.check(length, position, start + length <= buffer.length)
    this.begin('read', position, length, done, () => void this.bytes.copy(buffer, start, position, position + length))
  }

  // oxlint-disable-next-line eslint/max-params -- the signature of Storage
  write(buffer: Buffer, start: number, length: number, position: number, done: IoDone): void {
    this.check(length, position, start + length <= buffer.length)
    const data = Buffer.from(buffer.subarray(start, start + length))
    this.begin('write', position, length, done, () => void data.copy(this.bytes, position))
  }

  zero(ranges: readonly ByteRange[], done: IoDone): void {
    const first = ranges[0]?.position ?? 0
    this.begin(
      'zero',
      first,
      ranges.reduce((sum, range) => sum + range.length, 0),
      done,
      () => {
        for (const { position, length } of ranges) this.bytes.fill(0, position, position + length)
      },
    )
  }

  flush(done: IoDone): void {
    this.begin('flush', 0, 0, done, () => undefined)
  }

  refreshSize(done: IoDone): void {
    if (this.grownBytes > 0) this.bytes = Buffer.concat([this.bytes, Buffer.alloc(this.grownBytes - this.bytes.length)])
    done(null)
  }

  close(done: IoDone): void {
    this.closed = true
    done(null)
  }

  private check(length: number, position: number, inside: boolean): void {
    const aligned = length % this.alignmentBytes === 0 && position % this.alignmentBytes === 0 && length > 0
    if (this.closed) throw new Error(`${this.name} is used after close position=${position}`)
    if (!aligned || !inside || position + length > this.sizeBytes) {
      throw new Error(`illegal transfer of ${this.name} position=${position} length=${length}`)
    }
  }

  // oxlint-disable-next-line eslint/max-params -- one operation
  private begin(kind: OperationKind, position: number, length: number, done: IoDone, act: () => void): void {
    this.begun.push(`${kind} ${position}+${length}`)
    const failure = this.failing.find(
      (one) => one.kind === kind && one.times > 0 && one.from <= position && position < one.to,
    )
    if (failure !== undefined) failure.times -= 1
    const operation: HeldOperation = {
      kind,
      position,
      length,
      complete: (given) => {
        const at = this.held.indexOf(operation)
        if (at >= 0) this.held.splice(at, 1)
        const error =
          given ?? (failure === undefined ? null : new IoError(failure.code, `${kind} failed storage=${this.name}`))
        if (error === null) act()
        done(error)
      },
    }
    if (this.holding.has(kind)) this.held.push(operation)
    else operation.complete()
  }
}

/** A register that can be held back. */
export class TestRegister implements Register {
  readonly inner = new MemoryRegister()
  /** True: changes wait for `letGo`. */
  holding = false
  unreachable = false
  /** Its directory is there and empty, as where a file system is not mounted. */
  unmounted = false
  private waiting: (() => void)[] = []

  get current(): RegisterRecord | null {
    return this.inner.current
  }

  get phases(): (Phase | undefined)[] {
    return this.inner.history().map((record) => record.phase)
  }

  get waitingChanges(): number {
    return this.waiting.length
  }

  read(): Promise<RegisterRecord | null> {
    if (this.unreachable) return Promise.reject(unreachable())
    return this.unmounted ? Promise.resolve(null) : this.inner.read()
  }

  async compareAndSwap(expectedRv: number, next: RegisterRecord): Promise<CasReply> {
    if (this.holding) await new Promise<void>((resolve) => this.waiting.push(resolve))
    if (this.unreachable) return 'unknown'
    if (this.unmounted) return 'conflict'
    return this.inner.compareAndSwap(expectedRv, next)
  }

  letGo(): void {
    this.holding = false
    const { waiting } = this
    this.waiting = []
    for (const go of waiting) go()
  }
}

function unreachable(): CacheError {
  return new CacheError('retry', 'CACHE_REGISTER_UNAVAILABLE', 'the register does not answer')
}

export class TestRequest implements Request {
  kind: RequestKind
  offset: number
  length: number
  data: Buffer
  dataStart = 0
  mayUnmap = false
  forceUnitAccess = false
  uniqueLow = 0
  uniqueHigh = 0
  resent = false
  result: RequestResult | null = null
  onComplete: (() => void) | null = null

  constructor(kind: RequestKind, offset: number, length: number, data: Buffer) {
    this.kind = kind
    this.offset = offset
    this.length = length
    this.data = data
  }

  complete(result: RequestResult): void {
    if (this.result !== null) throw new Error('a request is answered twice')
    this.result = result
    this.onComplete?.()
  }

  /** A read's bytes. */
  get bytes(): Buffer {
    return this.data.subarray(this.dataStart, this.dataStart + this.length)
  }
}

export function aRead(offset: number, length = 4096): TestRequest {
  return new TestRequest(REQUEST_READ, offset, length, Buffer.alloc(Math.ceil(length / 4096) * 4096 + 4096, 0xee))
}

/** A write of `length` bytes that are all `fill`. */
export function aWrite(offset: number, fill: number, length = 4096): TestRequest {
  return new TestRequest(REQUEST_WRITE, offset, length, Buffer.alloc(length, fill))
}

export function aZero(offset: number, length = 4096): TestRequest {
  return new TestRequest(REQUEST_ZERO, offset, length, Buffer.alloc(0))
}

export function aFlush(): TestRequest {
  return new TestRequest(REQUEST_FLUSH, 0, 0, Buffer.alloc(0))
}

export const SETTINGS: VolumeSettings = {
  volume: 'data',
  node: 'node-1',
  resource: 'flash',
  writePolicy: 'write-back',
  cacheBytes: CACHE_BYTES,
  logBytes: LOG_BYTES,
  dirtyLimitBytes: 512 * KIB,
  batchLimits: { recordsMax: 32, payloadBytesMax: PAYLOAD_BYTES_MAX },
  dirtyAgeMs: 30_000,
  sectorBytes: 512,
  backingIdentity: { kind: 'file', id: 'image', sizeBytes: VOLUME_BYTES },
  session: 7n,
  start: 'first',
  cachePath: 'cache',
  backingPath: 'backing',
  formatCache: false,
  acceptDataLoss: '',
  takeover: false,
  replication: null,
  backingChanged: 'none',
}

export interface MachineOptions {
  readonly cacheBytes?: number
  readonly backingBytes?: number
  readonly backingAlignment?: number
  readonly cacheAlignment?: number
}

/** Disks and register that outlive engines. */
export class TestMachine {
  cache: TestStorage
  backing: TestStorage
  readonly register = new TestRegister()
  readonly log = new MemoryEventLog()
  time = new TestTime()
  writeCache: string[] = []
  readonly doubts = new RememberedDoubts()
  /** Why the device cannot be told; null: it can. */
  writeCacheError: Error | null = null

  constructor(options: MachineOptions = {}) {
    this.cache = new TestStorage('cache', options.cacheBytes ?? CACHE_BYTES, options.cacheAlignment ?? 512)
    this.backing = new TestStorage('backing', options.backingBytes ?? VOLUME_BYTES, options.backingAlignment ?? 512)
  }

  ports(): VolumePorts {
    let byte = 0
    return {
      clock: this.time,
      timers: this.time,
      memory: heapMemory,
      random: {
        fill: (buffer) => {
          for (let i = 0; i < buffer.length; i += 1) buffer[i] = byte++ & 0xff
        },
      },
      prng: createPrng(this.time.nowMs),
      log: this.log,
      cache: this.cache,
      cacheFill: this.cache,
      backing: this.backing,
      register: this.register,
      doubts: this.doubts,
      network: null,
      fence: noFence,
      writeCache: {
        setWriteCache: (mode) => {
          if (this.writeCacheError !== null) return Promise.reject(this.writeCacheError)
          this.writeCache.push(mode)
          return Promise.resolve()
        },
      },
    }
  }

  async open(settings: Partial<VolumeSettings> = {}): Promise<Volume> {
    const identity = { ...SETTINGS.backingIdentity, sizeBytes: this.backing.sizeBytes }
    return openVolume(this.ports(), { ...SETTINGS, backingIdentity: identity, ...settings })
  }

  /** The engine dies: its timers and what it has in flight are gone. */
  crash(): void {
    const { nowMs } = this.time
    this.time.clear()
    this.time = new TestTime()
    this.time.nowMs = nowMs
    this.cache = survivor(this.cache)
    this.backing = survivor(this.backing)
  }

  /** Crash, then the same holder's next engine. */
  restart(settings: Partial<VolumeSettings> = {}): Promise<Volume> {
    this.crash()
    return this.open({ start: 'restart', ...settings })
  }
}

/** The same medium; what the dead process still does with the old object has no effect on it. */
function survivor(old: TestStorage): TestStorage {
  const next = new TestStorage(old.name, old.sizeBytes, old.alignmentBytes)
  old.bytes.copy(next.bytes)
  next.canZero = old.canZero
  return next
}

/** Submits and kicks, as a front end does after it has read a group of requests. */
export function submit(volume: Volume, ...requests: TestRequest[]): void {
  for (const request of requests) volume.submit(request)
  volume.kick()
}

/** Submits one request and gives it back after promises have settled. */
export async function ask(volume: Volume, request: TestRequest): Promise<TestRequest> {
  submit(volume, request)
  await settle()
  return request
}

/** Content of the volume at [offset, offset+length) as its user reads it. */
export async function contentOf(volume: Volume, offset: number, length = 4096): Promise<Buffer> {
  const read = await ask(volume, aRead(offset, length))
  if (read.result !== 0) throw new Error(`read failed result=${String(read.result)} offset=${offset}`)
  return read.bytes
}

/** Waits for a promise while time goes on; fails when it takes longer than `limitMs` of test time. */
export async function during<T>(time: TestTime, promise: Promise<T>, limitMs = 60_000): Promise<T> {
  let over = false
  const ended = promise.finally(() => void (over = true))
  ended.catch(() => undefined)
  for (let waited = 0; !over && waited < limitMs; waited += 50) await time.advance(50)
  if (!over) throw new Error(`not finished within ${limitMs} ms of test time`)
  return ended
}

/** A core with an open, empty journal, for tests of one path alone. */
export async function makeCore(machine: TestMachine, settings: Partial<VolumeSettings> = {}): Promise<EngineCore> {
  const ports = machine.ports()
  const logUuid = '0000000000000001aaaaaaaaaaaaaaaa'
  const geometry = {
    logStart: SUPERBLOCK_AREA_BYTES,
    logBytes: LOG_BYTES,
    cacheBytes: settings.cacheBytes ?? CACHE_BYTES,
    frameBytesMax: frameBytesMaxFor(PAYLOAD_BYTES_MAX),
  }
  const superblock = await formatJournal({
    storage: machine.cache,
    memory: heapMemory,
    superblock: {
      volumeUuid: '1'.repeat(32),
      storeUuid: '2'.repeat(32),
      volumeName: 'data',
      registerNonce: '3'.repeat(32),
      geometry,
      sectorBytes: 512,
      resource: 'flash',
      backing: { kind: 'file', id: 'image', sizeBytes: machine.backing.sizeBytes },
      logUuid,
      wallMs: 0,
      epoch: 1,
      run: 0,
    },
  })
  const journal = await openJournal({
    storage: machine.cache,
    memory: heapMemory,
    superblock,
    onBatch: () => undefined,
  })
  await new Promise<void>((resolve) => journal.updateSuperblock({ run: 1 }, () => resolve()))
  journal.setOwnership({ epoch: 1, run: 1, logUuid })
  const tables = makeTables(geometry)
  return new EngineCore({
    ports,
    settings: { ...SETTINGS, ...settings },
    journal,
    backing: new BackingStore({
      device: machine.backing,
      clock: machine.time,
      timers: machine.time,
      log: machine.log,
      memory: heapMemory,
    }),
    ...tables,
    phase: 'WriteBack',
    epoch: 1,
    run: 1,
    sizeBytes: machine.backing.sizeBytes,
  })
}
