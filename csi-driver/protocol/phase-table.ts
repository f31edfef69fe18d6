// The phases of an open volume and what moves it from one to the next: state × event → state and the changes of the
// register that must be settled around the move. Pure; phase-control.ts carries the rows out. Rule numbers are those of
// the replication protocol (docs/decisions/0001).
//
//   WriteBack ──want-write-through / close──▶ DrainWT ──log-empty──▶ WriteThrough ──close──▶ Closing ──▶ Detached
//      ▲                                        │  ▲                      │
//      └──────────────want-write-back───────────┘  └──cache-failed        └──want-write-back──▶ WriteBack
//   any ──dirty-unreadable──▶ Blocked ──dirty-readable──▶ DrainWT (else only a new open with explicit acceptance)
import type { Phase } from '../register/record.ts'

export type PhaseEvent =
  /** The user, or the lack of a place to log to, wants writes acknowledged by the backing. */
  | 'want-write-through'
  | 'want-write-back'
  /** Nothing un-trimmed in any copy, acknowledged (2.4). */
  | 'log-empty'
  /** The cache device failed: nothing can be logged any more. */
  | 'cache-failed'
  /** Acknowledged data exists that can be read from no copy. */
  | 'dirty-unreadable'
  /** It could be read after all: the device came back. */
  | 'dirty-readable'
  | 'close'

export const PHASE_EVENTS: readonly PhaseEvent[] = [
  'want-write-through',
  'want-write-back',
  'log-empty',
  'cache-failed',
  'dirty-unreadable',
  'dirty-readable',
  'close',
]

export interface PhaseRow {
  readonly label: string
  readonly from: readonly Phase[]
  readonly event: PhaseEvent
  readonly to: Phase
  /** Register fields to be changed by a settled compare-and-swap; `undefined`: none is needed. */
  readonly cas?: { readonly dirty: boolean }
  /** Why, with the rule's number. */
  readonly why: string
}

export const PHASE_ROWS: readonly PhaseRow[] = [
  {
    label: '@P1',
    from: ['WriteBack'],
    event: 'want-write-through',
    to: 'DrainWT',
    cas: { dirty: true },
    why: 'logged and on the backing before the acknowledgement (2.3)',
  },
  {
    label: '@P2',
    from: ['DrainWT'],
    event: 'log-empty',
    to: 'WriteThrough',
    cas: { dirty: false },
    why: 'appends stay frozen until dirty=false is settled (2.4)',
  },
  {
    label: '@P3',
    from: ['WriteThrough'],
    event: 'want-write-back',
    to: 'WriteBack',
    cas: { dirty: true },
    why: 'dirty=true is settled before the first write-back acknowledgement (2.5)',
  },
  {
    label: '@P4',
    from: ['DrainWT'],
    event: 'want-write-back',
    to: 'WriteBack',
    cas: { dirty: true },
    why: 'the drain is given up; dirty stays true',
  },
  {
    label: '@P5',
    from: ['WriteBack', 'DrainWT'],
    event: 'cache-failed',
    to: 'DrainWT',
    cas: { dirty: true },
    why: 'nothing is acknowledged until the log is drained from what can still be read',
  },
  {
    label: '@P6',
    from: ['WriteThrough'],
    event: 'cache-failed',
    to: 'WriteThrough',
    why: 'nothing was logged; only the read cache is lost',
  },
  {
    label: '@P7',
    from: ['WriteBack', 'DrainWT', 'WriteThrough'],
    event: 'dirty-unreadable',
    to: 'Blocked',
    cas: { dirty: true },
    why: 'invariant 9: no silent loss',
  },
  {
    label: '@P14',
    from: ['Blocked'],
    event: 'dirty-readable',
    to: 'DrainWT',
    cas: { dirty: true },
    why: 'the log is whole again; the policy decides what follows',
  },
  {
    label: '@P8',
    from: ['WriteThrough'],
    event: 'close',
    to: 'Closing',
    cas: { dirty: false },
    why: 'nothing is dirty; only the detach is left',
  },
  {
    label: '@P9',
    from: ['WriteBack'],
    event: 'close',
    to: 'DrainWT',
    cas: { dirty: true },
    why: 'a close drains first',
  },
  { label: '@P10', from: ['DrainWT'], event: 'close', to: 'DrainWT', why: 'the drain is under way already' },
  { label: '@P11', from: ['WriteThrough'], event: 'want-write-through', to: 'WriteThrough', why: 'already in force' },
  { label: '@P12', from: ['DrainWT'], event: 'want-write-through', to: 'DrainWT', why: 'already on its way' },
  { label: '@P13', from: ['WriteBack'], event: 'want-write-back', to: 'WriteBack', why: 'already in force' },
]

export interface PhaseMove {
  readonly label: string
  readonly to: Phase
  readonly cas: { readonly dirty: boolean } | undefined
}

/** The move for an event, or null where the event means nothing in that phase (the caller refuses or ignores it). */
export function movePhase(phase: Phase, event: PhaseEvent): PhaseMove | null {
  for (const row of PHASE_ROWS) {
    if (row.event !== event || !row.from.includes(phase)) continue
    return { label: row.label, to: row.to, cas: row.cas }
  }
  return null
}

/** How a write of this phase is acknowledged. */
export type WriteRoute = 'log' | 'log-and-backing' | 'backing' | 'wait'

export function writeRoute(phase: Phase): WriteRoute {
  switch (phase) {
    case 'WriteBack':
      return 'log'
    case 'DrainWT':
      return 'log-and-backing'
    case 'WriteThrough':
      return 'backing'
    case 'Closing':
    case 'Detached':
    case 'Opening':
    case 'Blocked':
      return 'wait'
  }
}
