// Which volumes the store may give up, and why: rule 7 of the replication protocol (docs/decisions/0001), nothing else.
// Age is no reason, a full store is none, and what is not known for certain is kept. A store holds one chain of batches
// per volume, whose names are a lineage, so a volume goes as a whole: when every name that its log could still be asked
// for (the present and the pending one) may go. The decisions are protocol/discard-table.ts's; here are the facts, and
// what has to hold besides because the register was read some time ago, by another way than the engines'.
import { decide } from '../../protocol/decision-table.ts'
import { DISCARD_ROWS, type DiscardFacts, discardFacts } from '../../protocol/discard-table.ts'
import type { VolumeState } from '../../protocol/stored-log.ts'
import { type Member, NO_LOG_UUID, type RegisterRecord } from '../../register/record.ts'

/** What the register says of a volume: its record, null for none, 'unknown' where it could not be read. */
export type RegisterAnswer = RegisterRecord | null | 'unknown'

export interface GarbageInput {
  readonly record: RegisterAnswer
  readonly volumeUuid: string
  readonly state: VolumeState
  /** The log is damaged: what it was called does not show in the state. */
  readonly lost: boolean
  /** An engine is connected, or an order is in flight. */
  readonly inUse: boolean
  /** This store, under the incarnation that the volume has here. */
  readonly store: Member
  /** The user says that the volume is gone. */
  readonly named: boolean
}

export interface GarbageDecision {
  readonly then: 'discard' | 'keep'
  /** Label of the row or of what has to hold besides. */
  readonly reason: string
  readonly rules: string
}

export function garbageDecision(input: GarbageInput): GarbageDecision {
  const { state, named, store } = input
  if (input.inUse) return keep('in-use', 'invariant 9')
  if (input.record === 'unknown') return keep('register-unknown', '7.2')
  // Another volume under the same name says nothing about this one.
  const record = input.record?.volumeUuid === input.volumeUuid ? input.record : null
  // The store has heard of a newer owner than the register: the reading is old, or the register was restored (1.4).
  if (record !== null && record.epoch < state.promise) return keep('register-behind', '1.4')
  const listed = record?.members.some(({ storeUuid }) => storeUuid === store.storeUuid) ?? false
  if (named && listed && record?.dirty === true) return keep('named-but-needed', 'invariant 4')
  if (input.lost && !named) return keep('damaged', 'invariant 9')
  const destaged = record !== null && !record.dirty && record.phase === 'Detached' && !listed
  const volumeGone: DiscardFacts['volumeGone'] = named ? 'named' : destaged ? 'destaged' : 'no'
  const logUuids = namesOf(state)
  const rows = logUuids.map((logUuid) => {
    const facts = { record, store, logUuid, promotedLogUuids: logUuids.slice(0, 1), learnOrdered: false, volumeGone }
    return decide(DISCARD_ROWS, discardFacts(facts))
  })
  const row = rows.find(({ then }) => then === 'keep') ?? rows[0]
  if (row === undefined) return keep('no-name', '7.1')
  return { then: row.then, reason: row.label, rules: row.rules }
}

/** The present name first. Where there is no log, the name that a volume without a log has: older than any. */
function namesOf({ log }: VolumeState): string[] {
  if (log === null) return [NO_LOG_UUID]
  const present = log.lineage.at(-1)?.logUuid ?? NO_LOG_UUID
  return log.pending === null ? [present] : [present, log.pending.logUuid]
}

function keep(reason: string, rules: string): GarbageDecision {
  return { then: 'keep', reason, rules }
}
