// The users of the device: a closed loop of `depth` slots, each of which issues an operation, waits for the answer,
// thinks, and issues the next. Sizes from one sector to a megabyte, aligned and not, with hot spots, runs that go on
// where the last one ended, zeroes and flushes. All chance comes from one fork of the seed.
import type { Prng } from '../../base/prng.ts'
import { SECTOR_BYTES, SECTORS_PER_BLOCK } from '../../base/units.ts'
import type { FrontEnd, NewOperation } from './front-end.ts'
import type { World } from './world.ts'

export interface WorkloadSettings {
  readonly sectors: number
  /** Smallest unit of a request. */
  readonly sectorBytes: 512 | 4096
  readonly largestBytes: number
  readonly depth: number
  readonly readShare: number
  readonly zeroShare: number
  readonly flushShare: number
  /** Share of operations that go to the hot spots. */
  readonly hotShare: number
  readonly thinkMs: number
}

const HOT_SPOTS = 4
const HOT_SPOT_BLOCKS = 4
/** A burst submits at most that many operations before the kick. */
const BURST_MAX = 8

export class Workload {
  issued = 0
  /** Slots do not issue again until resumed. */
  paused = true
  /** Users think that many times as long. */
  slowness = 1
  private readonly world: World
  private readonly frontEnd: FrontEnd
  private readonly settings: WorkloadSettings
  private readonly prng: Prng
  private readonly hotSpots: number[] = []
  private idleSlots: number
  private nextInRun = 0
  private runLeft = 0
  private wakeScheduled = false

  /** `spots`: what the places are drawn from that are used most; front ends that share it like the same ones. */
  constructor(
    world: World,
    frontEnd: FrontEnd,
    settings: WorkloadSettings,
    prng: Prng = world.prng.fork('workload'),
    spots: Prng = prng,
  ) {
    this.world = world
    this.frontEnd = frontEnd
    this.settings = settings
    this.prng = prng
    this.idleSlots = settings.depth
    for (let i = 0; i < HOT_SPOTS; i++) this.hotSpots.push(spots.below(settings.sectors))
    frontEnd.onAnswer = () => {
      this.idleSlots++
      this.wake()
    }
  }

  resume(): void {
    this.paused = false
    this.wake()
  }

  pause(): void {
    this.paused = true
  }

  /** The users were killed with what they had outstanding. */
  forget(): void {
    this.idleSlots = this.settings.depth
  }

  private wake(): void {
    if (this.paused || this.wakeScheduled || this.idleSlots === 0) return
    this.wakeScheduled = true
    const thinkMs = this.settings.thinkMs * this.slowness
    const pause = this.prng.chance(0.02) ? thinkMs * 100 : thinkMs
    this.world.schedule(this.prng.float() * pause, 'client', () => {
      this.wakeScheduled = false
      this.burst()
    })
  }

  private burst(): void {
    if (this.paused || this.idleSlots === 0) return
    const count = 1 + this.prng.below(Math.min(BURST_MAX, this.idleSlots))
    for (let i = 0; i < count; i++) {
      this.idleSlots--
      this.issued++
      this.frontEnd.issue(this.next())
    }
    this.frontEnd.kick()
    this.wake()
  }

  private next(): NewOperation {
    const { prng, settings } = this
    const draw = prng.float()
    const forceUnitAccess = prng.chance(0.05)
    const mayUnmap = prng.chance(0.7)
    if (draw < settings.flushShare)
      return { kind: 'flush', firstSector: 0, sectors: 0, forceUnitAccess: false, mayUnmap: false }
    const { firstSector, sectors } = this.place()
    if (draw < settings.flushShare + settings.readShare) {
      return { kind: 'read', firstSector, sectors, forceUnitAccess: false, mayUnmap: false }
    }
    const zeroes = draw < settings.flushShare + settings.readShare + settings.zeroShare
    return { kind: zeroes ? 'zero' : 'write', firstSector, sectors, forceUnitAccess, mayUnmap }
  }

  private place(): { firstSector: number; sectors: number } {
    const { prng, settings } = this
    const unit = settings.sectorBytes / SECTOR_BYTES
    const sectors = Math.min(this.size(), settings.sectors)
    let first = prng.below(settings.sectors)
    if (this.runLeft > 0) {
      this.runLeft--
      first = this.nextInRun
    } else if (prng.chance(0.03)) this.runLeft = 2 + prng.below(12)
    else if (prng.chance(settings.hotShare)) {
      first = (this.hotSpots[prng.below(HOT_SPOTS)] as number) + prng.below(HOT_SPOT_BLOCKS * SECTORS_PER_BLOCK)
    }
    if (prng.chance(0.5)) first -= first % SECTORS_PER_BLOCK
    first = Math.max(0, Math.min(first, settings.sectors - sectors))
    first -= first % unit
    this.nextInRun = first + sectors >= settings.sectors ? 0 : first + sectors
    return { firstSector: first, sectors }
  }

  /** In sectors: mostly a few, mostly whole blocks, sometimes very many. */
  private size(): number {
    const { prng, settings } = this
    const unit = settings.sectorBytes / SECTOR_BYTES
    const draw = prng.float()
    let sectors: number
    if (draw < 0.3) sectors = 1 + prng.below(8)
    else if (draw < 0.75) sectors = SECTORS_PER_BLOCK * (1 + prng.below(4))
    else if (draw < 0.97) sectors = 1 + prng.below(128)
    else sectors = 1 + prng.below(settings.largestBytes / SECTOR_BYTES)
    sectors = Math.min(sectors, settings.largestBytes / SECTOR_BYTES)
    return Math.max(unit, sectors - (sectors % unit))
  }
}
