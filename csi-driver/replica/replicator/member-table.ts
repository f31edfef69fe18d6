// A member's store answers after its connection was lost or made: does it hold what it acknowledged? Pure; rules 2.1, 3.2
// and 5.1 of the replication protocol (docs/decisions/0001).
//
//   … completed-1 │ completed │ in flight
//                 ▲           ▲
//                 │           └ may be there (its answer was lost) or not (it is sent again)
//                 └ acknowledged: must be there, with our hash
//
// Anything else cannot be repaired by sending more: the strong invariant is broken for this member, it must be removed.
import { type DecisionRow, decide } from '../../protocol/decision-table.ts'
import type { VolumeState } from '../../protocol/stored-log.ts'
import { type Member, sameMember } from '../../register/record.ts'
import type { BatchIdentity } from './batch-mark.ts'

export interface MemberFacts {
  /** Is it the very life of the store that the register lists? */
  readonly store: 'listed' | 'other'
  readonly log: 'none' | 'held'
  /** Is our name its present one, or one that waits for the promotion? */
  readonly name: 'present' | 'pending' | 'other'
  readonly end: 'completed' | 'in-flight' | 'other'
}

/**
 * in-sync: it holds everything acknowledged, and not the batch in flight. holds-flight: that, too. promote: tell it that
 * the register has its pending name, then ask again. lost-content: remove it.
 */
export type MemberDecision = 'in-sync' | 'holds-flight' | 'promote' | 'lost-content'

const HELD = { store: ['listed'], log: ['held'] } as const

export const MEMBER_ROWS: readonly DecisionRow<MemberFacts, MemberDecision>[] = [
  { label: 'other-life-of-the-store', rules: '2.1', when: { store: ['other'] }, then: 'lost-content' },
  { label: 'no-log', rules: '2.1', when: { store: ['listed'], log: ['none'] }, then: 'lost-content' },
  { label: 'other-log', rules: '5.1', when: { ...HELD, name: ['other'] }, then: 'lost-content' },
  // The owner's message was lost. What stands above the gathered end is dropped by the promotion, so the end says nothing.
  { label: 'not-promoted', rules: '5.1 7.1b', when: { ...HELD, name: ['pending'] }, then: 'promote' },
  { label: 'equal', rules: '3.2', when: { ...HELD, name: ['present'], end: ['completed'] }, then: 'in-sync' },
  { label: 'has-flight', rules: '3.3', when: { ...HELD, name: ['present'], end: ['in-flight'] }, then: 'holds-flight' },
  { label: 'other-end', rules: '2.1 3.3', when: { ...HELD, name: ['present'], end: ['other'] }, then: 'lost-content' },
]

export interface MemberInput {
  readonly listed: Member
  readonly store: Member
  readonly state: VolumeState
  /** Present name of the own log. */
  readonly logUuid: string
  /** The last batch that all members acknowledged. */
  readonly completed: BatchIdentity
  readonly inFlight: BatchIdentity | null
}

export function memberFacts({ listed, store, state, logUuid, completed, inFlight }: MemberInput): MemberFacts {
  const { log } = state
  const ends = (batch: BatchIdentity | null): boolean =>
    batch !== null && log?.lastBatchSeq === batch.batchSeq && log.lastHash === batch.hash
  const isPresent = log?.lineage.at(-1)?.logUuid === logUuid
  const isPending = log?.pending?.logUuid === logUuid
  return {
    store: sameMember(listed, store) ? 'listed' : 'other',
    log: log === null ? 'none' : 'held',
    name: isPresent ? 'present' : isPending ? 'pending' : 'other',
    end: ends(completed) ? 'completed' : ends(inFlight) ? 'in-flight' : 'other',
  }
}

export function memberDecision(
  input: MemberInput,
  rows: readonly DecisionRow<MemberFacts, MemberDecision>[] = MEMBER_ROWS,
): { readonly label: string; readonly decision: MemberDecision } {
  const { label, then } = decide(rows, memberFacts(input))
  return { label, decision: then }
}
