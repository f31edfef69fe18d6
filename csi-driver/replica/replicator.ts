// The owner's side of replication: front door of replica/replicator/. Sends every batch to all members of the in-sync set
// that live on other nodes, fills learners, holds the members' leases. Who is a member is decided elsewhere (the register,
// the engine's membership); here is known only for whom to wait.
//
//   engine ─ append, trim, waitFor, learn ─▶ Replicator ─▶ PeerLink ─▶ role: MemberRole | Learner | none
//          ◀──── done, onChange ────────────            ◀─ answers ──
//
// Invariants:
//  - `done` of an append runs only when each waited-for member, under the life of its store that was given to waitFor, and
//    each learner that has joined, has acknowledged the batch (rules 2.1, 2.2).
//  - When `done` has run, no stream reads that batch's bytes any more: all have acknowledged it or are destroyed.
//  - A lease counts from when its heartbeat was sent (8.1), and for one life of a store.
//  - After 'fenced' nothing is completed and no lease is valid.
// Hot path (append, acknowledgement): callbacks, no promise. Decisions about a member that comes back: member-table.ts.
import { assert } from '../../base/assert.ts'
import type { Clock, Timer } from '../../base/clock.ts'
import type { EventLog } from '../../base/log.ts'
import type { BatchSeq, Ms } from '../../base/units.ts'
import { type Member, sameMember } from '../register/record.ts'
import type { FetchedBatch } from './replicator/batch-fetches.ts'
import type { CopyRole } from './replicator/copy-role.ts'
import type { PeerStatus, ReplicatorEvent } from './replicator/events.ts'
import { Learner } from './replicator/learner.ts'
import { AttendedTime, LogProgress, TICK_MS } from './replicator/log-progress.ts'
import { MemberRole } from './replicator/member.ts'
import { RAW_PAYLOADS } from './replicator/payloads.ts'
import type { ConnectionEnd } from './replicator/peer-connection.ts'
import { SleepWatch } from './replicator/peer-lease.ts'
import { type LinkContext, PeerLink } from './replicator/peer-link.ts'
import type { BatchSource, Peer, ReplicatorIdentity, ReplicatorPorts } from './replicator/ports.ts'
import type { BatchFrame } from './wire/envelope.ts'

export type { PeerState, PeerStatus, ReplicatorEvent } from './replicator/events.ts'
export { AdaptivePayloads, type PayloadCoder } from './replicator/payloads.ts'
export {
  type BlocksAnswer,
  CacheLink,
  type CacheLinkHandlers,
  type CacheLinkPorts,
  type LeftCacheFound,
} from './replicator/cache-link.ts'
export { READ_BLOCKS_MAX } from './wire/cache-bodies.ts'
export type { BatchSource, Peer, ReplicatorIdentity, ReplicatorPorts, VolumeIdentity } from './replicator/ports.ts'
export type { BatchTaker } from './replicator/fetch.ts'
export { StoreSession } from './replicator/store-session.ts'
export { ReplicaCorruptError, StoreRefusedError } from './replicator/store-errors.ts'
export type { BatchFrame } from './wire/envelope.ts'

/** How long a release waits for the answers. */
export const RELEASE_LIMIT_MS: Ms = 1_000

export class Replicator implements LinkContext {
  /** What happens to the peers. Never called from within a call of the engine's own. */
  onChange: (event: ReplicatorEvent) => void = () => {}
  readonly ports: ReplicatorPorts
  readonly identity: ReplicatorIdentity
  readonly clock: Clock
  readonly log: EventLog
  readonly source: BatchSource
  readonly progress: LogProgress
  readonly time: AttendedTime
  heartbeatsOn = true
  private readonly links = new Map<string, PeerLink>()
  /** The roles of all links: whom append and trim wait for. */
  private copies: readonly CopyRole[] = []
  private readonly sleep: SleepWatch
  private ticker: Timer | null = null
  private phase: 'new' | 'running' | 'fenced' | 'stopped' = 'new'
  /** Monotonic time up to which all members' leases are held. */
  private leaseUntilMs: Ms = Number.POSITIVE_INFINITY
  private releasing: { readonly waiting: Set<PeerLink>; readonly done: () => void } | null = null

  constructor(ports: ReplicatorPorts, identity: ReplicatorIdentity) {
    this.ports = ports
    this.identity = identity
    this.clock = ports.clock
    this.source = ports.source
    this.log = ports.log.child({ volume: identity.volume, epoch: identity.epoch })
    this.time = new AttendedTime(ports.clock)
    this.progress = new LogProgress(ports.payloads ?? RAW_PAYLOADS, ports.clock)
    this.sleep = new SleepWatch(ports.clock)
  }

  /** A newer engine writes the volume: this one must stop. */
  get fenced(): boolean {
    return this.phase === 'fenced'
  }

  /** The nodes that may hold a copy; the own one is left out. A node that is a member stays as long as it is one. */
  setPeers(peers: readonly Peer[]): void {
    for (const link of this.links.values()) link.isPeer = false
    for (const peer of peers) if (peer.node !== this.identity.node) this.linkTo(peer.node).setPeer(peer)
    this.dropUnused()
  }

  /**
   * The in-sync set as the register has it, or while a change of it is unsettled the stricter of both (rule 1.2). A batch
   * in flight waits for those that are new, and may be completed within this call by one that is gone. The stream of a
   * member that is gone is destroyed before.
   */
  waitFor(members: readonly Member[]): void {
    const wanted = members.filter(({ node }) => node !== this.identity.node)
    for (const link of this.links.values()) {
      const member = wanted.find(({ node }) => node === link.node)
      if (link.member !== null && (member === undefined || !sameMember(link.member.member, member))) {
        link.role = null
        link.reconnect('no more a member')
      }
    }
    for (const member of wanted) this.addMember(member)
    this.dropUnused()
    this.copiesChanged()
  }

  /** Begins to connect. What the source holds now is what members must hold; the first peers and members are set. */
  start(): void {
    assert(this.phase === 'new', `started once phase=${this.phase}`)
    this.phase = 'running'
    const { source } = this
    this.progress.startAt({ batchSeq: source.lastBatchSeq, hash: source.lastHash }, source.begin.batchSeq - 1)
    for (const link of this.links.values()) link.start()
    this.tickLater()
  }

  /** Ends all connections. What was appended or trimmed and not answered never will be, nor what is from now on. */
  stop(): Promise<void> {
    if (this.phase !== 'stopped') {
      this.phase = 'stopped'
      this.closeLinks()
    }
    return Promise.resolve()
  }

  /**
   * Sends a sealed batch to everybody that is waited for. Every batch of the log is given here, in order, also where
   * nobody is waited for; one at a time. `done` runs when all have it, possibly within this call. Until then the bytes
   * must not change (a member may still have to be sent them); afterwards no stream reads them: a link that was given up
   * on is destroyed, and a destroyed stream sends nothing more. Where the engine is frozen (rule 1.2) it holds its own
   * acknowledgement back: `done` says what the copies have, not what may be acknowledged. Hot.
   */
  append(frame: BatchFrame, batchSeq: BatchSeq, done: () => void): void {
    assert(this.phase !== 'new', 'replicator was started')
    if (this.phase !== 'running') return
    const { progress, copies } = this
    this.noticeSleep()
    progress.append(frame, this.time.nowMs, done)
    assert(progress.appendedSeq === batchSeq, `frame holds the batch batchSeq=${batchSeq}`)
    for (const copy of copies) copy.flightStarted()
    this.settleFlight()
  }

  /**
   * Everything up to and including `batchSeq` is destaged, flushed and trimmed durably in the own log. `done` runs when no
   * member and no learner holds a record of it any more (rule 2.4); one at a time.
   */
  trim(batchSeq: BatchSeq, done: () => void): void {
    assert(this.phase !== 'new', 'replicator was started')
    if (this.phase !== 'running') return
    const { progress, copies } = this
    assert(batchSeq <= progress.completedSeq, `only what is complete is trimmed batchSeq=${batchSeq}`)
    progress.trim.begin(this.time.nowMs, done)
    progress.trimSeq = Math.max(progress.trimSeq, batchSeq)
    for (const copy of copies) copy.trimRequested()
    this.settleTrim()
  }

  /** Fills the store of a peer that is no member (its logs are discarded, rule 7.1c: no membership CAS may be open). */
  learn(node: string): void {
    const link = this.linkTo(node)
    assert(link.member === null, `a member does not learn node=${node}`)
    if (link.learner !== null) return
    link.role = new Learner(this, link)
    // Once more from the greeting: whatever the store told before may be old.
    if (link.isOpen) link.reconnect('it becomes a learner')
    this.copiesChanged()
  }

  /** Ends learning. Nothing happens to a member. */
  forget(node: string): void {
    const link = this.links.get(node)
    if (link === undefined || link.learner === null) return
    // Without a role, the end of the connection tells it nothing.
    link.learner.end()
    link.role = null
    link.reconnect('no more a learner')
    this.copiesChanged()
  }

  /**
   * What of a learner may be listed, at this very moment: it holds everything, is waited for, its trim is ours, its lease
   * is held. Call waitFor with it in the same step, and send the CAS only then. null: wait for the next 'joined'.
   */
  joinedMember(node: string): Member | null {
    return this.links.get(node)?.learner?.joinedMember() ?? null
  }

  /** Rule 8.3: the leases of all members are held. True where there is no other member. Hot. */
  leaseValid(): boolean {
    return this.clock.monotonicMs() < this.leaseUntilMs
  }

  /** Reads a complete batch back from a member that holds it. `done` gets its verified frame, which is the caller's. */
  fetchBatch(batchSeq: BatchSeq, done: FetchedBatch): void {
    const holder = [...this.links.values()].find(
      ({ isOpen, member }) => isOpen && member !== null && member.state === 'member' && member.ackedSeq >= batchSeq,
    )
    if (holder === undefined || this.phase !== 'running')
      done(new Error('no member answers that holds the batch'), null)
    else holder.fetches.ask(batchSeq, done)
  }

  peers(): PeerStatus[] {
    return [...this.links.values()].map((link) => link.status())
  }

  /** Gives the leases back: nothing is read or acknowledged from this call on, until resumeLeases. Waits for a moment. */
  release(): Promise<void> {
    this.heartbeatsOn = false
    for (const link of this.links.values()) link.voidLease()
    this.leasesChanged()
    const waiting = new Set([...this.links.values()].filter((link) => link.member !== null && link.isOpen))
    for (const link of waiting) link.send({ type: 'RELEASE' })
    this.releaseOver()
    if (waiting.size === 0) return Promise.resolve()
    return new Promise((resolve) => {
      const timer = this.ports.timers.after(RELEASE_LIMIT_MS, () => this.releaseOver())
      const done = (): void => {
        timer.cancel()
        resolve()
      }
      this.releasing = { waiting, done }
    })
  }

  /** The hand-over did not happen: leases are asked for again. */
  resumeLeases(): void {
    this.heartbeatsOn = true
    for (const link of this.links.values()) link.voidLease()
    this.leasesChanged()
  }

  emit(event: ReplicatorEvent): void {
    this.ports.timers.soon(() => {
      if (this.phase !== 'stopped') this.onChange(event)
    })
  }

  settle(): void {
    this.settleFlight()
    this.settleTrim()
  }

  fence(node: string, { code, message }: ConnectionEnd & { kind: 'refused' }): void {
    if (this.phase !== 'running') return
    this.phase = 'fenced'
    this.closeLinks()
    this.leasesChanged()
    this.log.event('replica.fenced', { node, code, reason: message }, 'error')
    this.emit({ kind: 'fenced', node, code, message })
  }

  leasesChanged(): void {
    let untilMs = Number.POSITIVE_INFINITY
    for (const link of this.links.values()) {
      if (link.member !== null) untilMs = Math.min(untilMs, link.member.leaseUntilMs)
    }
    const isOver = !this.heartbeatsOn || this.phase === 'fenced'
    this.leaseUntilMs = isOver ? Number.NEGATIVE_INFINITY : untilMs
  }

  releaseAnswered(link: PeerLink): void {
    const { releasing } = this
    if (releasing === null || !releasing.waiting.delete(link) || releasing.waiting.size > 0) return
    this.releaseOver()
  }

  removeLearner(link: PeerLink, reason: string): void {
    const { role } = link
    this.ports.timers.soon(() => {
      if (link.role !== role || this.phase === 'stopped') return
      link.role = null
      this.log.event('replica.learner_failed', { node: link.node, reason }, 'warning')
      this.onChange({ kind: 'learner-failed', node: link.node, reason })
      this.copiesChanged()
    })
  }

  private linkTo(node: string): PeerLink {
    let link = this.links.get(node)
    if (link === undefined) {
      link = new PeerLink(this, node)
      this.links.set(node, link)
      if (this.phase === 'running') link.start()
    }
    return link
  }

  private addMember(member: Member): void {
    const link = this.linkTo(member.node)
    if (link.member !== null) return
    const { learner } = link
    const role = new MemberRole(this, link, member)
    const listable = learner?.joinedMember() ?? null
    link.role = role
    if (learner !== null && listable !== null && sameMember(listable, member)) role.takeOver(learner)
    // Its greeting is compared; what it said before may be old.
    else if (link.isOpen) link.reconnect('it becomes a member')
  }

  private dropUnused(): void {
    for (const link of this.links.values()) {
      if (link.isPeer || link.role !== null) continue
      link.close()
      this.links.delete(link.node)
    }
  }

  private copiesChanged(): void {
    this.copies = [...this.links.values()].flatMap(({ role }) => (role === null ? [] : [role]))
    this.leasesChanged()
    this.settle()
  }

  private settleFlight(): void {
    const { progress, copies } = this
    if (!progress.flight.active || this.phase !== 'running') return
    for (const copy of copies) if (!copy.hasFlight()) return
    const done = progress.complete()
    for (const copy of copies) copy.flightCompleted()
    done()
  }

  private settleTrim(): void {
    const { progress, copies } = this
    if (!progress.trim.active || this.phase !== 'running') return
    for (const copy of copies) if (!copy.hasTrimmed()) return
    progress.trim.end()()
  }

  private tickLater(): void {
    this.ticker = this.ports.timers.after(TICK_MS, () => {
      this.time.tick()
      this.noticeSleep()
      for (const link of this.links.values()) link.tick()
      if (this.phase === 'running') this.tickLater()
    })
  }

  /** While the host slept the stores' clocks ran on: no lease is what we took it for. */
  /** A host that slept has no leases, whatever its monotonic clock says. Looks at the boot clock. */
  noticeSleep(): void {
    if (!this.sleep.slept()) return
    this.log.event('replica.host_slept', {}, 'warning')
    for (const link of this.links.values()) link.voidLease()
    this.leasesChanged()
  }

  private closeLinks(): void {
    this.ticker?.cancel()
    for (const link of this.links.values()) link.close()
    this.releaseOver()
  }

  private releaseOver(): void {
    const { releasing } = this
    this.releasing = null
    releasing?.done()
  }
}
