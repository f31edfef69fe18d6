// A volume is to be closed: what is the next thing to do? Pure; asked again after each step. The end is Detached with
// dirty=false, written only after the last backing I/O has ended, or, at a second request, everything left as it is: dirty
// data stays safe in the cache and the next open goes on from there.
//   WriteBack ─start-drain▶ DrainWT ─(log empty)▶ WriteThrough ─(device released) set-closing▶ Closing ─set-detached▶ Detached
import type { Phase } from '../register/record.ts'
import { type DecisionRow, decide } from './decision-table.ts'

export interface CloseFacts {
  /** first: drain and close when the device is released. second: stop at once. */
  readonly request: 'first' | 'second'
  readonly phase: Phase
  /** Is a change of the register unsettled? */
  readonly change: 'none' | 'open'
  /** Does anybody hold the device open (a mount, a process)? */
  readonly device: 'in-use' | 'released'
  /** Backing I/O of this engine, destage and writes alike. */
  readonly backingIo: 'in-flight' | 'ended'
}

/** `leave`: end without a further change of the register. `finished`: it is closed clean. */
export type CloseStep =
  | 'start-drain'
  | 'wait-for-drain'
  | 'wait-for-release'
  | 'wait-for-register'
  | 'wait-for-backing'
  | 'set-closing'
  | 'set-detached'
  | 'leave'
  | 'finished'

const FIRST = { request: ['first'], change: ['none'] } as const
const OPEN_PHASES = ['Opening', 'WriteBack', 'DrainWT', 'WriteThrough', 'Closing', 'Blocked'] as const

export const CLOSE_ROWS: readonly DecisionRow<CloseFacts, CloseStep>[] = [
  { label: 'closed', rules: 'S1', when: { phase: ['Detached'] }, then: 'finished' },
  { label: 'stop-at-once', rules: '1.3', when: { request: ['second'], phase: OPEN_PHASES }, then: 'leave' },
  // No step may rest on either outcome.
  {
    label: 'change-open',
    rules: '1.2',
    when: { request: ['first'], change: ['open'], phase: OPEN_PHASES },
    then: 'wait-for-register',
  },
  { label: 'drain', rules: '2.3', when: { ...FIRST, phase: ['WriteBack'] }, then: 'start-drain' },
  { label: 'draining', rules: '2.4', when: { ...FIRST, phase: ['DrainWT'] }, then: 'wait-for-drain' },
  {
    label: 'device-in-use',
    rules: 'S1',
    when: { ...FIRST, phase: ['WriteThrough'], device: ['in-use'] },
    then: 'wait-for-release',
  },
  {
    label: 'device-released',
    rules: 'S1',
    when: { ...FIRST, phase: ['WriteThrough'], device: ['released'] },
    then: 'set-closing',
  },
  {
    label: 'backing-busy',
    rules: 'S1',
    when: { ...FIRST, phase: ['Closing'], backingIo: ['in-flight'] },
    then: 'wait-for-backing',
  },
  {
    label: 'drained',
    rules: 'S1 1.5',
    when: { ...FIRST, phase: ['Closing'], backingIo: ['ended'] },
    then: 'set-detached',
  },
  // What was not opened, or cannot be drained, is left to the next open.
  {
    label: 'nothing-to-drain',
    rules: '5.2 invariant 9',
    when: { ...FIRST, phase: ['Opening', 'Blocked'] },
    then: 'leave',
  },
]

export function closeStep(facts: CloseFacts, rows = CLOSE_ROWS): { readonly label: string; readonly step: CloseStep } {
  const { label, then } = decide(rows, facts)
  return { label, step: then }
}
