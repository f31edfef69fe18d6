// What the restart does at each step of a stored log, as a table. The step: batches up to k - 1 are good; where is batch
// k, and if it is nowhere, was it ever complete? One append of a volume is in flight at any time, so batch k + 1 exists
// only if k was complete, and whoever was told that k is held was told so after it was complete. An incomplete k without
// such proof is the torn last write: nobody was told. One with proof is damage, and the log is no log any more.
//
// Facts: what stands behind batch k - 1 (`here`); what stands first in the segment that follows, where k is when it did
// not fit (`next`); which of two good ones was written later (`later`); whether anything proves that k was complete
// (`proven`). A batch that a promotion dropped long ago may still stand at one of the two places: it has another name, or
// was written earlier than the one that took its number.
import { type DecisionRow, decide } from '../../protocol/decision-table.ts'

export type StoredCandidate =
  /** Batch k of this log: header, body, chain and name are right. */
  | 'valid'
  /** A header of batch k of this log, whose body does not fit its hash. */
  | 'torn'
  /** Anything else: zeros, older batches, what a cut made void, another log, noise. */
  | 'absent'
  /** An intact batch k of this log that does not follow batch k - 1 or has another name. */
  | 'contradicting'

export interface StoredLogFacts {
  readonly here: StoredCandidate
  readonly next: StoredCandidate
  readonly later: 'here' | 'next' | 'same'
  readonly proven: boolean
}

export type StoredLogAction = 'take-here' | 'take-next' | 'end' | 'lost'

const PLAIN: readonly StoredCandidate[] = ['torn', 'absent']
const NOT_VALID: readonly StoredCandidate[] = ['torn', 'absent', 'contradicting']

// biome-ignore format: a table
export const STORED_LOG_CASES: readonly DecisionRow<StoredLogFacts, StoredLogAction>[] = [
  { label: 'next_here', rules: '§3', when: { here: ['valid'], next: NOT_VALID }, then: 'take-here' },
  { label: 'next_in_segment', rules: '§3', when: { here: NOT_VALID, next: ['valid'] }, then: 'take-next' },
  { label: 'twins_here', rules: '5.1', when: { here: ['valid'], next: ['valid'], later: ['here'] }, then: 'take-here' },
  { label: 'twins_in_segment', rules: '5.1', when: { here: ['valid'], next: ['valid'], later: ['next'] }, then: 'take-next' },
  { label: 'twins_clash', rules: 'invariant 9', when: { here: ['valid'], next: ['valid'], later: ['same'] }, then: 'lost' },
  { label: 'contradiction_here', rules: 'invariant 9', when: { here: ['contradicting'], next: NOT_VALID }, then: 'lost' },
  { label: 'contradiction_in_segment', rules: 'invariant 9', when: { here: PLAIN, next: ['contradicting'] }, then: 'lost' },
  { label: 'missing', rules: 'invariant 9', when: { here: PLAIN, next: PLAIN, proven: [true] }, then: 'lost' },
  { label: 'torn_here', rules: '§3', when: { here: ['torn'], next: PLAIN, proven: [false] }, then: 'end' },
  { label: 'torn_in_segment', rules: '§3', when: { here: ['absent'], next: ['torn'], proven: [false] }, then: 'end' },
  { label: 'log_end', rules: '§3', when: { here: ['absent'], next: ['absent'], proven: [false] }, then: 'end' },
]

export type StoredLogCase = DecisionRow<StoredLogFacts, StoredLogAction>

/** The rows by their facts: a restart asks once per batch. */
const DECIDED = new Map<string, StoredLogCase>()

/** The one row for these facts. */
export function storedLogCase(facts: StoredLogFacts): StoredLogCase {
  const key = `${facts.here} ${facts.next} ${facts.later} ${facts.proven}`
  const row = DECIDED.get(key) ?? decide(STORED_LOG_CASES, facts)
  DECIDED.set(key, row)
  return row
}
