// A scene made by hand for the tests of the checkers: two small disks, an oracle, and a process that drives them
// directly, without an engine in between.
import { BLOCK_BYTES, KIB, SECTOR_BYTES } from '../../../base/units.ts'
import type { BackingStorage } from '../../../csi-driver/io/storage.ts'
import { fillSectors, INITIAL_ID } from '../content.ts'
import { type DiskSettings, SimulatedDisk } from '../disk.ts'
import { Oracle } from '../oracle.ts'
import { Report } from '../report.ts'
import { Process, World } from '../world.ts'
import type { DeviceMode, Scene, UserOperation } from './checker.ts'

export const STAGE_SECTORS = 64
export const LOG_START = 32 * KIB
const LOG_BYTES = 64 * KIB

export class Stage {
  readonly world = new World('stage')
  readonly report = new Report(this.world.trace, () => this.world.nowMs)
  readonly oracle = new Oracle(STAGE_SECTORS)
  readonly cache = new SimulatedDisk(this.world, disk('cache', LOG_START + LOG_BYTES, false))
  readonly backing = new SimulatedDisk(this.world, disk('backing', STAGE_SECTORS * SECTOR_BYTES, true))
  mode: DeviceMode = 'write-through'
  registerDirty = true
  beyondBudget = false
  largestWriteBytes = 4 * KIB
  readonly scene: Scene
  process: Process
  cachePort: BackingStorage
  backingPort: BackingStorage
  private lastId = 0

  constructor() {
    fillSectors(this.backing.visible, 0, INITIAL_ID, 0, STAGE_SECTORS)
    this.backing.durable.set(this.backing.visible)
    // oxlint-disable-next-line typescript/no-this-alias -- the scene's getters look at the stage of the moment
    const stage = this
    this.scene = {
      world: this.world,
      report: this.report,
      oracle: this.oracle,
      cache: this.cache,
      backing: this.backing,
      logStart: LOG_START,
      logEnd: LOG_START + LOG_BYTES,
      dirtyLimitBytes: 16 * KIB,
      largestWriteBytes: this.largestWriteBytes,
      deviceMode: () => this.mode,
      registerDirty: () => this.registerDirty,
      get beyondBudget() {
        return stage.beyondBudget
      },
    }
    this.process = this.newProcess()
    this.cachePort = this.cache.attach(this.process)
    this.backingPort = this.backing.attach(this.process)
  }

  /** The next life of an engine; the one before keeps what it has in flight. */
  restart(): void {
    this.process = this.newProcess()
    this.cachePort = this.cache.attach(this.process)
    this.backingPort = this.backing.attach(this.process)
  }

  /** A user's write, not acknowledged. */
  submit(kind: 'write' | 'zero', firstSector: number, sectors: number, forceUnitAccess = false): UserOperation {
    const id = ++this.lastId
    const submittedAt = this.world.tick()
    this.oracle.submitted(id, kind, firstSector, sectors, submittedAt)
    return { id, kind, firstSector, sectors, forceUnitAccess, submittedAt, submittedMs: this.world.nowMs }
  }

  acknowledge(operation: UserOperation, firm = true): void {
    this.oracle.acknowledged(operation.id, firm, this.world.tick())
  }

  /** A block of memory with the content of an operation from `firstSector` on. */
  content(id: number, firstSector: number, sectors: number): Buffer {
    const buffer = Buffer.from(new ArrayBuffer(Math.max(BLOCK_BYTES, sectors * SECTOR_BYTES)))
    fillSectors(buffer, 0, id, firstSector, sectors)
    return buffer
  }

  /** Writes an operation's data to the log, at a block of the ring. */
  log({ id, firstSector, sectors }: UserOperation, block: number): Promise<void> {
    const buffer = this.content(id, firstSector, sectors)
    return this.ended((done) =>
      this.cachePort.write(buffer, 0, sectors * SECTOR_BYTES, LOG_START + block * BLOCK_BYTES, done),
    )
  }

  /** Writes an operation's data where it belongs. */
  destage({ id, firstSector, sectors }: UserOperation): Promise<void> {
    const buffer = this.content(id, firstSector, sectors)
    return this.ended((done) =>
      this.backingPort.write(buffer, 0, sectors * SECTOR_BYTES, firstSector * SECTOR_BYTES, done),
    )
  }

  flush(): Promise<void> {
    return this.ended((done) => this.backingPort.flush(done))
  }

  async ended(call: (done: (error: Error | null) => void) => void): Promise<void> {
    let over = false
    call((error) => {
      if (error !== null) throw error
      over = true
    })
    await this.world.run(() => over, 60_000)
  }

  /** Names of the checkers that found something. */
  get found(): string[] {
    return this.report.violations.map(({ checker }) => checker)
  }

  private newProcess(): Process {
    const process = new Process(this.world, 'engine', { monotonicMs: 0, bootMs: 0, wallMs: 0 }, () => {
      this.cache.processDied(process)
      this.backing.processDied(process)
    })
    return process
  }
}

function disk(name: string, sizeBytes: number, volatileCache: boolean): DiskSettings {
  return {
    name,
    sizeBytes,
    alignmentBytes: SECTOR_BYTES,
    volatileCache,
    canZero: true,
    latencyMs: 1,
    megabytesPerSecond: 100,
    synchronousShare: 0,
  }
}
