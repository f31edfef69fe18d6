// The slow device that every host of the cluster can reach, and its fence. Writes of a host whose engine has died may
// land late; from the moment a host is cut nothing of it lands any more, and nothing that it asks for succeeds: it gets
// errors, or hears nothing at all (a path that hangs). A host gets the device back only as a new user of it, after what
// its old engines had in flight has ended (PROTOCOL.md 5.3).
import { IoError } from '../../../base/errors.ts'
import type { Prng } from '../../../base/prng.ts'
import type { Bytes } from '../../../base/units.ts'
import type { BackingStorage, ByteRange, IoDone } from '../../../csi-driver/io/storage.ts'
import { type DiskSettings, SimulatedDisk } from '../disk.ts'
import type { Process, World } from '../world.ts'

/** After that a host that is cut gets its error. */
const ERROR_AFTER_MS = 5

export class SharedBacking {
  readonly disk: SimulatedDisk
  private readonly prng: Prng
  private readonly hosts = new Map<Process, string>()
  /** Hosts that are cut, and what they get: errors, or nothing. */
  private readonly cuts = new Map<string, 'errors' | 'silence'>()
  private readonly lastCutMs = new Map<string, number>()

  constructor(world: World, settings: DiskSettings) {
    this.disk = new SimulatedDisk(world, settings)
    this.prng = world.prng.fork('backing.fence')
  }

  /** The device as a process of `host` sees it. */
  attach(process: Process, host: string): BackingStorage {
    this.hosts.set(process, host)
    return new GatedDevice(this, this.disk.attach(process), process)
  }

  hostOf(process: Process): string {
    return this.hosts.get(process) ?? ''
  }

  /** The fence. */
  cut(host: string): void {
    const { world } = this.disk
    const how = this.prng.chance(0.5) ? 'errors' : 'silence'
    this.cuts.set(host, how)
    this.lastCutMs.set(host, world.nowMs)
    for (const { process, done } of this.disk.cutOff((one) => this.hosts.get(one) === host)) {
      if (how === 'errors') this.failLater(process, done)
    }
  }

  isCut(host: string): boolean {
    return this.cuts.has(host)
  }

  /** The host was cut since that time, or is: its I/O errors are no fault of anybody's. */
  cutSince(host: string, ms: number): boolean {
    return this.cuts.has(host) || (this.lastCutMs.get(host) ?? Number.NEGATIVE_INFINITY) >= ms
  }

  /** The host acquires the device anew. */
  restore(host: string): void {
    this.cuts.delete(host)
  }

  /** Whether the process may reach the device; where not, `done` has been seen to. */
  admits(process: Process, done: IoDone): boolean {
    const how = this.cuts.get(this.hostOf(process))
    if (how === undefined) return true
    if (how === 'errors') process.effect(() => this.failLater(process, done))
    return false
  }

  private failLater(process: Process, done: IoDone): void {
    const error = new IoError('EIO', 'the host is cut from the device')
    this.disk.world.schedule(ERROR_AFTER_MS, 'backing.cut', () => process.deliver(() => done(error)))
  }
}

class GatedDevice implements BackingStorage {
  readonly name: string
  readonly alignmentBytes: Bytes
  readonly canZero: boolean
  private readonly backing: SharedBacking
  private readonly device: BackingStorage
  private readonly process: Process

  constructor(backing: SharedBacking, device: BackingStorage, process: Process) {
    this.backing = backing
    this.device = device
    this.process = process
    this.name = device.name
    this.alignmentBytes = device.alignmentBytes
    this.canZero = device.canZero
  }

  get sizeBytes(): Bytes {
    return this.device.sizeBytes
  }

  read(buffer: Buffer, start: number, length: Bytes, position: Bytes, done: IoDone): void {
    if (this.admits(done)) this.device.read(buffer, start, length, position, done)
  }

  write(buffer: Buffer, start: number, length: Bytes, position: Bytes, done: IoDone): void {
    if (this.admits(done)) this.device.write(buffer, start, length, position, done)
  }

  zero(ranges: readonly ByteRange[], done: IoDone): void {
    if (this.admits(done)) this.device.zero(ranges, done)
  }

  flush(done: IoDone): void {
    if (this.admits(done)) this.device.flush(done)
  }

  close(done: IoDone): void {
    this.device.close(done)
  }

  refreshSize(done: IoDone): void {
    if (this.admits(done)) this.device.refreshSize(done)
  }

  private admits(done: IoDone): boolean {
    return this.backing.admits(this.process, done)
  }
}
