// The order in which a node opens a volume, S0 to S6 of the replication protocol (docs/decisions/0001), as a step machine. Pure:
// the engine carries a step out, says how it ended, and is given the next one.
//
//   read ─▶ create ──────────────┐
//     └───▶ claim ─▶ gather ─▶ new-log ─▶ own-log ─▶ serve
//             (gather: S2 and S3 as gather-table.ts orders them, also where nothing is dirty)
// Every step before own-log is settled can be repeated from the start (5.2): nothing old was dropped.
import { type DecisionRow, decide } from './decision-table.ts'
import type { OpenKind } from './open-table.ts'

export const OPEN_STEPS = ['read', 'create', 'claim', 'gather', 'new-log', 'own-log'] as const
export type OpenStep = (typeof OPEN_STEPS)[number]

export interface OpenStepFacts {
  readonly step: OpenStep
  /**
   * done: as wanted (for a change of the register: settled as applied). lost: another change of the register was faster
   * or a newer epoch exists. failed: anything else; also a decision that refuses.
   */
  readonly outcome: 'done' | 'lost' | 'failed'
  /** What the open table said after the last read. */
  readonly kind: OpenKind
}

/** serve: S6. stop: end; nothing that was acknowledged depends on this attempt. */
export type NextOpenStep = OpenStep | 'serve' | 'stop'

const EXISTS = ['open-clean', 'open-gather', 'open-discard'] as const
const DONE = { outcome: ['done'] } as const

export const OPEN_STEP_ROWS: readonly DecisionRow<OpenStepFacts, NextOpenStep>[] = [
  { label: 'failed', rules: '5.2', when: { outcome: ['failed'] }, then: 'stop' },
  // Whoever was faster has changed what was decided on: look again.
  { label: 'opened-by-another', rules: 'S1', when: { outcome: ['lost'], step: ['create', 'claim'] }, then: 'read' },
  {
    label: 'claimed-by-another',
    rules: '1.1',
    when: { outcome: ['lost'], step: ['read', 'gather', 'new-log', 'own-log'] },
    then: 'stop',
  },
  {
    label: 'nothing-registered',
    rules: 'S0',
    when: { ...DONE, step: ['read'], kind: ['create-volume'] },
    then: 'create',
  },
  { label: 'registered', rules: 'S0', when: { ...DONE, step: ['read'], kind: EXISTS }, then: 'claim' },
  { label: 'created', rules: 'S1', when: { ...DONE, step: ['create'] }, then: 'new-log' },
  { label: 'claimed', rules: 'S2 S3', when: { ...DONE, step: ['claim'] }, then: 'gather' },
  { label: 'gathered', rules: 'S4', when: { ...DONE, step: ['gather'] }, then: 'new-log' },
  { label: 'log-durable', rules: 'S5', when: { ...DONE, step: ['new-log'] }, then: 'own-log' },
  { label: 'log-owned', rules: 'S6', when: { ...DONE, step: ['own-log'] }, then: 'serve' },
]

export function nextOpenStep(
  facts: OpenStepFacts,
  rows = OPEN_STEP_ROWS,
): { readonly label: string; readonly next: NextOpenStep } {
  const { label, then } = decide(rows, facts)
  return { label, next: then }
}
