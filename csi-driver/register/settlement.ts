// What became of a change that was sent to the register? Pure; Rules 1.1, 1.2 and 1.4 of the replication protocol (docs/decisions/0001).
// An attempt is settled by its reply, or by seeing that the version has moved: one version is written only once, so
// after a move the attempt has either written that version or never will. A read of the old value settles nothing.
import type { Epoch } from '../../base/units.ts'
import { type Member, type RegisterRecord, sameMember } from './record.ts'
import type { CasReply } from './register.ts'

/** What is known about an attempt before its outcome is, kept in the superblock while it is open (rule 1.3). */
export interface RegisterIntent {
  /** Which change, such as `claim` or `set-dirty`: for logs and for the engine's freeze. */
  readonly change: string
  /** The version that it replaces; 0 creates the record. */
  readonly expectedRv: number
  /** Epoch of the record that it replaces; 0 at creation. */
  readonly baseEpoch: Epoch
  /** registerNonce of the new record, which is that of the record it replaces, if any. */
  readonly registerNonce: string
  readonly changeId: string
}

/** Settled, one way or another; `unsettled`: ask again. */
export type Settlement =
  | 'applied'
  /** The same epoch has made another change instead, or on top: what is seen holds. */
  | 'superseded'
  /** A newer epoch exists: it does not hold now, whether or not it once did. */
  | 'fenced'
  /** The register is another object than the one seen before (rule 1.4). */
  | 'replaced'
  | 'unsettled'

export interface SettlementRow {
  readonly label: string
  readonly rules: string
  readonly when: (intent: RegisterIntent, seen: RegisterRecord | null) => boolean
  readonly then: Settlement
}

function isOther(intent: RegisterIntent, seen: RegisterRecord | null): boolean {
  // A creation follows nothing, so whatever stands there came later.
  return intent.expectedRv > 0 && seen !== null && seen.registerNonce !== intent.registerNonce
}

/** Whether a read shows less than was settled before: it says nothing but that it is not the newest state. */
export function isOlder(intent: RegisterIntent, seen: RegisterRecord | null): boolean {
  if (intent.expectedRv === 0 || isOther(intent, seen)) return false
  return seen === null || seen.rv < intent.expectedRv || seen.epoch < intent.baseEpoch
}

function moved(intent: RegisterIntent, seen: RegisterRecord | null): seen is RegisterRecord {
  return seen !== null && !isOther(intent, seen) && !isOlder(intent, seen) && seen.rv > intent.expectedRv
}

/** What a read says about an open attempt. Exactly one row holds for any record. */
export const SETTLEMENT_ROWS: readonly SettlementRow[] = [
  {
    label: 'another-register',
    rules: '1.4',
    when: (intent, seen) => isOther(intent, seen),
    then: 'replaced',
  },
  {
    // A directory whose file system is not mounted looks empty, a server that comes up may show an older state: both pass.
    label: 'older-or-absent',
    rules: '1.1 1.4',
    when: (intent, seen) => isOlder(intent, seen),
    then: 'unsettled',
  },
  {
    label: 'not-moved',
    rules: '1.1',
    when: (intent, seen) => !isOther(intent, seen) && !isOlder(intent, seen) && !moved(intent, seen),
    then: 'unsettled',
  },
  {
    label: 'own-change-seen',
    rules: '1.1',
    when: (intent, seen) => moved(intent, seen) && seen.changeId === intent.changeId,
    then: 'applied',
  },
  {
    label: 'newer-epoch-seen',
    rules: '1.1 S1',
    when: (intent, seen) => moved(intent, seen) && seen.changeId !== intent.changeId && seen.epoch > intent.baseEpoch,
    then: 'fenced',
  },
  {
    // Whether the attempt had its version in between is not known and need not be: what is seen now is what holds.
    label: 'other-change-of-the-epoch-seen',
    rules: '1.1',
    when: (intent, seen) => moved(intent, seen) && seen.changeId !== intent.changeId && seen.epoch === intent.baseEpoch,
    then: 'superseded',
  },
]

export function settleByRead(intent: RegisterIntent, seen: RegisterRecord | null): Settlement {
  return SETTLEMENT_ROWS.find((row) => row.when(intent, seen))?.then ?? 'unsettled'
}

/** Only `applied` settles by itself: a conflict may have been caused by an own attempt, whose reply was lost. */
export function settleByReply(reply: CasReply): 'applied' | 'read' | 'unsettled' {
  if (reply === 'applied') return 'applied'
  return reply === 'conflict' ? 'read' : 'unsettled'
}

/** The stricter of both outcomes, which holds while a change is unsettled (rule 1.2). */
export interface WhileUnsettled {
  /** Leases and acknowledgements are needed from all of these. */
  readonly members: readonly Member[]
  /** A successor may find the volume clean, so nothing may be acknowledged from the log alone. */
  readonly maybeClean: boolean
  /** Stop acknowledgements, log commits, through-writes and all reads until it is settled. */
  readonly freeze: boolean
}

export function whileUnsettled(before: RegisterRecord, after: RegisterRecord): WhileUnsettled {
  const added = after.members.filter((member) => !lists(before, member))
  const keepsAll =
    before.members.every((member) => lists(after, member)) &&
    before.phase === after.phase &&
    before.dirty === after.dirty &&
    before.owner === after.owner
  return { members: [...before.members, ...added], maybeClean: !before.dirty || !after.dirty, freeze: !keepsAll }
}

function lists(record: RegisterRecord, member: Member): boolean {
  return record.members.some((listed) => sameMember(listed, member))
}
