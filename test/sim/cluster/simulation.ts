// One run of the cluster: a scenario, with every checker watching. Somebody opens the volume, users work, one incident
// after the other happens; then everything is healed, and the volume must serve, answer everything, hold every sector
// right, and close clean. Where every copy was destroyed, it must say so instead.
import process from 'node:process'
import { createPrng, type Prng } from '../../../base/prng.ts'
import type { Ms } from '../../../base/units.ts'
import { describeError, RunEnded } from '../run-result.ts'
import type { Violation } from '../report.ts'
import { World } from '../world.ts'
import { BufferChecker } from '../checkers/buffers.ts'
import { ClusterAckChecker } from './checkers/ack.ts'
import { BoundedChecker } from './checkers/bounded.ts'
import { FencingChecker } from './checkers/fencing.ts'
import { HistoryChecker } from './checkers/history.ts'
import { judgeStandstill } from './checkers/liveness.ts'
import { OneWriterChecker } from './checkers/one-writer.ts'
import { StrongInvariantChecker } from './checkers/strong-invariant.ts'
import { TrimOrderChecker } from './checkers/trim-order.ts'
import { Cluster, memberKey } from './cluster.ts'
import type { Holder, OpenClusterVolume } from './holder.ts'
import { runClusterIncident } from './incidents.ts'
import { Operator } from './operator.ts'
import { StoreOnDisk } from './store-on-disk.ts'
import { type ClusterScenario, drawClusterScenario } from './scenario.ts'

/** Longest time between two incidents. */
const PHASE_MS_MAX: Ms = 10_000
/** Virtual time within which everything must be answered once all faults have ended. */
export const LIVENESS_MS: Ms = 120_000
/** A change of the register that a dead engine has sent lands within this, or never. */
const LATE_MS: Ms = 3500
/** Damping doubles with each loss of a peer; a run has only a few. */
const RETURN_MS_MAX: Ms = 200_000
/** Users that nobody hurries think so long. */
const SLOW_THINK_MS: Ms = 400

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
  private readonly trims: TrimOrderChecker
  private readonly wholeTrace: boolean
  private end = 'complete'
  /** Somebody has changed the policy: what the volume should come back to is his business. */
  policySwitched = false

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
    const { world, report, oracle, backing, copies, holders, hosts, network } = cluster
    this.trims = new TrimOrderChecker({ report, oracle, backing: backing.disk, copies })
    cluster.watch([
      new HistoryChecker({ world, oracle, holders }),
      new OneWriterChecker(report),
      new FencingChecker({ report, backing: backing.disk, record: () => cluster.record }),
      new ClusterAckChecker({
        report,
        record: () => cluster.record,
        destroyedAt: (member) => cluster.destroyed.get(memberKey(member)),
        beyondBudget: this.scenario.budget === 'beyond',
      }),
      this.invariant,
      this.trims,
      new BufferChecker({ report }),
      new BoundedChecker({
        report,
        disks: cluster.disks,
        processes: () => hosts.flatMap(({ processes }) => [...processes]),
        streams: () => hosts.reduce((sum, { name }) => sum + network.openStreams(name), 0),
      }),
    ])
  }

  async run(): Promise<ClusterResult> {
    const { cluster } = this
    const onCrash = (error: unknown): void => cluster.report.add('crash', 'no exception', describeError(error))
    // What the product leaves to nobody would end its process.
    process.on('unhandledRejection', onCrash)
    try {
      await this.script()
    } catch (error) {
      if (!(error instanceof RunEnded)) onCrash(error)
    }
    cluster.release()
    process.off('unhandledRejection', onCrash)
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
    // What follows shall not always come right after an answer.
    await this.pass(this.prng.float() * this.prng.pick([0.5, 5, 20]))
    this.pace(this.slowness)
  }

  private get slowness(): number {
    return SLOW_THINK_MS / this.scenario.workload.thinkMs
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
    this.pace(this.slowness)
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

  /** Where everybody is there, the volume comes back to as many copies as the policy wants, and to write-back. */
  private async untilPolicyMet(): Promise<void> {
    const { cluster, scenario } = this
    const isMet = (): boolean => {
      const { present, record } = cluster
      if (record === null || present?.isServing !== true || !cluster.canMeetPolicy(present.host)) return true
      const { same, other } = scenario.wanted
      return record.phase === 'WriteBack' && record.members.length > same + other
    }
    if (this.policySwitched || scenario.engine.writePolicy !== 'write-back') return
    if (await this.until(isMet, RETURN_MS_MAX)) return
    const { phase, members } = cluster.record ?? { phase: 'none', members: [] }
    cluster.report.add(
      'liveness',
      'invariant 10',
      `all peers are there, and the policy is not met again phase=${phase} members=${members.map(({ node }) => node).join(',')}`,
    )
    throw new RunEnded()
  }

  private async finish(): Promise<void> {
    this.heal()
    await this.pass(LATE_MS)
    await this.untilServed()
    if (this.scenario.waitsForCopies) await this.untilPolicyMet()
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
    for (const host of cluster.hosts) cluster.mendCache(host)
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
      // A fence that was asked for long ago may have cut an owner that came after: the operator has to see to it.
      if (cluster.backing.isCut(present.host.name)) return false
      present.workload.pause()
      return present.frontEnd.outstanding.size === 0
    }
    if (await this.until(served, LIVENESS_MS)) return
    this.judgeStandstill()
  }

  private judgeStandstill(): never {
    const { cluster } = this
    const { record, intactCopies, present, holders, report } = cluster
    const stuck = [...(present?.frontEnd.outstanding.values() ?? [])][0]
    const verdict = judgeStandstill({
      record,
      intactCopies,
      refusals: holders.flatMap(({ error }) => (error === null ? [] : [error])),
      state: present?.state ?? 'nobody',
      stuck: stuck === undefined ? '' : `${stuck.kind} ${stuck.id}`,
    })
    if ('violation' in verdict) {
      report.add('liveness', 'invariant 10', verdict.violation)
      throw new RunEnded()
    }
    this.count('losses-said')
    this.giveUp(verdict.excused)
  }

  /** Reads every sector through the volume, once everything is quiet. */
  private async readAll(): Promise<void> {
    const holder = this.cluster.present
    if (holder === null) return
    this.issueReads(holder)
    await this.untilServed()
  }

  /** The users of `holder` read every sector. */
  issueReads({ frontEnd }: Holder): void {
    const { sectors } = this.scenario.workload
    const step = Math.min(32, sectors)
    for (let first = 0; first < sectors; first += step) {
      frontEnd.issue({
        kind: 'read',
        firstSector: first,
        sectors: step,
        forceUnitAccess: false,
        mayUnmap: false,
      })
    }
    frontEnd.kick()
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
    const counts: Record<string, number> = {
      ...cluster.counts,
      'sectors-judged': this.invariant.looks,
      'batches-trimmed': this.trims.trimmed,
    }
    counts['compressed-batches'] = cluster.copies.reduce(
      (sum, copy) => sum + (copy instanceof StoreOnDisk ? copy.compressed : 0),
      0,
    )
    counts['tails-to-drop'] = cluster.copies.reduce((sum, { tailsToDrop }) => sum + tailsToDrop, 0)
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
