// May a write be acknowledged, and which copies does it wait for? Pure; rules 1.2, 2.1 to 2.5 of the replication protocol
// (docs/decisions/0001). Invariant 1: what was acknowledged in write-back is on every member that the register lists, under
// the incarnation that it lists; while a change of the register is open, on every member of both outcomes.
// The set changes rarely and is computed then (waitedFor); the tables are asked per batch.
import type { BatchSeq } from '../../base/units.ts'
import { type Member, type RegisterRecord, sameMember } from '../register/record.ts'
import { type WhileUnsettled, whileUnsettled } from '../register/settlement.ts'
import { type DecisionRow, decide } from './decision-table.ts'
import type { WriteRoute } from './phase-table.ts'

export interface MembersInput {
  /** As last settled. */
  readonly settled: RegisterRecord
  /** What an open change would make of it; null: none is open. */
  readonly proposed: RegisterRecord | null
  /** Learners that hold everything: waited for before the register lists them (2.2). */
  readonly joined?: readonly Member[]
}

/** What holds of the register while it is not known which of both outcomes does (1.2). */
export function strictest({ settled, proposed }: MembersInput): WhileUnsettled {
  return whileUnsettled(settled, proposed ?? settled)
}

/**
 * Every copy that an acknowledgement waits for. The own store is among them exactly if it is listed (or has joined), so
 * that a volume whose cache device is lost goes on with its replicas once the own store was removed.
 */
export function waitedFor(input: MembersInput): readonly Member[] {
  const { members } = strictest(input)
  const joined = input.joined ?? []
  return [...members, ...joined.filter((learner) => !members.some((member) => sameMember(member, learner)))]
}

/** What one store has acknowledged, and as whom it did. */
export interface Copy extends Member {
  /** Every batch up to it is held. */
  readonly batchSeq: BatchSeq
}

export interface CopyFacts {
  readonly holds: boolean
  /** Is the store that acknowledged the one that is waited for? lost: its content is that of another incarnation. */
  readonly store: 'same' | 'lost'
}

// biome-ignore format: a table
export const COPY_ROWS: readonly DecisionRow<CopyFacts, 'counts' | 'missing'>[] = [
  { label: 'copy-of-member', rules: '2.1', when: { holds: [true], store: ['same'] }, then: 'counts' },
  // A store that lost its content acknowledges what comes, not what came before.
  { label: 'copy-of-other-incarnation', rules: '2.1 h-inc-ack', when: { holds: [true], store: ['lost'] }, then: 'missing' },
  { label: 'copy-missing', rules: '2.1', when: { holds: [false] }, then: 'missing' },
]

/** Does `copy` (null: nothing was heard from that store) count as the waited-for member's? */
export function copyCounts(member: Member, copy: Copy | null, batchSeq: BatchSeq, rows = COPY_ROWS): boolean {
  const store = copy !== null && sameMember(member, copy) ? 'same' : 'lost'
  return decide(rows, { holds: copy !== null && copy.batchSeq >= batchSeq, store }).then === 'counts'
}

/** Is batch `batchSeq` on every waited-for store? `copies` has one entry for each store that was heard from. */
export function onEveryCopy(
  members: readonly Member[],
  copies: readonly Copy[],
  batchSeq: BatchSeq,
  rows = COPY_ROWS,
): boolean {
  return members.every((member) => {
    const copy = copies.find((entry) => entry.storeUuid === member.storeUuid) ?? null
    return copyCounts(member, copy, batchSeq, rows)
  })
}

export interface AcknowledgeFacts {
  /** fenced: a store or the register has shown a newer epoch. */
  readonly epoch: 'present' | 'fenced'
  /** keeps: open, and it is an add. freezes: open, any other. */
  readonly change: 'none' | 'keeps' | 'freezes'
  /** What lease.ts says; cached reads are not asked for here. */
  readonly lease: 'held' | 'lapsed'
  /** Of the present phase: what was in flight at a freeze goes by the rule of the new one (2.2). */
  readonly route: WriteRoute
  /** May a successor find dirty=false (1.2, 2.5)? */
  readonly register: 'dirty' | 'maybe-clean'
  readonly copies: 'all' | 'missing'
  /** Durable on the backing after its next flush, which is passed on. */
  readonly backing: 'written' | 'not-yet'
}

export type Acknowledge = 'acknowledge' | 'wait' | 'never'

const FREE = { epoch: ['present'], change: ['none', 'keeps'] } as const
const LEASED = { ...FREE, lease: ['held'] } as const

// biome-ignore format: a table
export const ACKNOWLEDGE_ROWS: readonly DecisionRow<AcknowledgeFacts, Acknowledge>[] = [
  { label: 'ack-fenced', rules: 'invariant 5', when: { epoch: ['fenced'] }, then: 'never' },
  { label: 'ack-frozen', rules: '1.2', when: { epoch: ['present'], change: ['freezes'] }, then: 'wait' },
  { label: 'ack-without-lease', rules: '8.3 h-nolease', when: { ...FREE, lease: ['lapsed'] }, then: 'wait' },
  { label: 'ack-no-route', rules: 'S6', when: { ...LEASED, route: ['wait'] }, then: 'wait' },
  // Nobody gathers from the logs of a clean volume.
  { label: 'ack-before-dirty', rules: '2.5 h-settle-get0', when: { ...LEASED, route: ['log'], register: ['maybe-clean'] }, then: 'wait' },
  { label: 'ack-copy-missing', rules: '2.1', when: { ...LEASED, route: ['log'], register: ['dirty'], copies: ['missing'] }, then: 'wait' },
  { label: 'ack-logged', rules: '2.1', when: { ...LEASED, route: ['log'], register: ['dirty'], copies: ['all'] }, then: 'acknowledge' },
  { label: 'ack-drain-copy-missing', rules: '2.3', when: { ...LEASED, route: ['log-and-backing'], copies: ['missing'] }, then: 'wait' },
  { label: 'ack-drain-not-written', rules: '2.3 h-dwt-rule', when: { ...LEASED, route: ['log-and-backing'], copies: ['all'], backing: ['not-yet'] }, then: 'wait' },
  { label: 'ack-drained', rules: '2.3', when: { ...LEASED, route: ['log-and-backing'], copies: ['all'], backing: ['written'] }, then: 'acknowledge' },
  { label: 'ack-not-written', rules: '2.3', when: { ...LEASED, route: ['backing'], backing: ['not-yet'] }, then: 'wait' },
  { label: 'ack-written', rules: '2.3', when: { ...LEASED, route: ['backing'], backing: ['written'] }, then: 'acknowledge' },
]

export function acknowledgeDecision(
  facts: AcknowledgeFacts,
  rows = ACKNOWLEDGE_ROWS,
): DecisionRow<AcknowledgeFacts, Acknowledge> {
  return decide(rows, facts)
}

/** The fact `change` of an open change. */
export function changeFact(input: MembersInput): AcknowledgeFacts['change'] {
  if (input.proposed === null) return 'none'
  return strictest(input).freeze ? 'freezes' : 'keeps'
}
