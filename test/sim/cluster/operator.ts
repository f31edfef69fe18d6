// Who looks after the volume from outside, as a control plane or a person would: where nobody serves it, somebody opens
// it; where its owner's host has not answered for a while, another host takes it over. It knows no more than they would,
// errs now and then on purpose, and never hurries twice at once.
import type { Prng } from '../../../base/prng.ts'
import type { Ms } from '../../../base/units.ts'
import type { Cluster } from './cluster.ts'
import type { Holder } from './holder.ts'
import type { Host } from './host.ts'

const LOOK_MS = 500
/** An opening that takes longer is given up, and somebody else tries. */
const OPENING_MS_MAX = 45_000

export class Operator {
  /** No look is taken while it sleeps. */
  asleep = false
  /** The next openings accept the loss of data. */
  acceptsLoss = false
  private readonly cluster: Cluster
  private readonly prng: Prng
  private startedMs: Ms = 0
  private missedMs: Ms = -1
  private lastHost: Host | null = null
  /** Openings since somebody served. */
  tries = 0

  constructor(cluster: Cluster) {
    this.cluster = cluster
    this.prng = cluster.world.prng.fork('operator')
  }

  start(): void {
    this.look()
  }

  /** Takes the volume over to a host, whoever has it. */
  takeOver(host: Host): Holder {
    this.startedMs = this.cluster.world.nowMs
    this.missedMs = -1
    this.lastHost = host
    this.tries++
    return this.cluster.startHolder(host, this.acceptsLoss)
  }

  /** A host other than `not` that could read the log by itself where no other does; else any other. */
  heir(not: Host | null): Host | null {
    const { members } = this.cluster.record ?? { members: [] }
    const holding = this.cluster.hosts.filter((host) => host.isUp && members.some(({ node }) => node === host.name))
    return holding.find((host) => host !== not) ?? (holding.length > 0 ? null : this.anotherHost(not))
  }

  /** A host that could serve, other than `not`; null: there is none. */
  anotherHost(not: Host | null): Host | null {
    const able = this.cluster.hosts.filter((host) => host !== not && host.isUp && !host.isPaused)
    return able.length === 0 ? null : this.prng.pick(able)
  }

  private look(): void {
    const { world } = this.cluster
    if (!this.asleep) this.act()
    world.schedule(LOOK_MS * (0.5 + this.prng.float()), 'operator', () => this.look())
  }

  private act(): void {
    const { cluster } = this
    const { present } = cluster
    if (present === null) {
      this.open()
      return
    }
    if (present.isServing) this.tries = 0
    if (present.state === 'opening') {
      if (cluster.world.nowMs - this.startedMs > OPENING_MS_MAX) present.end('the operator gives it up')
      return
    }
    const isNewest = present.epoch === cluster.record?.epoch
    const answers = present.isServing && isNewest && this.reaches(present.host)
    if (answers) this.missedMs = -1
    else if (this.missedMs < 0) this.missedMs = cluster.world.nowMs
    const patience = cluster.scenario.operator.patienceMs
    if (this.missedMs < 0 || cluster.world.nowMs - this.missedMs < patience) return
    const host = this.choose(present.host)
    if (host !== null && this.prng.chance(0.7)) this.takeOver(host)
    else this.missedMs = -1
  }

  /** Where it served last, if that host is up and the operator so inclined; else anywhere. */
  private open(): void {
    const { cluster } = this
    const { sticky } = cluster.scenario.operator
    const owner = cluster.hosts.find(({ name }) => name === cluster.record?.owner) ?? this.lastHost
    const able = owner !== null && owner !== undefined && owner.isUp && !owner.isPaused
    const back = able && (sticky ? this.tries % 3 !== 2 : this.prng.chance(0.3))
    const host = back ? owner : this.choose(null)
    if (host !== null) this.takeOver(host)
  }

  /** Rather a host that holds a copy: where only that one can be read, nobody else can open the volume. */
  private choose(not: Host | null): Host | null {
    const { cluster } = this
    const holding = cluster.hosts.filter(
      ({ name, isUp, isPaused }) => isUp && !isPaused && cluster.record?.members.some(({ node }) => node === name),
    )
    const rather = cluster.sparing ? 0.8 : 0.4
    return holding.length > 0 && this.prng.chance(rather) ? this.prng.pick(holding) : this.anotherHost(not)
  }

  /**
   * Whether the host answers the one who looks: it runs, and reaches register and backing. A fence that was asked for
   * long ago may have cut an owner that came after.
   */
  private reaches({ isUp, isPaused, name }: Host): boolean {
    return isUp && !isPaused && !this.cluster.register.cutFrom.has(name) && !this.cluster.backing.isCut(name)
  }
}
