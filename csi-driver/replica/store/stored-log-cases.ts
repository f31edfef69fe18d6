// What the restart does at each step of a stored log, as a table. The step: batches up to k - 1 are good; where is batch
// k, and if it is nowhere, was it ever complete? One append of a volume is in flight at any time, so batch k + 1 exists
// only if k was complete, and whoever was told that k is held was told so after it was complete. An incomplete k without
// such proof is the torn last write: nobody was told. One with proof is damage, and the log is no log any more.
//
// Facts: what stands behind batch k - 1 (`here`); what stands first in the segment that follows, where k is when it did
// not fit (`next`); whether anything proves that k was complete (`proven`).
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
  readonly proven: boolean
}

export type StoredLogAction = 'take-here' | 'take-next' | 'end' | 'lost'

const PLAIN: readonly StoredCandidate[] = ['torn', 'absent']

// biome-ignore format: a table
export const STORED_LOG_CASES: readonly DecisionRow<StoredLogFacts, StoredLogAction>[] = [
  { label: 'next_here', rules: '§3', when: { here: ['valid'], next: PLAIN }, then: 'take-here' },
  { label: 'next_in_segment', rules: '§3', when: { here: PLAIN, next: ['valid'] }, then: 'take-next' },
  { label: 'log_end', rules: '§3', when: { here: ['absent'], next: ['absent'], proven: [false] }, then: 'end' },
  { label: 'torn_here', rules: '§3', when: { here: ['torn'], next: PLAIN, proven: [false] }, then: 'end' },
  { label: 'torn_in_segment', rules: '§3', when: { here: ['absent'], next: ['torn'], proven: [false] }, then: 'end' },
  { label: 'missing', rules: 'invariant 9', when: { here: PLAIN, next: PLAIN, proven: [true] }, then: 'lost' },
  { label: 'twins', rules: 'invariant 9', when: { here: ['valid'], next: ['valid'] }, then: 'lost' },
  { label: 'contradiction', rules: 'invariant 9', when: { here: ['contradicting'] }, then: 'lost' },
  { label: 'contradiction_in_segment', rules: 'invariant 9', when: { here: ['valid', 'torn', 'absent'], next: ['contradicting'] }, then: 'lost' },
]

export type StoredLogCase = DecisionRow<StoredLogFacts, StoredLogAction>

/** The rows by their facts: a restart asks once per batch. */
const DECIDED = new Map<string, StoredLogCase>()

/** The one row for these facts. */
export function storedLogCase(facts: StoredLogFacts): StoredLogCase {
  const key = `${facts.here} ${facts.next} ${facts.proven}`
  const row = DECIDED.get(key) ?? decide(STORED_LOG_CASES, facts)
  DECIDED.set(key, row)
  return row
}
