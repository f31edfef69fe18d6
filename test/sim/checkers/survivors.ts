// The strong invariant in any state (PROTOCOL.md §10): the log over the backing gives every acknowledged and every read
// write. A copy of the machine is cut from power at this moment, opened by the engine itself in a world of its own, and
// read as a whole. The run it was copied from does not notice.
import { CacheError } from '../../../base/errors.ts'
import { SECTOR_BYTES } from '../../../base/units.ts'
import { REQUEST_OK, REQUEST_READ } from '../../../csi-driver/engine/request.ts'
import { readSector } from '../content.ts'
import type { SimulatedDisk } from '../disk.ts'
import { Machine, type OpenVolume, type SimulatedVolume, settingsFor } from '../machine.ts'
import { World } from '../world.ts'
import type { Checker, Scene } from './checker.ts'

const PROBE_MS_MAX = 120_000
const READ_SECTORS = 128

export class SurvivorsChecker implements Checker {
  readonly name = 'survivors'
  readonly rule = 'strong invariant (PROTOCOL.md §10)'
  probes = 0
  private readonly scene: Scene
  private readonly machine: Machine
  private readonly openVolume: OpenVolume

  constructor(scene: Scene, machine: Machine, openVolume: OpenVolume) {
    this.scene = scene
    this.machine = machine
    this.openVolume = openVolume
  }

  /** Between two events of the run. */
  async probe(): Promise<void> {
    const { scene } = this
    // A memory resource does not outlive the power; what it must do then is seen by real power cuts.
    if (scene.beyondBudget || this.machine.scenario.settings.resource === 'memory') return
    const problem = await this.problemAfterPowerCut(++this.probes)
    if (problem !== null) scene.report.add(this.name, this.rule, problem)
  }

  private async problemAfterPowerCut(number: number): Promise<string | null> {
    const { scene } = this
    const world = new World(`${scene.world.seed}/survivors.${number}`)
    const machine = new Machine(world, this.machine.scenario)
    const image = scene.backing.powerCutImage(world.prng.fork('power'))
    machine.cache.visible.set(scene.cache.visible)
    machine.backing.visible.set(image)
    machine.backing.durable.set(image)
    for (const record of this.machine.register.store.history()) {
      await machine.register.store.compareAndSwap(record.rv - 1, record)
    }
    const life = machine.start()
    try {
      const settings = settingsFor(machine.scenario, {
        start: 'first',
        session: 1n,
        acceptDataLoss: false,
        formatCache: false,
      })
      const opened = await world.waitFor(this.openVolume(life.ports, settings), PROBE_MS_MAX)
      if (opened === undefined) return 'a copy of the machine after a power cut does not open'
      if ('error' in opened && isExcusedRefusal(opened.error, scene.backing)) return null
      if ('error' in opened) return `a copy of the machine after a power cut refuses to open: ${String(opened.error)}`
      return await this.readCopy(world, opened.value, life.ports.memory.allocate(READ_SECTORS * SECTOR_BYTES + 4096))
    } finally {
      life.process.die()
      life.memory.release()
    }
  }

  private async readCopy(world: World, volume: SimulatedVolume, buffer: Buffer): Promise<string | null> {
    const { oracle } = this.scene
    const now = this.scene.world.tick()
    for (let first = 0; first < oracle.sectors; first += READ_SECTORS) {
      const sectors = Math.min(READ_SECTORS, oracle.sectors - first)
      const result = await readOnce(world, volume, { buffer, first, sectors })
      if (result !== REQUEST_OK)
        return `a copy of the machine after a power cut does not read sector=${first} result=${result}`
      for (let i = 0; i < sectors; i++) {
        const content = readSector(buffer, i * SECTOR_BYTES, first + i)
        const illegal = oracle.checkAfterPowerCut(first + i, content, now)
        if (illegal !== null) return `after a power cut now: ${illegal.message}`
      }
    }
    return null
  }
}

/**
 * A backing that lost a failed flush showed until the power cut what it never kept: it did change, and saying so is
 * right (DESIGN.md §7.15).
 */
export function isExcusedRefusal(error: unknown, backing: SimulatedDisk): boolean {
  return (
    error instanceof CacheError && error.code === 'CACHE_BACKING_CHANGED' && backing.faults.injected.lostFlushes > 0
  )
}

async function readOnce(
  world: World,
  volume: SimulatedVolume,
  target: { buffer: Buffer; first: number; sectors: number },
): Promise<number> {
  let answer = -1
  volume.submit({
    kind: REQUEST_READ,
    offset: target.first * SECTOR_BYTES,
    length: target.sectors * SECTOR_BYTES,
    data: target.buffer,
    dataStart: 0,
    mayUnmap: false,
    forceUnitAccess: false,
    uniqueLow: target.first + 1,
    uniqueHigh: 0,
    resent: false,
    complete: (result) => {
      answer = result
    },
  })
  volume.kick()
  await world.run(() => answer >= 0, PROBE_MS_MAX)
  return answer
}
