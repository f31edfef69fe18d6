// May the store give up a volume, and why? Rule 7 of the replication protocol (docs/decisions/0001), nothing else: age is
// no reason, a full store is none, and what is not known for certain is kept. A store holds one chain of batches per
// volume, whose names are a lineage, so a volume goes as a whole: when every name that its log could still be asked for
// (the present and the pending one) may go by protocol/discard-table.ts. The rows here say what has to hold besides,
// because the register is read at leisure, by another way than the engines'. Pure; garbage-collection.ts acts.
import { type DecisionRow, decide } from '../../protocol/decision-table.ts'
import { DISCARD_ROWS, discardFacts } from '../../protocol/discard-table.ts'
import type { VolumeState } from '../../protocol/stored-log.ts'
import { type Member, NO_LOG_UUID, type RegisterRecord } from '../../register/record.ts'

/** What the register says of a volume: its record, null for none, 'unknown' where it could not be read. */
export type RegisterAnswer = RegisterRecord | null | 'unknown'

export interface GarbageInput {
  readonly record: RegisterAnswer
  readonly volumeUuid: string
  readonly state: VolumeState
  /** The log is damaged: what it was called does not show in the state. */
  readonly isDamaged: boolean
  /** An engine is connected, or something changed while the register was asked. */
  readonly inUse: boolean
  /** This store, under the incarnation that the volume has here. */
  readonly store: Member
  /** The user says that the volume is gone. */
  readonly named: boolean
}

export interface GarbageFacts {
  readonly inUse: boolean
  /**
   * behind: the store has heard of a newer owner than the register. none: it has no record of this volume; one of
   * another volume under the same name says nothing about it.
   */
  readonly register: 'unknown' | 'none' | 'behind' | 'read'
  readonly named: boolean
  /** Something is dirty, and this store is a member, under whatever incarnation. */
  readonly needed: boolean
  readonly isDamaged: boolean
}

/** as-names: what rule 7 says of the names of its log. */
export type GarbageVerdict = 'discard' | 'keep' | 'as-names'

const CERTAIN = { inUse: [false], register: ['none', 'read'] } as const

// biome-ignore format: a table
export const GARBAGE_ROWS: readonly DecisionRow<GarbageFacts, GarbageVerdict>[] = [
  { label: 'in-use', rules: 'invariant 9', when: { inUse: [true] }, then: 'keep' },
  { label: 'register-unknown', rules: '7.2', when: { inUse: [false], register: ['unknown'] }, then: 'keep' },
  // The reading is old, or the register was restored.
  { label: 'register-behind', rules: '1.4', when: { inUse: [false], register: ['behind'] }, then: 'keep' },
  { label: 'named-but-needed', rules: 'invariant 4', when: { ...CERTAIN, named: [true], needed: [true] }, then: 'keep' },
  { label: 'named', rules: '7.2', when: { ...CERTAIN, named: [true], needed: [false] }, then: 'discard' },
  // Whatever it was, it may be the last that is left to look at.
  { label: 'damaged', rules: 'invariant 9', when: { ...CERTAIN, named: [false], isDamaged: [true] }, then: 'keep' },
  { label: 'names', rules: '7.1 7.2', when: { ...CERTAIN, named: [false], isDamaged: [false] }, then: 'as-names' },
]

export interface GarbageDecision {
  readonly then: 'discard' | 'keep'
  /** Label of the row that decided, here or in DISCARD_ROWS. */
  readonly reason: string
  readonly rules: string
}

export function garbageDecision(input: GarbageInput): GarbageDecision {
  const record = recordOf(input)
  const { then, label, rules } = decide(GARBAGE_ROWS, {
    inUse: input.inUse,
    register: registerFact(input, record),
    named: input.named,
    needed: record?.dirty === true && isListed(input, record),
    isDamaged: input.isDamaged,
  })
  return then === 'as-names' ? namesDecision(input, record) : { then, reason: label, rules }
}

function recordOf({ record, volumeUuid }: GarbageInput): RegisterRecord | null {
  return record === 'unknown' || record?.volumeUuid !== volumeUuid ? null : record
}

function registerFact({ record, state }: GarbageInput, own: RegisterRecord | null): GarbageFacts['register'] {
  if (record === 'unknown') return 'unknown'
  if (own === null) return 'none'
  return own.epoch < state.promise ? 'behind' : 'read'
}

function isListed({ store }: GarbageInput, record: RegisterRecord): boolean {
  return record.members.some(({ storeUuid }) => storeUuid === store.storeUuid)
}

/** The table's answer on each name; the first one that stays decides. */
function namesDecision(input: GarbageInput, record: RegisterRecord | null): GarbageDecision {
  const { store, state } = input
  const destaged = record !== null && !record.dirty && record.phase === 'Detached' && !isListed(input, record)
  const [present, ...others] = namesOf(state)
  const decideOn = (logUuid: string): GarbageDecision => {
    const about = { record, store, logUuid, promotedLogUuids: [present], learnOrdered: false }
    const { then, label, rules } = decide(
      DISCARD_ROWS,
      discardFacts({ ...about, volumeGone: destaged ? 'destaged' : 'no' }),
    )
    return { then, reason: label, rules }
  }
  return others.map(decideOn).find(({ then }) => then === 'keep') ?? decideOn(present)
}

/** The present name first. Where there is no log, the name that a volume without a log has: older than any. */
function namesOf({ log }: VolumeState): [string, ...string[]] {
  const present = log?.lineage.at(-1)?.logUuid ?? NO_LOG_UUID
  return log?.pending == null ? [present] : [present, log.pending.logUuid]
}
