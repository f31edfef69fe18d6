// What happens to the volume while its users go on: one function per incident of scenario.ts. An incident returns when
// it is over, or leaves a fault behind that ends by itself, so that the next one meets it.
import type { DiskFaults } from './disk-faults.ts'
import type { DiskOperation, SimulatedDisk } from './disk.ts'
import { BLOCK_BYTES, SECTOR_BYTES } from '../../base/units.ts'
import { CACHE_FAILURE, type Incident, LIVENESS_MS } from './scenario.ts'
import type { Simulation } from './simulation.ts'

/** A drain under load may find no moment without dirty data; after this time the users pause. */
const DRAIN_UNDER_LOAD_MS = 3000
/** Operations of the users during one incident. */
const OPERATIONS_MAX = 120
/** Longer than an idle log takes to say that its newest records were acknowledged (DESIGN.md §7.14: within 1 s). */
const IDLE_MS = 2500

export async function runIncident(simulation: Simulation, incident: Incident): Promise<void> {
  await HANDLERS[incident](simulation)
  if (simulation.life?.process.alive === false) await simulation.revive()
}

type Handler = (simulation: Simulation) => Promise<void>

const HANDLERS: Readonly<Record<Incident, Handler>> = {
  'process-crash': (simulation) => simulation.crashProcess(),
  'crash-at-step': crashAtStep,
  'crash-while-opening': async (simulation) => {
    simulation.life?.process.die()
    await simulation.revive()
    simulation.life?.process.die()
    await simulation.world.run(
      () => simulation.machine.isReaped((simulation.life as NonNullable<typeof simulation.life>).process),
      LIVENESS_MS,
    )
    simulation.frontEnd.detach()
    await simulation.open('restart', 1 + simulation.prng.below(60))
  },
  'holder-crash': (simulation) => simulation.crashHolder(),
  'power-cut': (simulation) => simulation.powerCut(),
  'holder-crash-twice': holderCrashTwice,
  'power-cut-in-commit': powerCutInCommit,
  reopen: async (simulation) => {
    await simulation.closeVolume()
    await simulation.open('first')
  },
  suspend,
  'switch-policy': switchPolicy,
  drain,
  'backing-outage': (simulation) =>
    forAWhile(simulation, simulation.machine.backing.faults, (faults) => {
      faults.code = 'EIO'
      faults.allReadsFail = simulation.prng.chance(0.5)
      faults.allWritesFail = true
    }),
  'backing-errors': async ({ machine, prng }) => {
    machine.backing.faults.code = 'EIO'
    machine.backing.faults.failReads += prng.below(3)
    machine.backing.faults.failWrites += prng.below(4)
  },
  'backing-hang': async ({ machine, prng, world }) => {
    machine.backing.faults.hungUntilMs = world.nowMs + prng.below(10_000)
    machine.backing.faults.injected.hangs++
  },
  'backing-slow': (simulation) =>
    forAWhile(simulation, simulation.machine.backing.faults, (faults) => {
      faults.slowFactor = 20
    }),
  'backing-full': (simulation) =>
    forAWhile(simulation, simulation.machine.backing.faults, (faults) => {
      faults.code = 'ENOSPC'
      faults.allWritesFail = true
    }),
  'flush-errors': async ({ machine, prng }) => {
    machine.backing.faults.code = 'EIO'
    machine.backing.faults.failFlushes += 1 + prng.below(3)
    machine.backing.faults.failedFlushDrops = prng.chance(0.5)
  },
  'cache-read-errors': async ({ machine, prng }) => {
    machine.cache.faults.code = 'EIO'
    machine.cache.faults.failReads += 1 + prng.below(3)
  },
  'cache-hang': async ({ machine, prng, world }) => {
    machine.cache.faults.hungUntilMs = world.nowMs + prng.below(3000)
    machine.cache.faults.injected.hangs++
  },
  'register-outage': async ({ machine, prng, world }) => {
    machine.register.unreachableUntilMs = world.nowMs + prng.below(15_000)
  },
  'register-unknown': async ({ machine, prng }) => {
    machine.register.unknownShare = prng.pick([0.3, 0.7])
  },
  idle,
  survivors: (simulation) => simulation.survivors.probe(),
  [CACHE_FAILURE]: async (simulation) => {
    const { faults } = simulation.machine.cache
    faults.code = 'EIO'
    faults.allWritesFail = true
    simulation.cacheFailed = true
    await workFor(simulation, 2000)
  },
  'corrupt-log': (simulation) => corrupt(simulation, 'log'),
  'corrupt-superblock': (simulation) => corrupt(simulation, 'superblock'),
  'corrupt-read-cache': (simulation) => corrupt(simulation, 'read-cache'),
  'lost-cache-write': async (simulation) => {
    holdDestage(simulation)
    simulation.machine.cache.faults.loseWrites = 1
    await workFor(simulation, 50)
    await idle(simulation)
    simulation.machine.cache.faults.loseWrites = 0
  },
  'misdirected-cache-write': async (simulation) => {
    holdDestage(simulation)
    simulation.machine.cache.faults.misdirectWrites = 1
    await workFor(simulation, 50)
    await idle(simulation)
    simulation.machine.cache.faults.misdirectWrites = 0
  },
}

/** The users of a second connection are cut off with the first one's records still in the log, under the same numbers. */
async function holderCrashTwice(simulation: Simulation): Promise<void> {
  const { frontEnd, prng } = simulation
  simulation.workload.resume()
  await simulation.until(() => [...frontEnd.outstanding.values()].some(({ kind }) => kind === 'write'), 500)
  await simulation.until(() => false, prng.float() * prng.pick([0.2, 2]))
  await simulation.crashHolder()
  const { life } = simulation
  if (life === null) return
  life.process.dieAtStep = life.process.steps + 1 + prng.below(30)
  await workFor(simulation, 1000)
  life.process.dieAtStep = 0
}

/** Somebody reads what is on its way to the log, and the power fails before it is there. */
async function powerCutInCommit(simulation: Simulation): Promise<void> {
  const { frontEnd, machine, prng, scenario, workload, world } = simulation
  workload.pause()
  await simulation.until(() => frontEnd.outstanding.size === 0, 2000)
  machine.cache.faults.hungUntilMs = world.nowMs + 1000
  // Zeros stand in the record alone: who reads them needs nothing of the disk.
  const sectors = 8 * (1 + prng.below(8))
  const firstSector = 8 * prng.below((scenario.workload.sectors - sectors) / 8)
  const place = { firstSector, sectors, forceUnitAccess: false, mayUnmap: true }
  frontEnd.issue({ kind: 'zero', ...place })
  frontEnd.kick()
  await simulation.until(() => false, 1 + prng.below(20))
  frontEnd.issue({ kind: 'read', ...place })
  frontEnd.kick()
  await simulation.until(() => false, 1 + prng.below(50))
  machine.cache.faults.hungUntilMs = 0
  await simulation.powerCut()
  workload.resume()
}

async function crashAtStep(simulation: Simulation): Promise<void> {
  const { life, prng } = simulation
  if (life === null) return
  life.process.dieAtStep = life.process.steps + 1 + prng.below(200)
  life.process.dieAfterEffect = prng.chance(0.5)
  await workFor(simulation, 5000)
  life.process.dieAtStep = 0
}

async function suspend(simulation: Simulation): Promise<void> {
  const { volume } = simulation
  if (volume === null) return
  const ended = await simulation.settle(volume.suspend(), LIVENESS_MS)
  if (ended === undefined && simulation.life?.process.alive === true) {
    // A hanging disk may keep its I/O; afterwards it must end.
    simulation.machine.heal()
    await simulation.until(() => false, LIVENESS_MS)
  }
  simulation.life?.process.die()
  await simulation.revive()
}

async function switchPolicy(simulation: Simulation): Promise<void> {
  const { volume } = simulation
  if (volume === null) return
  const { phase } = volume.status()
  const policy = phase === 'WriteBack' ? 'write-through' : 'write-back'
  simulation.generation.pureWriteBack = false
  await finishUnderLoad(simulation, volume.setPolicy(policy), `setPolicy ${policy}`)
}

async function drain(simulation: Simulation): Promise<void> {
  const { volume, prng } = simulation
  if (volume === null) return
  const quiet = prng.chance(0.5)
  if (quiet) {
    simulation.machine.heal()
    await simulation.quiesce()
    if (simulation.volume !== volume) return
  }
  const drained = await finishUnderLoad(simulation, volume.drain(), 'drain')
  if (!quiet || !drained) return
  for (const checker of simulation.checkers) checker.onDrained?.()
  simulation.stopIfFailed()
}

/** Lets a long call of the volume end while users go on; after a while they pause, and then it has to. */
async function finishUnderLoad(simulation: Simulation, call: Promise<void>, name: string): Promise<boolean> {
  let ended = false
  call.then(
    () => {
      ended = true
    },
    (error: unknown) => {
      ended = true
      simulation.world.trace.note(simulation.world.nowMs, `${name} failed: ${String(error)}`)
      simulation.count(`${name}-failed`)
    },
  )
  const over = (): boolean => ended || simulation.life?.process.alive === false
  const goal = simulation.frontEnd.answered + OPERATIONS_MAX
  await simulation.until(() => over() || simulation.frontEnd.answered >= goal, DRAIN_UNDER_LOAD_MS)
  if (over()) return ended
  simulation.workload.pause()
  simulation.machine.heal()
  await simulation.until(over, LIVENESS_MS)
  if (over()) return ended
  if (simulation.cacheFailed || simulation.scenario.budget === 'beyond')
    simulation.giveUp(`${name} stalled beyond budget`)
  simulation.report.add('liveness', 'invariant 10', `${name} does not end after all faults ended`)
  simulation.stopIfFailed()
  return false
}

async function idle(simulation: Simulation): Promise<void> {
  simulation.workload.pause()
  await simulation.until(() => false, IDLE_MS)
  simulation.workload.resume()
}

/** Lets the users work for that time, at most for so many operations: a fault outlives its incident if it must. */
async function workFor(simulation: Simulation, ms: number): Promise<void> {
  simulation.workload.resume()
  const goal = simulation.frontEnd.answered + OPERATIONS_MAX
  await simulation.until(() => simulation.frontEnd.answered >= goal, ms)
}

async function forAWhile(
  simulation: Simulation,
  faults: DiskFaults,
  begin: (faults: DiskFaults) => void,
): Promise<void> {
  begin(faults)
  const { prng, world } = simulation
  world.schedule(prng.below(8000), 'fault.ends', () => {
    faults.allReadsFail = false
    faults.allWritesFail = false
    faults.slowFactor = 1
  })
  if (prng.chance(0.5)) await workFor(simulation, prng.below(10_000))
}

/** Damage to a log that is empty harms nobody: the backing hangs for a while, so that records stay in the log. */
function holdDestage({ machine, prng, world }: Simulation): void {
  if (!prng.chance(0.7)) return
  machine.backing.faults.hungUntilMs = world.nowMs + IDLE_MS + prng.below(4000)
  machine.backing.faults.injected.hangs++
}

/**
 * Damages sectors at rest. The newest two log writes are spared: an idle log has by then said in a later frame that
 * older ones were acknowledged; what it can't know of is the limit DESIGN.md §7.14 names.
 */
async function corrupt(simulation: Simulation, area: 'log' | 'superblock' | 'read-cache'): Promise<void> {
  const { machine, prng, scenario } = simulation
  const recent: DiskOperation[] = []
  const logStart = machine.scenario.cache.sizeBytes > 0 ? 32 * 1024 : 0
  const logEnd = logStart + scenario.settings.logBytes
  const watcher = {
    onSubmit(disk: SimulatedDisk, operation: DiskOperation): void {
      const position = operation.ranges[0]?.position ?? 0
      if (disk !== machine.cache || operation.kind !== 'write' || position < logStart || position >= logEnd) return
      recent.push(operation)
      if (recent.length > 2) recent.shift()
    },
  }
  machine.cache.watchers.push(watcher)
  holdDestage(simulation)
  await workFor(simulation, 100)
  await idle(simulation)
  machine.cache.watchers.splice(machine.cache.watchers.indexOf(watcher), 1)
  const [start, end] =
    area === 'superblock' ? [0, logStart] : area === 'log' ? [logStart, logEnd] : [logEnd, machine.cache.sizeBytes]
  const count = area === 'superblock' ? 1 : 1 + prng.below(200)
  for (let i = 0; i < count; i++) {
    const sector = start / SECTOR_BYTES + prng.below((end - start) / SECTOR_BYTES)
    if (recent.some((operation) => touches(operation, sector))) continue
    machine.cache.corrupt(sector)
  }
}

function touches(operation: DiskOperation, sector: number): boolean {
  const position = sector * SECTOR_BYTES
  return operation.ranges.some(
    (range) => position + BLOCK_BYTES > range.position && position < range.position + range.length,
  )
}
