// One host of the simulated cluster: its clock, its two disks (the volume's cache, and the replica store of its peer
// process), and the processes that run on it. A power cut ends them all; what stands on flash survives, torn where it
// was being written, and what stands in memory is gone. A host may stand still for a while and come back late.
import type { Bytes } from '../../../base/units.ts'
import type { EventLog, LogFields } from '../../../base/log.ts'
import type { Prng } from '../../../base/prng.ts'
import type { NetworkAddress } from '../../../csi-driver/io/network.ts'
import { type DiskSettings, SimulatedDisk } from '../disk.ts'
import { SimulatedMemory } from '../memory.ts'
import type { SimNetwork } from '../network.ts'
import { type ClockOrigins, Process, type World } from '../world.ts'
import type { SharedBacking } from './shared-backing.ts'

/** Where the peer process of a host listens. */
export const PEER_PORT = 7000

export interface HostSettings {
  readonly name: string
  readonly domain: string
  readonly resource: 'flash' | 'memory'
  /** Error of its clock's rate. */
  readonly drift: number
  readonly cache: DiskSettings
  readonly store: DiskSettings
  /** Room of its store. */
  readonly storeSegments: number
  /** From here on the cache disk holds the read cache, of which a power cut may take anything. */
  readonly readCacheStart: Bytes
}

/** One life of a process, with what every process has. */
export interface Life {
  readonly process: Process
  readonly memory: SimulatedMemory
  readonly prng: Prng
  readonly random: { fill(buffer: Buffer): void }
  readonly log: EventLog
  /** Resolves when the process dies, however. */
  readonly died: Promise<void>
}

export class Host {
  readonly settings: HostSettings
  readonly cache: SimulatedDisk
  readonly store: SimulatedDisk
  isUp = true
  private readonly world: World
  private readonly network: SimNetwork
  private readonly backing: SharedBacking
  private readonly prng: Prng
  private readonly lives = new Set<Life>()
  /** Dead, with I/O that has not ended. */
  private readonly ending = new Set<Life>()
  private origins: ClockOrigins
  private lastNumber = 0

  constructor(world: World, settings: HostSettings, parts: { network: SimNetwork; backing: SharedBacking }) {
    this.world = world
    this.settings = settings
    this.network = parts.network
    this.backing = parts.backing
    this.prng = world.prng.fork(`host.${settings.name}`)
    this.cache = new SimulatedDisk(world, settings.cache)
    this.store = new SimulatedDisk(world, settings.store)
    this.origins = this.drawOrigins()
  }

  get name(): string {
    return this.settings.name
  }

  get address(): NetworkAddress {
    return { kind: 'tcp', host: this.name, port: PEER_PORT }
  }

  get isPaused(): boolean {
    return [...this.lives].some(({ process }) => process.paused)
  }

  get processes(): Iterable<Life> {
    return this.lives
  }

  /** A new process. */
  start(program: string): Life {
    const number = ++this.lastNumber
    const { promise: died, resolve } = Promise.withResolvers<void>()
    const name = `${this.name}.${program}-${number}`
    const process = new Process(this.world, name, this.origins, () => {
      this.cache.processDied(process)
      this.store.processDied(process)
      this.backing.disk.processDied(process)
      this.network.processDied(process)
      this.lives.delete(life)
      this.ending.add(life)
      resolve()
    })
    const random = this.prng.fork(`random.${number}`)
    const life: Life = {
      process,
      memory: new SimulatedMemory(),
      prng: this.prng.fork(`process.${number}`),
      random: {
        fill: (buffer) => {
          for (let i = 0; i < buffer.length; i++) buffer[i] = random.below(256)
        },
      },
      log: this.logOf(process),
      died,
    }
    this.lives.add(life)
    return life
  }

  /** The dead process's I/O has ended everywhere: its memory is free, and a successor may start. */
  isReaped(life: Life): boolean {
    const { process } = life
    if (process.alive || this.hasIo(process)) return false
    if (this.ending.delete(life)) life.memory.release()
    return true
  }

  /** No process that has ended here has anything in flight at the shared device (PROTOCOL.md 5.3). */
  get isDrained(): boolean {
    return [...this.ending].every((life) => this.isReaped(life))
  }

  /** Standing still: nothing runs, everything that comes waits. */
  pause(): void {
    for (const { process } of this.lives) process.pause()
  }

  resume(): void {
    for (const { process } of this.lives) this.resumeProcess(process)
  }

  resumeProcess(process: Process): void {
    process.resume()
    this.network.processResumed(process)
  }

  /** Every process is gone at once, and nobody is told. */
  powerCut(): void {
    this.isUp = false
    this.network.hostDown(this.name)
    for (const { process } of this.lives) process.die()
    this.cache.powerCut()
    this.store.powerCut()
    this.cache.scramble(this.settings.readCacheStart)
    if (this.settings.resource === 'memory') {
      this.wipe(this.cache)
      this.wipe(this.store)
    }
  }

  boot(): void {
    this.isUp = true
    this.origins = this.drawOrigins()
    this.network.hostUp(this.name)
  }

  /** Somebody puts an empty disk in its place, while no process has it open. */
  wipe(disk: SimulatedDisk): void {
    // What dead processes have in flight goes to the disk that is taken out.
    disk.cutOff(({ alive }) => !alive)
    disk.visible.fill(0)
    for (const watcher of disk.watchers) watcher.onWiped?.(disk)
  }

  release(): void {
    for (const { process } of this.lives) process.die()
    for (const { memory } of this.ending) memory.release()
  }

  private hasIo(process: Process): boolean {
    return this.cache.hasInFlight(process) || this.store.hasInFlight(process) || this.backing.disk.hasInFlight(process)
  }

  private logOf(process: Process): EventLog {
    const { world } = this
    const event = (name: string, fields: LogFields = {}): void => {
      if (process.alive) world.trace.note(world.nowMs, `${process.name} ${name} ${describe(fields)}`)
    }
    const log: EventLog = { event, child: () => log }
    return log
  }

  private drawOrigins(): ClockOrigins {
    return {
      monotonicMs: this.prng.float() * 1e6,
      bootMs: this.prng.float() * 1e6,
      wallMs: 1_790_000_000_000 + this.prng.below(100_000) * 1000,
      rate: 1 + this.settings.drift,
    }
  }
}

function describe(fields: LogFields): string {
  return JSON.stringify(fields, (_key, value: unknown) => (typeof value === 'bigint' ? String(value) : value))
}
