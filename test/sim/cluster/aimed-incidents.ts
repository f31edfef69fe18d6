// Incidents that bring about one rare situation on purpose, each made for a rule that little else puts to the test: at
// random it would come up in one run of hundreds.
import type { ClusterIncident } from './incident-names.ts'
import { cutOff, later, logOn, mayCrash, memberHost, OPERATIONS_MAX, takeOverElsewhere } from './incident-kit.ts'
import type { Holder } from './holder.ts'
import type { Host } from './host.ts'
import type { ClusterSimulation } from './simulation.ts'

type Aimed = 'owner-outlived' | 'copy-forgets' | 'tail-to-drop' | 'copy-lags-behind' | 'slow-learner'

/** A takeover that waits for leases is over by then. */
const TAKEOVER_MS_MAX = 15_000

export const AIMED_INCIDENTS: Readonly<Record<Aimed & ClusterIncident, (run: ClusterSimulation) => Promise<void>>> = {
  'owner-outlived': ownerOutlived,
  'copy-forgets': copyForgets,
  'tail-to-drop': tailToDrop,
  'copy-lags-behind': copyLagsBehind,
  'slow-learner': slowLearner,
}

/** An owner goes out of sight in the middle of a write, and comes back when another has just begun to serve (8.1, 8.3). */
async function ownerOutlived(run: ClusterSimulation): Promise<void> {
  const old = run.cluster.present
  if (old?.isServing !== true) return
  run.pace(1)
  await run.until(() => hasWrite(old), 2000)
  await run.pass(run.prng.float() * run.prng.pick([0.2, 2]))
  const back = run.prng.chance(0.5) ? paused(old.host) : cutOff(run, old.host)
  await untilServedBy(run, takeOverElsewhere(run, old.host))
  await run.pass(run.prng.below(run.prng.pick([10, 1000])))
  back()
  await run.work(OPERATIONS_MAX, 4000)
}

/**
 * A copy whose log a new owner has taken restarts before it is told the name of the new log; then the old owner reaches
 * it, and nobody else: only what the copy has promised keeps it from serving him again (S2).
 */
async function copyForgets(run: ClusterSimulation): Promise<void> {
  const { cluster } = run
  const old = cluster.present
  const copy = old?.isServing === true ? memberHost(run, old.host) : null
  if (!old || copy === null) return
  run.pace(1)
  await run.until(() => hasWrite(old), 500)
  const back = cutOff(run, old.host)
  old.host.pause()
  const heir = takeOverElsewhere(run, old.host)
  if (heir !== null) {
    // The own log gets the new name first; then the copies are told.
    const taken = logOn(run, heir.host.cache)
    const epoch = old.epoch
    const isNamed = (): boolean => (cluster.record?.epoch ?? 0) > epoch && Boolean(taken.head?.log?.pending)
    await run.until(() => heir.state === 'ended' || isNamed(), TAKEOVER_MS_MAX)
    copy.store.faults.hungUntilMs = run.world.nowMs + 200
    await run.pass(run.prng.below(100))
    cluster.peerOf(copy).crash()
    await untilServedBy(run, heir)
    cluster.network.cutBoth(heir.host.name, copy.name)
  }
  await run.until(() => cluster.peerOf(copy).isRunning, 3000)
  cluster.network.reset(old.host.name, copy.name)
  cluster.network.uncut(old.host.name, copy.name)
  cluster.network.uncut(copy.name, old.host.name)
  old.host.resume()
  await run.work(OPERATIONS_MAX, 8000)
  back()
  if (heir !== null) {
    cluster.network.uncut(heir.host.name, copy.name)
    cluster.network.uncut(copy.name, heir.host.name)
  }
}

/** The copies hold what the own log does not, when the owner's host starts anew and goes on with the own log (7.1b). */
async function tailToDrop(run: ClusterSimulation): Promise<void> {
  const { cluster } = run
  const host = mayCrash(run, cluster.present?.host)
  const copy = host === null ? null : memberHost(run, host)
  if (host === null || copy === null) return
  host.cache.faults.hungUntilMs = run.world.nowMs + 1000
  run.pace(1)
  const [own, other] = [logOn(run, host.cache), logOn(run, copy.store)]
  await run.until(() => other.lastBatchSeq > own.lastBatchSeq, 1000)
  cluster.crashHost(host)
  await run.pass(run.prng.below(200))
  cluster.bootHost(host)
  const holder = run.operator.takeOver(host)
  await untilServedBy(run, holder)
  // What does not belong there any more cannot be hidden by a change of the members.
  if (run.prng.chance(0.5)) cluster.register.unreachableUntilMs = run.world.nowMs + 1500
  if (holder.isServing) run.issueReads(holder)
  await run.work(OPERATIONS_MAX, 4000)
}

/** The own log holds what a copy does not, when the engine dies and its holder starts another (3.2). */
async function copyLagsBehind(run: ClusterSimulation): Promise<void> {
  const { cluster } = run
  const { present } = cluster
  const copy = present?.isServing === true ? memberHost(run, present.host) : null
  if (!present || copy === null) return
  copy.store.faults.hungUntilMs = run.world.nowMs + 1000
  run.pace(1)
  const [own, other] = [logOn(run, present.host.cache), logOn(run, copy.store)]
  await run.until(() => own.lastBatchSeq > other.lastBatchSeq, 1000)
  present.crashEngine()
  await run.until(() => present.isServing || present.state === 'ended', 4000)
  await run.work(OPERATIONS_MAX, 4000)
}

/** A peer that is wanted before the one that took its place comes back, and learns while users write (4.2). */
async function slowLearner(run: ClusterSimulation): Promise<void> {
  const { cluster, prng } = run
  const { present } = cluster
  const host = present?.isServing === true ? memberHost(run, present.host) : null
  if (!present || host === null) return
  cluster.peerOf(host).stop()
  await run.work(OPERATIONS_MAX, 3000)
  host.store.faults.slowFactor = prng.pick([10, 100])
  later(run, 20_000, () => {
    host.store.faults.slowFactor = 1
  })
  cluster.peerOf(host).start()
  run.pace(1)
  const isBack = (): boolean => cluster.record?.members.some(({ node }) => node === host.name) === true
  await run.until(isBack, 12_000)
  await run.work(OPERATIONS_MAX, 2000)
}

function hasWrite({ frontEnd }: Holder): boolean {
  return [...frontEnd.outstanding.values()].some(({ kind }) => kind === 'write')
}

/** Returns what lets it run again. */
function paused(host: Host): () => void {
  host.pause()
  return () => host.resume()
}

async function untilServedBy(run: ClusterSimulation, holder: Holder | null): Promise<void> {
  await run.until(() => holder === null || holder.isServing || holder.state === 'ended', TAKEOVER_MS_MAX)
}
