// One run of the cluster: a scenario, with every checker watching. Somebody opens the volume, users work, one incident
// after the other happens; then everything is healed, and the volume must serve, answer everything, hold every sector
// right, and close clean. Where every copy was destroyed, it must say so instead.
import { CacheError } from '../../../base/errors.ts'
import { createPrng, type Prng } from '../../../base/prng.ts'
import type { Ms } from '../../../base/units.ts'
import { describeError, RunEnded } from '../run-result.ts'
import type { Violation } from '../report.ts'
import { World } from '../world.ts'
import { StrongInvariantChecker } from './checkers/strong-invariant.ts'
import { Cluster, memberKey } from './cluster.ts'
import type { OpenClusterVolume } from './holder.ts'
import { runClusterIncident } from './incidents.ts'
import { Operator } from './operator.ts'
import { type ClusterScenario, drawClusterScenario } from './scenario.ts'

/** Longest time between two incidents. */
const PHASE_MS_MAX: Ms = 10_000
/** Virtual time within which everything must be answered once all faults have ended. */
export const LIVENESS_MS: Ms = 120_000
/** A change of the register that a dead engine has sent lands within this, or never. */
const LATE_MS: Ms = 3500
/** Users that nobody hurries. */
const SLOWNESS = 40

export interface ClusterResult {
  readonly seed: string
  readonly violations: readonly Violation[]
  readonly traceHash: string
  readonly traceTail: readonly string[]
  readonly scenario: ClusterScenario
  readonly events: number
  readonly operations: number
  readonly virtualMs: number
  readonly counts: Readonly<Record<string, number>>
  /** How the run ended: 'complete', or why it went no further without a violation. */
  readonly end: string
}

export interface ClusterSubject {
  readonly openVolume: OpenClusterVolume
  readonly change: (scenario: ClusterScenario) => ClusterScenario
  readonly wholeTrace: boolean
}

export class ClusterSimulation {
  readonly world: World
  readonly cluster: Cluster
  readonly operator: Operator
  readonly prng: Prng
  readonly scenario: ClusterScenario
  private readonly invariant: StrongInvariantChecker
  private readonly wholeTrace: boolean
  private end = 'complete'

  constructor(seed: string, subject: ClusterSubject) {
    this.prng = createPrng(seed).fork('cluster')
    this.scenario = subject.change(drawClusterScenario(createPrng(seed).fork('cluster-scenario')))
    this.world = new World(seed)
    this.wholeTrace = subject.wholeTrace
    if (this.wholeTrace) this.world.trace.keepAll()
    this.cluster = new Cluster(this.world, this.scenario, subject.openVolume)
    this.operator = new Operator(this.cluster)
    const { cluster } = this
    this.invariant = new StrongInvariantChecker({
      world: this.world,
      report: cluster.report,
      oracle: cluster.oracle,
      backing: cluster.backing.disk,
      copies: cluster.copies,
      record: () => cluster.record,
      isDestroyed: (member) => cluster.destroyed.has(memberKey(member)),
      beyondBudget: this.scenario.budget === 'beyond',
    })
    cluster.watch([this.invariant])
  }

  async run(): Promise<ClusterResult> {
    const { cluster } = this
    try {
      await this.script()
    } catch (error) {
      if (!(error instanceof RunEnded)) cluster.report.add('crash', 'no exception', describeError(error))
    }
    cluster.release()
    return this.result()
  }

  get answered(): number {
    return this.cluster.holders.reduce((sum, { frontEnd }) => sum + frontEnd.answered, 0)
  }

  count(name: string): void {
    this.cluster.count(name)
  }

  /** Runs events until `condition` holds or time is up. True: it holds. */
  async until(condition: () => boolean, forMs: Ms): Promise<boolean> {
    const { cluster, world } = this
    const end = await world.run(() => {
      for (const checker of cluster.checkers) checker.afterEvent?.()
      return cluster.report.failed || condition()
    }, forMs)
    if (cluster.report.failed) throw new RunEnded()
    if (end === 'event-limit') {
      cluster.report.add('liveness', 'invariant 10', 'the run needs too many events')
      throw new RunEnded()
    }
    return condition()
  }

  async pass(ms: Ms): Promise<void> {
    await this.until(() => false, ms)
  }

  /** Lets the users get that many answers, at most for so long. */
  async work(operations: number, forMs: Ms): Promise<void> {
    this.pace(1)
    const goal = this.answered + operations
    await this.until(() => this.answered >= goal, forMs)
    this.pace(SLOWNESS)
  }

  /** How busy the users of every holder are. */
  pace(slowness: number): void {
    this.cluster.slowness = slowness
    for (const { workload } of this.cluster.holders) workload.slowness = slowness
  }

  giveUp(why: string): never {
    this.end = why
    throw new RunEnded()
  }

  private async script(): Promise<void> {
    const { cluster, operator } = this
    for (const peer of cluster.peers.values()) peer.start()
    operator.start()
    this.pace(SLOWNESS)
    await this.until(() => cluster.present?.isServing === true, LIVENESS_MS)
    await this.untilCopied()
    for (const { afterOperations, incident } of this.scenario.incidents) {
      await this.work(afterOperations, PHASE_MS_MAX)
      this.world.trace.note(this.world.nowMs, `INCIDENT ${incident}`)
      this.count(incident)
      await runClusterIncident(this, incident)
    }
    await this.work(10, PHASE_MS_MAX)
    await this.finish()
  }

  /** The policy is met for the first time: what is not there from the start takes its time. */
  private async untilCopied(): Promise<void> {
    const { same, other } = this.scenario.wanted
    await this.until(() => (this.cluster.record?.members.length ?? 0) > same + other, PHASE_MS_MAX)
  }

  private async finish(): Promise<void> {
    this.heal()
    await this.pass(LATE_MS)
    await this.untilServed()
    await this.readAll()
    this.world.trace.note(this.world.nowMs, `ENDING ${this.scenario.ending}`)
    if (this.scenario.ending === 'takeover') {
      const heir = this.operator.heir(this.cluster.present?.host ?? null)
      if (heir !== null) this.operator.takeOver(heir)
      await this.untilServed()
      await this.readAll()
    }
    await this.close()
  }

  /** Every fault ends, every host is up, every peer runs. */
  heal(): void {
    const { cluster, operator } = this
    operator.asleep = false
    cluster.sparing = true
    cluster.network.heal()
    cluster.register.heal()
    for (const disk of cluster.disks) disk.faults.heal()
    for (const host of cluster.hosts) {
      host.resume()
      cluster.bootHost(host)
      cluster.peerOf(host).start()
    }
    this.world.trace.note(this.world.nowMs, 'HEALED')
  }

  /** Somebody serves, and everything that its users wait for is answered. */
  private async untilServed(): Promise<void> {
    const { cluster } = this
    for (const { workload } of cluster.holders) workload.pause()
    const served = (): boolean => {
      const { present } = cluster
      if (present?.isServing !== true || present.epoch !== cluster.record?.epoch) return false
      present.workload.pause()
      return present.frontEnd.outstanding.size === 0
    }
    if (await this.until(served, LIVENESS_MS)) return
    if (this.scenario.budget === 'beyond') this.judgeLoss()
    const stuck = [...(cluster.present?.frontEnd.outstanding.values() ?? [])][0]
    const error = cluster.holders.findLast((holder) => holder.error !== null)?.error
    const what = stuck === undefined ? '' : ` first=${stuck.kind} ${stuck.id}`
    cluster.report.add(
      'liveness',
      'invariant 10',
      `not served after all faults ended state=${cluster.present?.state ?? 'nobody'}${what} lastRefusal=${error === undefined ? 'none' : describeError(error)}`,
    )
    throw new RunEnded()
  }

  /** Beyond the budget a volume may not come back, but has to say why. */
  private judgeLoss(): never {
    const { cluster } = this
    const error = cluster.holders.findLast((holder) => holder.error !== null)?.error
    if (error instanceof CacheError && error.kind === 'corrupt') {
      this.count('losses-said')
      this.giveUp(`loss said: ${error.code}`)
    }
    this.giveUp('stalled beyond budget')
  }

  /** Reads every sector through the volume, once everything is quiet. */
  private async readAll(): Promise<void> {
    const { sectors } = this.scenario.workload
    const step = Math.min(32, sectors)
    const holder = this.cluster.present
    if (holder === null) return
    for (let first = 0; first < sectors; first += step) {
      holder.frontEnd.issue({
        kind: 'read',
        firstSector: first,
        sectors: step,
        forceUnitAccess: false,
        mayUnmap: false,
      })
    }
    holder.frontEnd.kick()
    await this.untilServed()
  }

  /** A clean close, after which the register says that the backing has everything. */
  private async close(): Promise<void> {
    const { cluster, operator } = this
    const holder = cluster.present
    if (holder === null) return
    operator.asleep = true
    let outcome: { error: unknown } | 'closed' | null = null
    holder.close().then(
      () => {
        outcome = 'closed'
      },
      (error: unknown) => {
        outcome = { error }
      },
    )
    await this.until(() => outcome !== null, LIVENESS_MS)
    if (outcome === 'closed' && cluster.record?.phase === 'Detached' && !cluster.record.dirty) return
    if (this.scenario.budget === 'beyond') this.giveUp('does not close beyond budget')
    const why =
      outcome === null || outcome === 'closed'
        ? 'it does not end'
        : describeError((outcome as { error: unknown }).error)
    cluster.report.add('liveness', 'invariant 10', `a close after all faults ended fails: ${why}`)
    throw new RunEnded()
  }

  private result(): ClusterResult {
    const { world, cluster } = this
    const counts: Record<string, number> = { ...cluster.counts, 'sectors-judged': this.invariant.looks }
    counts['unknown-swaps'] = cluster.register.unknownReplies
    return {
      seed: world.seed,
      violations: cluster.report.violations,
      traceHash: world.trace.hash(),
      traceTail: cluster.report.failed || this.wholeTrace ? world.trace.kept() : [],
      scenario: this.scenario,
      events: world.events,
      operations: this.answered,
      virtualMs: world.nowMs,
      counts,
      end: this.end,
    }
  }
}
