// What a link is to the log: a member that is waited for (member.ts) or a learner that is being filled (learner.ts). A link
// without a role is a candidate: connected, so that people see it and a learner can begin at once.
// Here are the two sides that meet: what a role gets from its link, and what the replicator asks of a role.
import type { Clock } from '../../../base/clock.ts'
import type { EventLog } from '../../../base/log.ts'
import type { BatchSeq, Bytes, Ms } from '../../../base/units.ts'
import type { VolumeState } from '../../protocol/stored-log.ts'
import type { Member } from '../../register/record.ts'
import type { EnvelopeBuffer } from '../wire/envelope-buffer.ts'
import type { BodyInMemory, EngineMessage } from '../wire/messages.ts'
import type { PeerState, ReplicatorEvent } from './events.ts'
import type { AttendedTime, LogProgress } from './log-progress.ts'
import type { PeerLease } from './peer-lease.ts'
import type { BatchSource, ReplicatorIdentity } from './ports.ts'

/** No APPENDED or TRIMMED for so long: the peer is late (rule 4.1). */
export const LATE_MS: Ms = 2_000
/** A connection that was lost and is not back within this makes a member late. */
export const LOST_MS: Ms = 1_000
/** Nothing at all was heard, heartbeats not answered: a member is late. */
export const SILENT_MS: Ms = 3_000

/** What all roles share. */
export interface RoleContext {
  readonly clock: Clock
  readonly log: EventLog
  readonly source: BatchSource
  readonly identity: ReplicatorIdentity
  readonly progress: LogProgress
  readonly time: AttendedTime
  emit(event: ReplicatorEvent): void
  /** The answer of a copy that others wait for: looks whether batch or trim are complete. */
  settle(): void
  /** The lease of a member, or whether it counts, is another. */
  leasesChanged(): void
}

/** What a role may do with its link. */
export interface RoleLink {
  readonly node: string
  readonly isOpen: boolean
  /** The store at the other end, as it said last; null before its first WELCOME. */
  readonly store: Member | null
  readonly lease: PeerLease
  /** Attended time of the last message. */
  readonly heardAtMs: Ms
  /** These three assert that the link is open. The last two send by reference: docs of PeerConnection. */
  send(message: EngineMessage): void
  sendFlight(envelope: EnvelopeBuffer): void
  sendBatch(body: BodyInMemory): void
  /** A learner can't go on: ends the connection now, takes the role away soon. */
  dropLearner(reason: string): void
}

export interface CopyRole {
  readonly kind: 'member' | 'learner'
  readonly state: PeerState
  /** Everything up to it is held, by the life of the store that counts; -1: nothing is known. */
  readonly ackedSeq: BatchSeq
  readonly trimmedSeq: BatchSeq
  readonly lagBytes: Bytes
  /** The batch in flight need not wait for this copy (any more). */
  hasFlight(): boolean
  /** The trim need not wait for it. */
  hasTrimmed(): boolean
  /** A batch was put in flight. Hot. */
  flightStarted(): void
  /** It is complete. Hot. */
  flightCompleted(): void
  trimRequested(): void
  /** WELCOME came; the link is open. */
  opened(state: VolumeState): void
  closed(): void
  /** Answers of the store. False: it makes no sense now, the connection must end. Hot. */
  appended(batchSeq: BatchSeq): boolean
  trimmed(batchSeq: BatchSeq): boolean
  learning(): boolean
  promoted(): boolean
  stateIs(state: VolumeState): boolean
  /** The lease is longer than before. */
  leaseGrew(): void
  /** Looks at the deadlines; each TICK_MS. */
  tick(): void
}
