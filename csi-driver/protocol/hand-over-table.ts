// A planned hand-over of an open volume to another node: may it begin, and in which order is it done? Pure; rule 6 of the
// replication protocol (docs/decisions/0001). Preconditions are asked until they say `hand-over`, or `refuse`, or the time
// for it is over; then the steps are carried out one by one, each with how the one before ended.
//
//   drain ─▶ stop-serving ─▶ release-leases ─▶ close-backing ─▶ hand-over (CAS) ─▶ remove-entry (CAS) ─▶ done
//              │                  │                  │                └─ settled as not applied ─▶ open-backing ─▶ serve-again
//              └──────────────────┴── failed ────────┴───────────────────────────────────────▶ open-backing ─▶ serve-again
// After the hand-over was sent the old owner serves again only if that change is settled as not applied.
import type { Phase } from '../register/record.ts'
import { type DecisionRow, decide } from './decision-table.ts'

export interface HandOverFacts {
  readonly phase: Phase
  /** Is a change of the register unsettled? */
  readonly change: 'none' | 'open'
  /** not-listed: no store of that node is a member. behind: listed, but its log is not equal to the owner's. */
  readonly newOwner: 'equal' | 'behind' | 'not-listed' | 'unreachable'
  /** May engines of that node's earlier ownerships still have backing I/O queued there (5.3)? */
  readonly newNodeIo: 'none' | 'maybe'
  /** Learners that acknowledgements wait for but the register does not list. */
  readonly joined: 'none' | 'some'
  /** The brief drain before: is there still time, and something to drain? It is no precondition. */
  readonly drain: 'over' | 'going-on'
  /** Writes of the front end without a reply. */
  readonly writes: 'answered' | 'unanswered'
  /** Backing I/O of this engine, destage and writes alike. hangs: has not moved for longer than it may. */
  readonly backingIo: 'ended' | 'in-flight' | 'hangs'
}

/** The front end is held back while `wait-writes` and `wait-backing` are waited for, so that they end. */
export type HandOverAnswer =
  | 'hand-over'
  | 'wait-register'
  | 'wait-learner'
  | 'wait-copy'
  | 'wait-drain'
  | 'wait-writes'
  | 'wait-backing'
  | 'wait-new-node'
  | 'refuse-phase'
  | 'refuse-not-listed'
  | 'refuse-unreachable'
  | 'refuse-backing'

const OPEN = { phase: ['WriteBack', 'DrainWT', 'WriteThrough'] } as const
const SETTLED = { ...OPEN, change: ['none'] } as const
const MOVES = { ...SETTLED, newOwner: ['equal', 'behind'], backingIo: ['ended', 'in-flight'] } as const
const ALONE = { ...MOVES, joined: ['none'], newNodeIo: ['none'] } as const
const CALM = { ...ALONE, newOwner: ['equal'], drain: ['over'] } as const

// biome-ignore format: a table
export const HAND_OVER_ROWS: readonly DecisionRow<HandOverFacts, HandOverAnswer>[] = [
  { label: 'not-open', rules: '6', when: { phase: ['Detached', 'Opening', 'Closing', 'Blocked'] }, then: 'refuse-phase' },
  { label: 'hand-over-change-open', rules: '6 1.2', when: { ...OPEN, change: ['open'] }, then: 'wait-register' },
  { label: 'new-owner-not-listed', rules: '6', when: { ...SETTLED, newOwner: ['not-listed'] }, then: 'refuse-not-listed' },
  { label: 'new-owner-unreachable', rules: '6', when: { ...SETTLED, newOwner: ['unreachable'] }, then: 'refuse-unreachable' },
  // What hangs may come later than the new owner's first write.
  { label: 'backing-hangs', rules: '6 h-handoff-nowait', when: { ...SETTLED, newOwner: ['equal', 'behind'], backingIo: ['hangs'] }, then: 'refuse-backing' },
  { label: 'learner-waited-for', rules: '6', when: { ...MOVES, joined: ['some'] }, then: 'wait-learner' },
  // An old write of that very node would pass a fence that its return has lifted.
  { label: 'new-node-busy', rules: '6 5.3 h-refence', when: { ...MOVES, joined: ['none'], newNodeIo: ['maybe'] }, then: 'wait-new-node' },
  { label: 'new-owner-behind', rules: '6', when: { ...ALONE, newOwner: ['behind'] }, then: 'wait-copy' },
  { label: 'draining', rules: '6', when: { ...ALONE, newOwner: ['equal'], drain: ['going-on'] }, then: 'wait-drain' },
  { label: 'writes-unanswered', rules: '6', when: { ...CALM, writes: ['unanswered'] }, then: 'wait-writes' },
  { label: 'own-backing-busy', rules: '6 h-handoff-nowait', when: { ...CALM, writes: ['answered'], backingIo: ['in-flight'] }, then: 'wait-backing' },
  { label: 'ready', rules: '6', when: { ...CALM, writes: ['answered'], backingIo: ['ended'] }, then: 'hand-over' },
]

export function handOverDecision(
  facts: HandOverFacts,
  rows = HAND_OVER_ROWS,
): { readonly label: string; readonly then: HandOverAnswer } {
  return decide(rows, facts)
}

export const HAND_OVER_STEPS = [
  'drain',
  'stop-serving',
  'release-leases',
  'close-backing',
  'hand-over',
  'settle',
  'remove-entry',
  'open-backing',
] as const
export type HandOverStep = (typeof HAND_OVER_STEPS)[number]

export interface HandOverStepFacts {
  readonly step: HandOverStep
  /**
   * For a change of the register: done: settled as applied; failed: settled as not applied; unknown: not settled yet;
   * lost: a newer epoch exists that this change has not made. For the others: done or failed.
   */
  readonly outcome: 'done' | 'failed' | 'unknown' | 'lost'
  /** Is the backing closed? Until then failing needs no opening. */
  readonly backing: 'open' | 'closed'
}

/** done: end; the volume is the new owner's. fenced: end; somebody else's. serve-again: as if nothing had been. */
export type NextHandOverStep = HandOverStep | 'serve-again' | 'done' | 'fenced'

const BEFORE = ['drain', 'stop-serving', 'release-leases', 'close-backing'] as const
const SENT = ['hand-over', 'settle'] as const
const DONE = { outcome: ['done'] } as const
const NOT_DONE = ['failed', 'unknown'] as const

// biome-ignore format: a table
export const HAND_OVER_STEP_ROWS: readonly DecisionRow<HandOverStepFacts, NextHandOverStep>[] = [
  { label: 'taken-by-another', rules: 'S1', when: { step: [...BEFORE, ...SENT, 'open-backing'], outcome: ['lost'] }, then: 'fenced' },
  { label: 'drained-briefly', rules: '6', when: { ...DONE, step: ['drain'] }, then: 'stop-serving' },
  { label: 'stopped', rules: '6', when: { ...DONE, step: ['stop-serving'] }, then: 'release-leases' },
  { label: 'released', rules: '6 8.1', when: { ...DONE, step: ['release-leases'] }, then: 'close-backing' },
  // Only now: the settled change is itself the evidence that nothing of ours comes later (S1).
  { label: 'backing-closed', rules: '6 S1 h-handoff-nowait', when: { ...DONE, step: ['close-backing'] }, then: 'hand-over' },
  { label: 'handed-over', rules: '6', when: { ...DONE, step: SENT }, then: 'remove-entry' },
  { label: 'hand-over-unknown', rules: '1.1 1.2 6', when: { step: SENT, outcome: ['unknown'] }, then: 'settle' },
  { label: 'not-handed-over', rules: '6', when: { step: SENT, outcome: ['failed'], backing: ['closed'] }, then: 'open-backing' },
  { label: 'not-handed-over-open', rules: '6', when: { step: SENT, outcome: ['failed'], backing: ['open'] }, then: 'serve-again' },
  { label: 'given-up', rules: '6', when: { step: BEFORE, outcome: NOT_DONE, backing: ['open'] }, then: 'serve-again' },
  { label: 'given-up-closed', rules: '6', when: { step: BEFORE, outcome: NOT_DONE, backing: ['closed'] }, then: 'open-backing' },
  { label: 'opened-again', rules: '6', when: { ...DONE, step: ['open-backing'] }, then: 'serve-again' },
  { label: 'not-opened-again', rules: '6', when: { step: ['open-backing'], outcome: NOT_DONE }, then: 'open-backing' },
  // Whoever opens next finds the entry and fences it: nothing is wrong, only slower.
  { label: 'entry-left-or-removed', rules: '6 S2', when: { step: ['remove-entry'] }, then: 'done' },
]

export function nextHandOverStep(
  facts: HandOverStepFacts,
  rows = HAND_OVER_STEP_ROWS,
): { readonly label: string; readonly next: NextHandOverStep } {
  const { label, then } = decide(rows, facts)
  return { label, next: then }
}

/** What the user reads where a hand-over waits for too long, or is refused. */
export function handOverText(
  answer: Exclude<HandOverAnswer, 'hand-over'>,
  { volume, to }: { readonly volume: string; readonly to: string },
): { readonly message: string; readonly remedy: string } {
  const { what, remedy } = TEXTS[answer]
  return { message: `the volume cannot be handed over: ${what} volume=${volume} to=${to}`, remedy: remedy(to) }
}

interface HandOverText {
  readonly what: string
  readonly remedy: (to: string) => string
}

const AGAIN = (): string => 'Try again in a moment; the volume goes on here.'

const TEXTS: Readonly<Record<Exclude<HandOverAnswer, 'hand-over'>, HandOverText>> = {
  'wait-register': { what: 'a change of the register is not settled', remedy: AGAIN },
  'wait-learner': { what: 'a new replica is about to be added', remedy: AGAIN },
  'wait-copy': { what: 'the copy on the other node is not yet equal', remedy: AGAIN },
  'wait-drain': { what: 'it is draining', remedy: AGAIN },
  'wait-writes': { what: 'writes are not yet answered', remedy: AGAIN },
  'wait-backing': { what: 'writes to the backing have not ended', remedy: AGAIN },
  'wait-new-node': {
    what: 'an earlier engine on the other node may still write to the backing',
    remedy: (to) => `Stop what is left of the volume on ${to}, then try again.`,
  },
  'refuse-phase': {
    what: 'it is not open',
    remedy: () => 'Open it first; a closed volume is opened where it is wanted.',
  },
  'refuse-not-listed': {
    what: 'the other node holds no copy',
    remedy: (to) => `Add --peer ${to} and wait until "forebay status" lists its copy.`,
  },
  'refuse-unreachable': { what: 'the other node cannot be reached', remedy: (to) => `Start "forebay peer" on ${to}.` },
  'refuse-backing': {
    what: 'the backing does not answer',
    remedy: () => 'Repair the backing first: a write that comes late would come after those of the new owner.',
  },
}
