// The simulated host: disks, register and clock that outlive engines, and the ports that each life of an engine gets.
import type { EventLog, LogFields } from '../../base/log.ts'
import type { Prng } from '../../base/prng.ts'
import { SECTOR_BYTES } from '../../base/units.ts'
import type { Request } from '../../csi-driver/engine/request.ts'
import type { VolumePorts, VolumeSettings, WritePolicy } from '../../csi-driver/engine/volume-settings.ts'
import type { DeviceMode, VolumeStatus } from './checkers/checker.ts'
import { fillSectors, INITIAL_ID } from './content.ts'
import { SimulatedDisk } from './disk.ts'
import { SimulatedMemory } from './memory.ts'
import { SimulatedRegister } from './register.ts'
import { noFence } from '../../csi-driver/fencing/no-fence.ts'
import { RememberedDoubts } from './remembered-doubts.ts'
import { LOG_START, type Scenario } from './scenario.ts'
import { type ClockOrigins, Process, type World } from './world.ts'

/** The part of a Volume that the simulator uses; the reference volume implements just this. */
export interface SimulatedVolume {
  submit(request: Request): void
  kick(): void
  resendDrained(): void
  status(): VolumeStatus
  setPolicy(policy: WritePolicy): Promise<void>
  drain(): Promise<void>
  close(): Promise<void>
  suspend(): Promise<void>
  /** The device exists: tells it how to present itself. */
  attached(): Promise<void>
}

export type OpenVolume = (ports: VolumePorts, settings: VolumeSettings) => Promise<SimulatedVolume>

/** One life of an engine. */
export interface Life {
  readonly process: Process
  readonly memory: SimulatedMemory
  readonly ports: VolumePorts
}

export class Machine {
  readonly world: World
  readonly scenario: Scenario
  readonly cache: SimulatedDisk
  readonly backing: SimulatedDisk
  readonly register: SimulatedRegister
  private readonly doubts = new RememberedDoubts()
  /** Called at the moment the users see the other mode. */
  onDeviceMode: (mode: DeviceMode) => void = () => {}
  lives = 0
  private readonly prng: Prng
  private origins: ClockOrigins

  constructor(world: World, scenario: Scenario) {
    this.world = world
    this.scenario = scenario
    this.prng = world.prng.fork('machine')
    this.cache = new SimulatedDisk(world, scenario.cache)
    this.backing = new SimulatedDisk(world, scenario.backing)
    this.register = new SimulatedRegister(world)
    const sectors = scenario.backing.sizeBytes / SECTOR_BYTES
    fillSectors(this.backing.visible, 0, INITIAL_ID, 0, sectors)
    if (this.backing.durable !== this.backing.visible) this.backing.durable.set(this.backing.visible)
    this.origins = this.drawOrigins()
  }

  /** A new process with its ports. */
  start(): Life {
    const number = ++this.lives
    const process = new Process(this.world, `engine-${number}`, this.origins, () => {
      this.cache.processDied(process)
      this.backing.processDied(process)
    })
    const memory = new SimulatedMemory()
    const random = this.prng.fork(`random.${number}`)
    const cache = this.cache.attach(process)
    return {
      process,
      memory,
      ports: {
        clock: process.clock,
        timers: process.timers,
        memory,
        random: {
          fill: (buffer) => {
            for (let i = 0; i < buffer.length; i++) buffer[i] = random.below(256)
          },
        },
        prng: this.prng.fork(`engine.${number}`),
        log: this.logOf(process),
        cache,
        cacheFill: cache,
        backing: this.backing.attach(process),
        register: this.register.attach(process),
        writeCache: { setWriteCache: (mode) => this.setWriteCache(process, mode) },
        doubts: this.doubts,
        network: null,
        fence: noFence,
      },
    }
  }

  /** The dead process's I/O has ended: a successor may start. */
  isReaped(process: Process): boolean {
    return !this.cache.hasInFlight(process) && !this.backing.hasInFlight(process)
  }

  powerCut(): void {
    this.cache.powerCut()
    this.backing.powerCut()
    this.cache.scramble(LOG_START + this.scenario.settings.logBytes)
    if (this.scenario.settings.resource === 'memory') this.cache.visible.fill(0)
    this.origins = this.drawOrigins()
  }

  heal(): void {
    this.cache.faults.heal()
    this.backing.faults.heal()
    this.register.heal()
  }

  /** Errors injected since that time. */
  failedSince(ms: number): boolean {
    return Math.max(this.cache.faults.lastErrorMs, this.backing.faults.lastErrorMs) >= ms
  }

  private setWriteCache(process: Process, mode: DeviceMode): Promise<void> {
    return new Promise((resolve) => {
      process.effect(() => {
        this.world.schedule(this.prng.float() * 3, 'device.mode', () => {
          // The kernel has been told; it stays so even if the engine dies now.
          this.onDeviceMode(mode)
          this.world.schedule(this.prng.float() * 3, 'device.mode.reply', () => {
            if (process.alive) resolve()
          })
        })
      })
    })
  }

  private logOf(process: Process): EventLog {
    const { world } = this
    const event = (name: string, fields: LogFields = {}): void => {
      if (process.alive) world.trace.note(world.nowMs, `${process.name} ${name} ${JSON.stringify(fields)}`)
    }
    const log: EventLog = { event, child: () => log }
    return log
  }

  private drawOrigins(): ClockOrigins {
    return {
      monotonicMs: this.prng.float() * 1e6,
      bootMs: this.prng.float() * 1e6,
      wallMs: 1_790_000_000_000 + this.prng.below(100_000) * 1000,
    }
  }
}

/** Settings for one opening. */
export function settingsFor(
  scenario: Scenario,
  opening: { start: 'first' | 'restart'; session: bigint; acceptDataLoss: boolean; formatCache: boolean },
): VolumeSettings {
  return {
    ...scenario.settings,
    session: opening.session,
    start: opening.start,
    formatCache: opening.formatCache,
    acceptDataLoss: opening.acceptDataLoss ? scenario.settings.volume : '',
    backingChanged: 'none',
  }
}
