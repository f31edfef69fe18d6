// A member of the in-sync set, as its owner sees it: every batch is sent to it and waited for; what it acknowledged it must
// hold for ever, under the life of the store that the register lists (rule 2.1). When its connection was lost it is
// compared before anything it says counts again (member-table.ts).
//
//   behind ──in-sync──▶ member ──connection lost──▶ behind          late: said once, until it is back
//      └──lost-content──▶ (for good; only the engine's CAS ends it)
import { assert } from '../../../base/assert.ts'
import type { BatchSeq, Bytes, Ms } from '../../../base/units.ts'
import type { VolumeState } from '../../protocol/stored-log.ts'
import { type Member, sameMember } from '../../register/record.ts'
import { type CopyRole, LATE_MS, LOST_MS, type RoleContext, type RoleLink, SILENT_MS } from './copy-role.ts'
import type { PeerState } from './events.ts'
import { memberDecision } from './member-table.ts'

export class MemberRole implements CopyRole {
  readonly kind = 'member'
  readonly member: Member
  ackedSeq: BatchSeq = -1
  trimmedSeq: BatchSeq = -1
  private readonly context: RoleContext
  private readonly link: RoleLink
  private inSync = false
  private hasLost = false
  private isLate = false
  private promoteSent = false
  /** Attended time since when it is waited for. */
  private readonly sinceMs: Ms
  /** Attended time since when it is not in sync. */
  private behindSinceMs: Ms

  constructor(context: RoleContext, link: RoleLink, member: Member) {
    this.context = context
    this.link = link
    this.member = member
    this.sinceMs = context.time.nowMs
    // Its first connection may take longer than one that is made anew.
    this.behindSinceMs = this.sinceMs + LATE_MS - LOST_MS
  }

  /** A learner that holds everything becomes a member without a gap. */
  takeOver(learner: CopyRole): void {
    this.ackedSeq = learner.ackedSeq
    this.trimmedSeq = learner.trimmedSeq
    this.inSync = true
  }

  get state(): PeerState {
    if (this.hasLost) return 'lost-content'
    return this.inSync && !this.isLate ? 'member' : 'behind'
  }

  get lagBytes(): Bytes {
    const { flight } = this.context.progress
    return this.inSync && !this.hasFlight() ? flight.sentBytes : 0
  }

  /** Its lease counts only in the listed life of its store, and while that holds what it acknowledged (2.1). */
  get leaseUntilMs(): Ms {
    const { store, lease } = this.link
    const counts = !this.hasLost && store !== null && sameMember(store, this.member)
    return counts ? lease.untilMs : Number.NEGATIVE_INFINITY
  }

  hasFlight(): boolean {
    const { flight } = this.context.progress
    return !flight.active || this.ackedSeq >= flight.batchSeq
  }

  hasTrimmed(): boolean {
    return this.trimmedSeq >= this.context.progress.trimSeq
  }

  flightStarted(): void {
    if (this.inSync) this.sendFlight()
  }

  flightCompleted(): void {}

  trimRequested(): void {
    if (this.inSync && !this.hasTrimmed()) this.sendTrim()
  }

  opened(state: VolumeState): void {
    this.promoteSent = false
    if (!this.hasLost) this.compare(state)
  }

  closed(): void {
    if (this.inSync) this.behindSinceMs = this.context.time.nowMs
    this.inSync = false
  }

  appended(batchSeq: BatchSeq): boolean {
    const { flight, completedSeq } = this.context.progress
    if (!this.inSync || batchSeq > (flight.active ? flight.batchSeq : completedSeq)) return false
    if (batchSeq > this.ackedSeq) {
      this.ackedSeq = batchSeq
      this.noteBack()
      this.context.settle()
    }
    return true
  }

  trimmed(batchSeq: BatchSeq): boolean {
    if (!this.inSync || batchSeq > this.context.progress.trimSeq) return false
    if (batchSeq > this.trimmedSeq) {
      this.trimmedSeq = batchSeq
      this.noteBack()
      this.context.settle()
    }
    return true
  }

  learning(): boolean {
    return false
  }

  promoted(): boolean {
    if (!this.promoteSent || this.inSync) return false
    this.link.send({ type: 'STATE' })
    return true
  }

  stateIs(state: VolumeState): boolean {
    return this.promoteSent && !this.inSync && this.compare(state)
  }

  leaseGrew(): void {
    this.noteBack()
  }

  tick(): void {
    if (this.isLate || this.hasLost) return
    const reason = this.lateReason()
    if (reason === null) return
    this.isLate = true
    const { node } = this.link
    this.context.log.event('replica.member_late', { node, reason }, 'warning')
    this.context.emit({ kind: 'late', node, member: this.member, reason })
  }

  /** False: the store has not done what it said it did. */
  private compare(state: VolumeState): boolean {
    const { link, member, context } = this
    const { progress, source } = context
    const { store } = link
    assert(store !== null, 'the store has said who it is')
    const { label, decision } = memberDecision({
      listed: member,
      store,
      state,
      logUuid: source.lineage.at(-1)?.logUuid ?? '',
      completed: progress.completed,
      inFlight: progress.flight.active ? progress.flight.mark.identity : null,
    })
    context.log.event('replica.member_compared', { node: link.node, label, batchSeq: progress.completedSeq })
    if (decision === 'promote') return this.promote()
    if (decision === 'lost-content') this.lose(label)
    else this.resume(state, decision === 'holds-flight')
    return true
  }

  private lose(label: string): void {
    this.hasLost = true
    // From here on batches and trims wait until it is removed.
    this.ackedSeq = -1
    this.trimmedSeq = -1
    const { node } = this.link
    const reason = `its store has not what it acknowledged: ${label}`
    this.context.log.event('replica.member_lost_content', { node, reason: label }, 'error')
    this.context.emit({ kind: 'lost-content', node, member: this.member, reason })
    this.context.leasesChanged()
  }

  private promote(): boolean {
    if (this.promoteSent) return false
    this.promoteSent = true
    this.link.send({ type: 'PROMOTE', logUuid: this.context.source.lineage.at(-1)?.logUuid ?? '' })
    return true
  }

  private resume(state: VolumeState, holdsFlight: boolean): void {
    const { progress } = this.context
    this.inSync = true
    this.ackedSeq = holdsFlight ? progress.flight.batchSeq : progress.completedSeq
    this.trimmedSeq = (state.log?.tail.batchSeq ?? 1) - 1
    if (!this.hasTrimmed()) this.sendTrim()
    if (!this.hasFlight()) this.sendFlight()
    this.noteBack()
    this.context.settle()
  }

  private sendFlight(): void {
    const { flight } = this.context.progress
    this.link.sendFlight(flight.envelope)
  }

  private sendTrim(): void {
    this.link.send({ type: 'TRIM', batchSeq: this.context.progress.trimSeq })
  }

  private noteBack(): void {
    if (!this.isLate || !this.inSync || !this.hasFlight() || !this.hasTrimmed()) return
    this.isLate = false
    const { node } = this.link
    this.context.log.event('replica.member_back', { node })
    this.context.emit({ kind: 'back', node, member: this.member })
  }

  private lateReason(): string | null {
    const { time, progress } = this.context
    const { flight, trim } = progress
    if (!this.inSync && time.isOver(this.behindSinceMs, LOST_MS)) return 'not connected'
    if (!this.hasFlight() && time.isOver(Math.max(flight.startedAtMs, this.sinceMs), LATE_MS)) {
      return `batch not acknowledged batchSeq=${flight.batchSeq}`
    }
    if (trim.active && !this.hasTrimmed() && time.isOver(Math.max(trim.startedAtMs, this.sinceMs), LATE_MS)) {
      return `trim not acknowledged batchSeq=${progress.trimSeq}`
    }
    return this.inSync && time.isOver(this.link.heardAtMs, SILENT_MS) ? 'heartbeats not answered' : null
  }
}
