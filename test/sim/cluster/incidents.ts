// What happens to the cluster while users go on: one function for each name of incident-names.ts. An incident returns
// when it has begun and some time has passed; what it leaves behind ends by itself, so that the next one may meet it.
import type { SimulatedDisk } from '../disk.ts'
import type { Holder } from './holder.ts'
import type { Host } from './host.ts'
import type { ClusterIncident } from './incident-names.ts'
import { AIMED_INCIDENTS } from './aimed-incidents.ts'
import { aPeer, later, mayCrash, OPERATIONS_MAX, outOfSight, takeOverElsewhere } from './incident-kit.ts'
import type { ClusterSimulation } from './simulation.ts'

export async function runClusterIncident(run: ClusterSimulation, incident: ClusterIncident): Promise<void> {
  await HANDLERS[incident](run)
}

type Handler = (run: ClusterSimulation) => Promise<void>

const HANDLERS: Readonly<Record<ClusterIncident, Handler>> = {
  'engine-crash': async (run) => {
    run.cluster.present?.crashEngine()
    await run.pass(run.prng.below(500))
  },
  'engine-crash-at-step': async (run) => {
    dieWithin(run, run.cluster.present, 150)
    await run.work(OPERATIONS_MAX, 3000)
  },
  'engine-crash-while-restarting': async (run) => {
    const { present } = run.cluster
    if (present === null) return
    present.dieAtStep = 1 + run.prng.below(120)
    present.crashEngine()
    await run.pass(run.prng.below(2000))
  },
  'owner-host-crash': async (run) => {
    const host = mayCrash(run, run.cluster.present?.host)
    if (host === null) return
    run.cluster.crashHost(host)
    later(run, 1000 + run.prng.below(30_000), () => run.cluster.bootHost(host))
    await run.pass(run.prng.below(6000))
  },
  'owner-host-reboot': async (run) => {
    const host = mayCrash(run, run.cluster.present?.host)
    if (host === null) return
    if (run.prng.chance(0.5)) {
      // Then the copies hold what the own log does not.
      host.cache.faults.hungUntilMs = run.world.nowMs + 500
      run.pace(1)
      await run.pass(run.prng.below(run.prng.pick([20, 200])))
    }
    run.cluster.crashHost(host)
    await run.pass(run.prng.below(1000))
    run.cluster.bootHost(host)
    run.operator.takeOver(host)
    await run.pass(run.prng.below(6000))
  },
  'owner-pause': (run) => pause(run, run.cluster.present?.host),
  'owner-isolated': async (run) => {
    const host = run.cluster.present?.host
    if (host === undefined) return
    const { network, register, hosts } = run.cluster
    const others = hosts.filter((one) => one !== host)
    for (const other of others) network.cutBoth(host.name, other.name)
    if (run.prng.chance(0.6)) register.cutFrom.add(host.name)
    later(run, 500 + run.prng.below(25_000), () => {
      register.cutFrom.delete(host.name)
      for (const other of others) {
        network.uncut(host.name, other.name)
        network.uncut(other.name, host.name)
      }
    })
    await run.work(OPERATIONS_MAX, run.prng.below(4000))
    if (run.prng.chance(0.5)) takeOverElsewhere(run, host)
    await run.work(OPERATIONS_MAX, run.prng.below(8000))
  },
  'peer-crash': async (run) => {
    run.cluster.peerOf(aPeer(run)).crash()
    await run.work(OPERATIONS_MAX, run.prng.below(3000))
  },
  'peer-host-crash': async (run) => {
    const host = mayCrash(run, aPeer(run))
    if (host === null) return
    run.cluster.crashHost(host)
    later(run, 500 + run.prng.below(20_000), () => run.cluster.bootHost(host))
    await run.work(OPERATIONS_MAX, 6000)
  },
  'peer-pause': (run) => pause(run, aPeer(run)),
  'store-loss': async (run) => {
    const host = aPeer(run)
    if (!run.cluster.mayDestroy(host, ['store'])) return
    run.cluster.loseStore(host)
    await run.work(OPERATIONS_MAX, 6000)
  },
  'store-slow': (run) => slowDisk(run, aPeer(run).store),
  'cache-slow': (run) => slowDisk(run, run.cluster.present?.host.cache),
  'cut-one-way': async (run) => {
    const [from, to] = run.prng.chance(0.5) ? pair(run) : pair(run).toReversed()
    await cut(run, [[from, to]])
  },
  'cut-both-ways': async (run) => {
    const [a, b] = pair(run)
    await cut(run, [
      [a, b],
      [b, a],
    ])
  },
  'connections-reset': async (run) => {
    const [a, b] = pair(run)
    run.cluster.network.reset(a.name, b.name)
    await run.work(OPERATIONS_MAX, 1000)
  },
  'flaky-network': async (run) => {
    const { faults } = run.cluster.network
    faults.breakChance = run.prng.pick([0.002, 0.02])
    later(run, run.prng.below(6000), () => {
      faults.breakChance = 0
    })
    await run.work(OPERATIONS_MAX, 6000)
  },
  'slow-network': async (run) => {
    const { faults } = run.cluster.network
    faults.spikeChance = run.prng.pick([0.05, 0.5])
    faults.spikeMs = run.prng.pick([50, 1000, 4000])
    later(run, run.prng.below(8000), () => {
      faults.spikeChance = 0
    })
    await run.work(OPERATIONS_MAX, 6000)
  },
  'register-outage': async (run) => {
    run.cluster.register.unreachableUntilMs = run.world.nowMs + run.prng.below(12_000)
  },
  'register-unknown': async (run) => {
    run.cluster.register.unknownShare = run.prng.pick([0.3, 0.7])
    later(run, run.prng.below(10_000), () => {
      run.cluster.register.unknownShare = 0
    })
  },
  takeover: async (run) => {
    takeOverElsewhere(run, run.cluster.present?.host ?? null)
    await run.work(OPERATIONS_MAX, run.prng.below(12_000))
  },
  'takeover-crash': async (run) => {
    const holder = takeOverElsewhere(run, run.cluster.present?.host ?? null)
    if (holder !== null) {
      await run.until(() => holder.life !== null || holder.state === 'ended', 5000)
      dieWithin(run, holder, 90)
    }
    await run.pass(run.prng.below(15_000))
  },
  'takeover-disturbed': takeoverDisturbed,
  'restart-disturbed': async (run) => {
    const { present } = run.cluster
    if (present === null) return
    present.crashEngine()
    await run.until(() => present.state !== 'serving', 1000)
    await run.pass(run.prng.below(run.prng.pick([5, 50, 500])))
    disturb(run, present.host)
    await run.pass(run.prng.below(4000))
  },
  'two-takeovers': async (run) => {
    const first = takeOverElsewhere(run, run.cluster.present?.host ?? null)
    await run.pass(run.prng.below(run.prng.pick([100, 1000, 10_000])))
    takeOverElsewhere(run, first?.host ?? null)
    await run.pass(run.prng.below(12_000))
  },
  'return-of-old-owner': async (run) => {
    const { cluster } = run
    const old = cluster.holders.findLast(({ host, served }) => served > 0 && host !== cluster.present?.host)?.host
    if (old === undefined || !old.isUp || old.isPaused) return
    run.operator.takeOver(old)
    await run.work(OPERATIONS_MAX, run.prng.below(15_000))
  },
  'backing-hang': async (run) => {
    const { disk } = run.cluster.backing
    disk.faults.hungUntilMs = run.world.nowMs + run.prng.below(6000)
    disk.faults.injected.hangs++
    await run.work(OPERATIONS_MAX, 1000)
  },
  'backing-slow': async (run) => {
    const { disk } = run.cluster.backing
    disk.faults.slowFactor = 20
    later(run, run.prng.below(8000), () => {
      disk.faults.slowFactor = 1
    })
    await run.work(OPERATIONS_MAX, 3000)
  },
  'policy-switch': async (run) => {
    const volume = run.cluster.present?.volume
    if (!volume) return
    const policy = volume.status().phase === 'WriteBack' ? 'write-through' : 'write-back'
    run.policySwitched = true
    // Then copies are longer to be emptied than the own log.
    if (run.prng.chance(0.7)) for (const { store } of run.cluster.hosts) slowedDown(run, store)
    tolerated(run, volume.setPolicy(policy))
    await run.work(OPERATIONS_MAX, 4000)
  },
  drain: async (run) => {
    const volume = run.cluster.present?.volume
    if (volume) tolerated(run, volume.drain())
    await run.work(OPERATIONS_MAX, 3000)
  },
  'close-and-open': async (run) => {
    const { present } = run.cluster
    if (present?.isServing !== true) return
    present.workload.pause()
    await run.until(() => present.frontEnd.outstanding.size === 0 || present.state === 'ended', 4000)
    tolerated(run, present.close())
    run.operator.asleep = true
    await run.until(() => present.state === 'ended', 10_000)
    run.operator.asleep = false
    if (present.state !== 'ended') present.workload.resume()
    await run.pass(run.prng.below(3000))
  },
  'hand-over': async (run) => {
    const { present } = run.cluster
    const heir = run.operator.heir(present?.host ?? null)
    const to = run.prng.chance(0.8) ? heir : run.operator.anotherHost(present?.host ?? null)
    if (present?.isServing !== true || to === null) return
    // What is dirty goes along where it cannot be drained in time.
    const { faults } = run.cluster.backing.disk
    if (run.prng.chance(0.7)) faults.slowFactor = run.prng.pick([10, 100])
    await run.work(OPERATIONS_MAX, 1000)
    let how = ''
    const moved = present.move(to.name, run.prng.pick([0, 0, 100, 1000])).then((outcome) => {
      how = outcome
    })
    tolerated(run, moved)
    run.operator.asleep = true
    if (run.prng.chance(0.3)) later(run, run.prng.below(3000), () => disturb(run, present.host))
    await run.until(() => present.state === 'ended' || !present.isServing, 15_000)
    run.operator.asleep = false
    faults.slowFactor = 1
    if (how === 'hand-over') run.count('handed-over')
    if (how !== '' && to.isUp && !to.isPaused && run.prng.chance(0.8)) run.operator.takeOver(to)
    await run.work(OPERATIONS_MAX, 3000)
  },
  'cache-failure': async (run) => {
    const { cluster } = run
    const host = cluster.present?.host
    if (host === undefined || !cluster.mayDestroy(host, ['cache'])) return
    cluster.failCache(host)
    later(run, 500 + run.prng.below(20_000), () => cluster.mendCache(host))
    await run.work(OPERATIONS_MAX, 6000)
  },
  idle: (run) => run.pass(1000 + run.prng.below(12_000)),
  ...AIMED_INCIDENTS,
}

/** One end of the pair is the present owner's host, if there is one. */
function pair(run: ClusterSimulation): readonly [Host, Host] {
  const peer = aPeer(run)
  const owner = run.cluster.present?.host ?? run.cluster.hosts.find((host) => host !== peer) ?? peer
  return [owner, peer]
}

/** The old owner is out of sight when somebody takes over; something else goes wrong meanwhile, and he comes back. */
async function takeoverDisturbed(run: ClusterSimulation): Promise<void> {
  const { cluster, prng } = run
  const old = cluster.present?.host ?? null
  const back = old === null ? (): void => {} : outOfSight(run, old)
  const holder = takeOverElsewhere(run, old)
  await run.until(() => holder === null || cluster.record?.owner === holder.host.name || holder.state === 'ended', 2000)
  await run.pass(prng.below(prng.pick([20, 400, 9000])))
  if (holder !== null) disturb(run, holder.host)
  later(run, prng.below(prng.pick([100, 1000, 10_000])), back)
  await run.work(OPERATIONS_MAX, prng.below(14_000))
}

/** One small thing goes wrong with a copy that `host` is about to use. */
function disturb(run: ClusterSimulation, host: Host): void {
  const { cluster, prng } = run
  const { members } = cluster.record ?? { members: [] }
  const holding = cluster.hosts.filter(({ name, isUp }) => isUp && members.some(({ node }) => node === name))
  if (holding.length === 0) return
  const copy = prng.pick(holding)
  switch (prng.below(4)) {
    case 0:
      cluster.peerOf(copy).crash()
      return
    case 1:
      cluster.network.reset(host.name, copy.name)
      return
    case 2:
      copy.store.faults.hungUntilMs = run.world.nowMs + prng.below(2000)
      return
    default:
      cluster.network.cut(copy.name, host.name)
      later(run, prng.below(1500), () => cluster.network.uncut(copy.name, host.name))
  }
}

function dieWithin({ prng }: ClusterSimulation, holder: Holder | null, steps: number): void {
  const process = holder?.life?.process
  if (process === undefined) return
  process.dieAtStep = process.steps + 1 + prng.below(steps)
  process.dieAfterEffect = prng.chance(0.5)
}

/** The host stands still, and comes back late. */
async function pause(run: ClusterSimulation, host: Host | undefined): Promise<void> {
  if (host === undefined || !host.isUp) return
  host.pause()
  later(run, run.prng.below(run.prng.pick([1000, 5000, 25_000])), () => host.resume())
  await run.work(OPERATIONS_MAX, run.prng.below(8000))
  if (run.prng.chance(0.3)) takeOverElsewhere(run, host)
  await run.work(OPERATIONS_MAX, run.prng.below(6000))
}

/** The disk hangs, or takes long for everything. */
async function slowDisk(run: ClusterSimulation, disk: SimulatedDisk | undefined): Promise<void> {
  if (disk === undefined) return
  slowedDown(run, disk)
  await run.work(OPERATIONS_MAX, 4000)
}

function slowedDown(run: ClusterSimulation, disk: SimulatedDisk): void {
  if (run.prng.chance(0.5)) disk.faults.hungUntilMs = run.world.nowMs + run.prng.below(run.prng.pick([1000, 4000]))
  else {
    disk.faults.slowFactor = run.prng.pick([30, 300])
    later(run, run.prng.below(6000), () => {
      disk.faults.slowFactor = 1
    })
  }
}

async function cut(run: ClusterSimulation, ways: readonly (readonly [Host, Host])[]): Promise<void> {
  const { network } = run.cluster
  for (const [from, to] of ways) network.cut(from.name, to.name)
  later(run, run.prng.below(run.prng.pick([800, 5000, 20_000])), () => {
    for (const [from, to] of ways) network.uncut(from.name, to.name)
  })
  await run.work(OPERATIONS_MAX, 6000)
}

/** A call of the volume that may fail, for what it meets. */
function tolerated(run: ClusterSimulation, call: Promise<void>): void {
  call.catch((error: unknown) => {
    run.world.trace.note(run.world.nowMs, `tolerated: ${String(error)}`)
    run.count('calls-failed')
  })
}
