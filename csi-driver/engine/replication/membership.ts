// Keeps the in-sync set what the policy asks for: hears from the replicator how its peers fare, asks
// protocol/membership-table.ts what to do next, and carries it out, one change at a time. A member that does not answer
// is removed in the register before anything is acknowledged without it (2.2); a learner is waited for before the
// register lists it (4.2).
import type { Timer } from '../../../base/clock.ts'
import type { Ms } from '../../../base/units.ts'
import { type Damping, lostAgain, NEVER_LOST } from '../../protocol/damping.ts'
import {
  type CandidateView,
  type MembershipAction,
  type MembershipDecision,
  membershipDecision,
} from '../../protocol/membership-table.ts'
import { tooFewPeersText } from '../../protocol/placement.ts'
import { addMember, removeMember, setPhase } from '../../protocol/register-transitions.ts'
import { isOfNewerEngine, type RefusalCode } from '../../protocol/stored-log.ts'
import { type Member, type RegisterRecord, sameMember } from '../../register/record.ts'
import type { RegisterClient } from '../../register/register-client.ts'
import type { PeerState, PeerStatus, Replicator, ReplicatorEvent } from '../../replica/replicator.ts'
import type { EdgeHashes } from '../edge-hashes.ts'
import type { EngineCore } from '../engine-core.ts'
import type { PhaseControl } from '../phase-control.ts'
import type { ReplicationSettings } from '../volume-settings.ts'

/** Damping and pauses end without an event: looked at this often. Also when a lease that ran out is back. */
const TICK_MS: Ms = 250

export interface MembershipHost {
  readonly core: EngineCore
  readonly client: RegisterClient
  readonly edges: EdgeHashes
  readonly phases: PhaseControl
  /** Requests that waited for the end of a freeze or for a lease may go on. */
  release(): void
}

const STATUS: Readonly<Record<PeerState, CandidateView['status']>> = {
  offline: 'unreachable',
  candidate: 'connected',
  member: 'connected',
  behind: 'connected',
  'lost-content': 'connected',
  learning: 'learning',
  'catching-up': 'learning',
  joined: 'joined',
  refused: 'refused',
}

/** Refusals for want of room, which stand until the store has begun to take the log. */
const WANTS_SPACE: ReadonlySet<RefusalCode> = new Set<RefusalCode>(['full', 'too-many'])

export class Membership {
  private readonly host: MembershipHost
  private readonly replicator: Replicator
  private readonly settings: ReplicationSettings
  /** Of members that do not answer or have lost what they held, by storeUuid. */
  private readonly health = new Map<string, 'late' | 'lost'>()
  private readonly damping = new Map<string, Damping>()
  private readonly since = new Map<string, { readonly status: CandidateView['status']; readonly sinceMs: Ms }>()
  private readonly refusals = new Map<string, RefusalCode>()
  private timer: Timer | null = null
  private acting = false
  private stopped = false

  constructor(host: MembershipHost, replicator: Replicator, settings: ReplicationSettings) {
    this.host = host
    this.replicator = replicator
    this.settings = settings
    replicator.onChange = (event) => this.onChange(event)
  }

  start(): void {
    this.replicator.setPeers(this.settings.peers)
    this.waitForListed()
    this.replicator.start()
    this.tick()
    void this.act()
  }

  stop(): void {
    this.stopped = true
    this.timer?.cancel()
  }

  private onChange(event: ReplicatorEvent): void {
    if (this.stopped) return
    this.note(event)
    if (event.kind === 'fenced') this.host.phases.fence(`the store of ${event.node} knows a newer owner`)
    else void this.act()
    this.host.release()
  }

  private note(event: ReplicatorEvent): void {
    const { node } = event
    const reason = 'reason' in event ? event.reason : 'message' in event ? event.message : ''
    this.host.core.ports.log.event('engine.peer', { kind: event.kind, node, reason })
    switch (event.kind) {
      case 'late':
        this.health.set(event.member.storeUuid, 'late')
        this.lost(node)
        return
      case 'lost-content':
        this.health.set(event.member.storeUuid, 'lost')
        this.lost(node)
        return
      case 'back':
        this.health.delete(event.member.storeUuid)
        return
      case 'learner-failed':
        this.lost(node)
        return
      case 'refused':
        this.refusals.set(node, event.code)
        if (isOfNewerEngine(event.code)) void this.lookForNewerOwner(node)
        return
      case 'connected':
        // A store that takes no more still greets.
        if (!WANTS_SPACE.has(this.refusals.get(node) ?? 'proof')) this.refusals.delete(node)
        return
      case 'joined':
        this.refusals.delete(node)
        return
      case 'lost':
      case 'fenced':
    }
  }

  /** A store that holds no copy of this log speaks of a newer owner: it may be right, and it may be anybody's. */
  private async lookForNewerOwner(node: string): Promise<void> {
    const { client, phases } = this.host
    const isOvertaken = await client.isOvertaken()
    if (isOvertaken && !this.stopped) phases.fence(`the register has a newer owner, as the store of ${node} said`)
  }

  private lost(node: string): void {
    this.damping.set(node, lostAgain(this.damping.get(node) ?? NEVER_LOST, this.nowMs))
  }

  private get nowMs(): Ms {
    return this.host.core.ports.clock.monotonicMs()
  }

  private tick(): void {
    this.timer = this.host.core.ports.timers.after(TICK_MS, () => {
      if (this.stopped) return
      if (this.host.core.mayAnswer) this.host.release()
      void this.act()
      this.tick()
    })
  }

  /** Carries out one decision after the other until there is none. */
  private async act(): Promise<void> {
    if (this.acting) return
    this.acting = true
    try {
      // One change at a time: each decision looks at what the one before has made of the set.
      let more = true
      while (more && !this.stopped) {
        const decision = this.decide()
        more = decision !== null && decision.then.action !== 'none'
        // oxlint-disable-next-line eslint/no-await-in-loop -- see above
        if (decision !== null && more) more = await this.carryOut(decision.then)
      }
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error)
      this.host.core.ports.log.event('engine.membership_failed', { reason }, 'error')
    } finally {
      this.acting = false
    }
  }

  private decide(): MembershipDecision | null {
    const { core, client, phases } = this.host
    const { record } = client
    if (record === null || this.replicator.fenced) return null
    const { node } = core.settings
    const { storeUuid, incarnation } = core.journal.superblock
    const wish = { ...this.settings.wanted, any: 0 }
    const decision = membershipDecision({
      nowMs: this.nowMs,
      node,
      domain: this.settings.domain,
      wish: { ...wish, policy: phases.policy },
      record,
      changeOpen: client.unsettled !== null,
      ownStore: { node, storeUuid, incarnation },
      members: record.members.map((member) => ({ member, health: this.healthOf(member) })),
      candidates: this.candidates(),
      damping: this.damping,
    })
    if (!decision.policyMet) {
      const { message, remedy } = tooFewPeersText(wish, decision.missing, decision.absent)
      phases.tooFewCopies(`${message}. ${remedy}`)
    }
    return decision
  }

  private healthOf(member: Member): 'answers' | 'late' | 'lost' {
    const { core } = this.host
    const isOwn = member.storeUuid === core.journal.superblock.storeUuid
    // A failed append is told only when the peers have answered; its copy counts no more from the failure on.
    if (isOwn && (core.cacheFailure ?? core.journal.failed) !== null) return 'lost'
    return this.health.get(member.storeUuid) ?? 'answers'
  }

  /** In the order of the user's list. */
  private candidates(): CandidateView[] {
    const found = new Map(this.replicator.peers().map((status) => [status.node, status]))
    return this.settings.peers.map(({ node, domain }) => this.candidate(node, domain, found.get(node)))
  }

  private candidate(node: string, domain: string, peer: PeerStatus | undefined): CandidateView {
    const status = peer === undefined ? 'unreachable' : STATUS[peer.state]
    const before = this.since.get(node)
    // A learner that became a member, or is one no more, was connected all the time.
    const goesOn = before !== undefined && (before.status === 'unreachable') === (status === 'unreachable')
    const sinceMs = goesOn ? before.sinceMs : this.nowMs
    this.since.set(node, { status, sinceMs })
    // It has answered LEARN: the room is there.
    if (peer?.state === 'catching-up') this.refusals.delete(node)
    const joined = status === 'joined' && this.replicator.joinedMember(node) !== null
    const refusal = this.refusals.get(node)
    return {
      node,
      domain,
      status,
      sinceMs,
      store:
        peer === undefined || peer.storeUuid === ''
          ? null
          : { storeUuid: peer.storeUuid, incarnation: peer.incarnation },
      lease: joined ? 'held' : 'none',
      trim: joined ? 'equal' : 'behind',
      ...(refusal === undefined ? {} : { refusal }),
    }
  }

  /** False: nothing more can be done for now. */
  private async carryOut(action: MembershipAction): Promise<boolean> {
    const { phases, core } = this.host
    if (action.action !== 'none') {
      const node = 'member' in action ? action.member.node : 'node' in action ? action.node : ''
      core.ports.log.event('engine.membership', { action: action.action, node })
    }
    switch (action.action) {
      case 'remove':
        await this.remove(action.member, action.degrade)
        return true
      case 'drop-surplus':
        await this.remove(action.member, false)
        return true
      case 'add':
        return this.add(action.member)
      case 'learn':
        this.replicator.learn(action.node)
        return true
      case 'stop-learning':
        this.replicator.forget(action.node)
        return true
      // The phases take their time, and their end asks again.
      case 'degrade':
        this.background(phases.degrade())
        return false
      case 'restore':
        this.background(phases.restore())
        return false
      case 'none':
        return false
    }
  }

  private background(move: Promise<void>): void {
    move.catch((error: unknown) => {
      const reason = error instanceof Error ? error.message : String(error)
      this.host.core.ports.log.event('engine.phase_failed', { reason }, 'error')
    })
  }

  /** In write-back that the policy no more allows, the same change ends write-back (4.1). */
  private async remove(member: Member, degrade: boolean): Promise<void> {
    const { core, client, phases, edges } = this.host
    core.frozen += 1
    // From now on writes may go past the log, so the hashes of the last checkpoint stop being true.
    if (degrade) edges.paused = true
    try {
      await phases.changeRegister('remove-member', (record) => this.without(record, member, degrade))
      this.health.delete(member.storeUuid)
      this.waitForListed()
      core.phase = client.record?.phase ?? core.phase
    } finally {
      core.frozen -= 1
      this.host.release()
    }
    if (degrade) this.background(phases.degrade())
  }

  private without(record: RegisterRecord, member: Member, degrade: boolean): RegisterRecord {
    if (!record.members.some((listed) => sameMember(listed, member))) return record
    const next = removeMember(record, member)
    if (!degrade || record.phase !== 'WriteBack') return next
    return setPhase(next, { phase: 'DrainWT', dirty: true, lastSeq: this.host.core.committedSeq })
  }

  private async add(member: Member): Promise<boolean> {
    const { client, phases } = this.host
    const joined = this.replicator.joinedMember(member.node)
    const { record } = client
    if (joined === null || record === null || !sameMember(joined, member)) return false
    // Waited for, with its lease, from before the change is sent (1.2).
    this.replicator.waitFor([...record.members, joined])
    try {
      await phases.changeRegister('add-member', (current) =>
        current.members.some((listed) => sameMember(listed, joined)) ? current : addMember(current, joined),
      )
    } finally {
      this.waitForListed()
    }
    return true
  }

  private waitForListed(): void {
    const { record } = this.host.client
    if (record !== null) this.replicator.waitFor(record.members)
  }
}
