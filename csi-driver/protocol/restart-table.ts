// A new engine process finds the cache of an earlier one: does it go on in the same epoch, or open the volume anew? Pure
// rules 3.0 to 3.2, 1.3 and 5.2 of the replication protocol (docs/decisions/0001). An epoch lasts as long as the holder,
// so that everything under a new holder is an open.
import { sameMember, type Member, type Phase, type RegisterRecord } from '../register/record.ts'
import type { RegisterIntent } from '../register/settlement.ts'
import { type DecisionRow, decide } from './decision-table.ts'

export interface RestartFacts {
  readonly holder: 'same' | 'new'
  /** reaped: the earlier engine has ended and its backing I/O has ended or is fenced. */
  readonly predecessor: 'reaped' | 'maybe-alive'
  readonly superblock: 'readable' | 'unreadable'
  /** A change of the register that the superblock shows as sent and not settled. */
  readonly intent: 'none' | 'open'
  /** Is the own store a member under its present incarnation, by the last settled record? */
  readonly store: 'listed' | 'not-listed'
  /** Of the last settled record; `opening` also where there is none. moved: it names another owner, by a hand-over. */
  readonly phase: 'opening' | 'serving' | 'closing' | 'detached' | 'blocked' | 'moved'
}

/**
 * resume: next run, adopt the own log, serve; the register is not needed.
 * resume-closing: the same, but go on closing instead of serving.
 * settle-first: move the register's version, store what then holds, and ask again.
 * open: from S0. wait: until the earlier engine has been reaped. closed, moved: nothing is left to do here.
 */
export type RestartDecision = 'resume' | 'resume-closing' | 'settle-first' | 'open' | 'wait' | 'closed' | 'moved'

const MINE = { predecessor: ['reaped'], holder: ['same'], superblock: ['readable'] } as const

export const RESTART_ROWS: readonly DecisionRow<RestartFacts, RestartDecision>[] = [
  { label: 'predecessor-not-reaped', rules: '3.1 h-reap', when: { predecessor: ['maybe-alive'] }, then: 'wait' },
  { label: 'new-holder', rules: 'identity 1', when: { predecessor: ['reaped'], holder: ['new'] }, then: 'open' },
  // Counts as an open intent (1.3), and without its superblock the own log cannot be found: the open says what is lost.
  {
    label: 'superblock-unreadable',
    rules: '1.3 3.0',
    when: { predecessor: ['reaped'], holder: ['same'], superblock: ['unreadable'] },
    then: 'open',
  },
  // The claim of the repeated open moves the version, which settles an open change of the broken one.
  { label: 'died-while-opening', rules: '5.2', when: { ...MINE, phase: ['opening'] }, then: 'open' },
  {
    label: 'change-open',
    rules: '1.3 h-restart-get h-restart-add',
    when: { ...MINE, intent: ['open'], phase: ['serving', 'closing', 'detached', 'blocked', 'moved'] },
    then: 'settle-first',
  },
  {
    label: 'store-not-listed',
    rules: '3.0',
    when: { ...MINE, intent: ['none'], phase: ['serving', 'closing'], store: ['not-listed'] },
    then: 'open',
  },
  {
    label: 'resume',
    rules: '3.2',
    when: { ...MINE, intent: ['none'], phase: ['serving'], store: ['listed'] },
    then: 'resume',
  },
  {
    label: 'resume-closing',
    rules: '3.2',
    when: { ...MINE, intent: ['none'], phase: ['closing'], store: ['listed'] },
    then: 'resume-closing',
  },
  { label: 'closed-before', rules: '1.3', when: { ...MINE, intent: ['none'], phase: ['detached'] }, then: 'closed' },
  { label: 'handed-over', rules: '6', when: { ...MINE, intent: ['none'], phase: ['moved'] }, then: 'moved' },
  { label: 'was-blocked', rules: 'invariant 9', when: { ...MINE, intent: ['none'], phase: ['blocked'] }, then: 'open' },
]

export interface RestartInput {
  readonly sameHolder: boolean
  readonly predecessorReaped: boolean
  /** null: no superblock can be read. */
  readonly superblock: {
    readonly store: Member
    readonly settled: RegisterRecord | null
    readonly intent: RegisterIntent | null
  } | null
}

const PHASE_GROUPS: Readonly<Record<Phase, RestartFacts['phase']>> = {
  Opening: 'opening',
  WriteBack: 'serving',
  DrainWT: 'serving',
  WriteThrough: 'serving',
  Closing: 'closing',
  Detached: 'detached',
  Blocked: 'blocked',
}

export function restartFacts({ sameHolder, predecessorReaped, superblock }: RestartInput): RestartFacts {
  const holder = sameHolder ? 'same' : 'new'
  const predecessor = predecessorReaped ? 'reaped' : 'maybe-alive'
  if (superblock === null) {
    return { holder, predecessor, superblock: 'unreadable', intent: 'none', store: 'not-listed', phase: 'opening' }
  }
  const { settled, intent, store } = superblock
  return {
    holder,
    predecessor,
    superblock: 'readable',
    intent: intent === null ? 'none' : 'open',
    store: settled?.members.some((member) => sameMember(member, store)) ? 'listed' : 'not-listed',
    phase: phaseFact(settled, store),
  }
}

function phaseFact(settled: RegisterRecord | null, { node }: Member): RestartFacts['phase'] {
  if (settled === null) return 'opening'
  const group = PHASE_GROUPS[settled.phase]
  return group === 'serving' && settled.owner !== node ? 'moved' : group
}

export function restartDecision(
  input: RestartInput,
  rows = RESTART_ROWS,
): { readonly label: string; readonly decision: RestartDecision } {
  const { label, then } = decide(rows, restartFacts(input))
  return { label, decision: then }
}
