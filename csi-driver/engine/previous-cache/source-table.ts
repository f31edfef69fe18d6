// Where a read that the own cache cannot serve goes: to the backing, to the cache of the owner before, or to both. Rule 9 of
// the replication protocol: never there for a block that was written since the volume was opened. What is measured to be
// faster is decided by pace.ts.
import type { DecisionRow } from '../../protocol/decision-table.ts'

export interface SourceFacts {
  /** closed: not found yet, or let go. trial: what it says is only compared with the backing. */
  readonly stage: 'closed' | 'trial' | 'open'
  /** What no log holds may be read from caches (rule 8.4). */
  readonly permitted: boolean
  /** Of the blocks wanted, since the open. */
  readonly written: 'none' | 'some'
  /** Few enough blocks for one question. */
  readonly size: 'fits' | 'large'
  /** Questions that may be asked besides those under way. */
  readonly room: boolean
  readonly pace: 'faster' | 'slower'
  /** Its turn to be measured and compared. */
  readonly probe: boolean
}

/** both: the backing answers the read; what the cache says is measured, and compared with it. */
export type Source = 'backing' | 'previous' | 'both'

const MAY = { permitted: [true], written: ['none'], size: ['fits'], room: [true] } as const
const OPEN = { ...MAY, stage: ['open'] } as const
const FOUND = { stage: ['trial', 'open'] } as const

// biome-ignore format: a table
export const SOURCE_ROWS: readonly DecisionRow<SourceFacts, Source>[] = [
  { label: 'no-previous-cache', rules: '9', when: { stage: ['closed'] }, then: 'backing' },
  { label: 'no-permission', rules: '8.4', when: { ...FOUND, permitted: [false] }, then: 'backing' },
  { label: 'written-since', rules: '9', when: { ...FOUND, permitted: [true], written: ['some'] }, then: 'backing' },
  { label: 'too-large', rules: 'invariant 10', when: { ...FOUND, permitted: [true], written: ['none'], size: ['large'] }, then: 'backing' },
  { label: 'too-many', rules: 'invariant 10', when: { ...FOUND, permitted: [true], written: ['none'], size: ['fits'], room: [false] }, then: 'backing' },
  { label: 'trial', rules: '9', when: { ...MAY, stage: ['trial'] }, then: 'both' },
  { label: 'probe', rules: '9', when: { ...OPEN, probe: [true] }, then: 'both' },
  { label: 'faster', rules: '9', when: { ...OPEN, probe: [false], pace: ['faster'] }, then: 'previous' },
  { label: 'slower', rules: '9', when: { ...OPEN, probe: [false], pace: ['slower'] }, then: 'backing' },
]
