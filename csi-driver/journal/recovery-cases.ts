// What recovery does at each step, as a table. The step: batches up to k-1 are good; where is batch k, and if it is
// nowhere, was it ever complete? Exactly one log write is in flight at any time, so batch k+1 exists only if k was
// complete, and a reply to a record of k exists only if k was complete. An incomplete k without such proof is the torn
// last write and was never acknowledged; one with proof is damage and is never cut silently (datapath §3.3).
//
// Inputs: what stands where k is expected (`here`); what stands at the ring's start, where k is when it did not fit
// before the ring's end (`start`); which of two valid frames is newer (`twins`); what proves that k was complete.
// A test walks all combinations and finds exactly one row for each. Labels appear in events, errors and tests.

export type Candidate =
  /** Batch k of this log: header, chain and data are right. */
  | 'valid'
  /** Part of a batch: header or data do not match their hashes. */
  | 'torn'
  /** Anything else: zeros, user data, an older lap, leftovers of a dead engine, another log. */
  | 'absent'
  /** An intact header of batch k of this log that contradicts what stands before it or the superblock. */
  | 'contradicting'

/** Two valid frames of batch k: the one of the later run counts. Ignored unless both are valid. */
export type Twins = 'here-newer' | 'start-newer' | 'same' | 'clash'

export type Proof =
  | 'none'
  /** A later batch, or a superblock written when k was complete. */
  | 'later'
  /** Somebody knows a record of k as acknowledged. */
  | 'acked'

export interface RecoveryFacts {
  readonly here: Candidate
  readonly start: Candidate
  readonly twins: Twins
  readonly proof: Proof
}

export type RecoveryAction = 'take-here' | 'take-start' | 'end' | 'cut' | 'corrupt'

export type RecoveryLabel =
  | 'next_here'
  | 'next_at_start'
  | 'twins_here'
  | 'twins_at_start'
  | 'twins_clash'
  | 'contradiction_here'
  | 'contradiction_at_start'
  | 'damaged_before_later'
  | 'damaged_acked'
  | 'torn_here'
  | 'torn_at_start'
  | 'log_end'

export interface RecoveryCase {
  readonly label: RecoveryLabel
  readonly action: RecoveryAction
  /** Values of each input that the row takes; absent = any. */
  readonly here?: readonly Candidate[]
  readonly start?: readonly Candidate[]
  readonly twins?: readonly Twins[]
  readonly proof?: readonly Proof[]
}

const NOT_VALID = ['torn', 'absent', 'contradicting'] as const
const PLAIN = ['torn', 'absent'] as const

export const RECOVERY_CASES: readonly RecoveryCase[] = [
  { label: 'next_here', action: 'take-here', here: ['valid'], start: NOT_VALID },
  { label: 'next_at_start', action: 'take-start', here: NOT_VALID, start: ['valid'] },
  // A frame of k that a crash tore stayed at one place while the next run wrote its k at the other one.
  { label: 'twins_here', action: 'take-here', here: ['valid'], start: ['valid'], twins: ['here-newer', 'same'] },
  { label: 'twins_at_start', action: 'take-start', here: ['valid'], start: ['valid'], twins: ['start-newer'] },
  { label: 'twins_clash', action: 'corrupt', here: ['valid'], start: ['valid'], twins: ['clash'] },
  { label: 'contradiction_here', action: 'corrupt', here: ['contradicting'], start: NOT_VALID },
  { label: 'contradiction_at_start', action: 'corrupt', here: PLAIN, start: ['contradicting'] },
  { label: 'damaged_before_later', action: 'corrupt', here: PLAIN, start: PLAIN, proof: ['later'] },
  { label: 'damaged_acked', action: 'corrupt', here: PLAIN, start: PLAIN, proof: ['acked'] },
  { label: 'torn_here', action: 'cut', here: ['torn'], start: PLAIN, proof: ['none'] },
  { label: 'torn_at_start', action: 'cut', here: ['absent'], start: ['torn'], proof: ['none'] },
  { label: 'log_end', action: 'end', here: ['absent'], start: ['absent'], proof: ['none'] },
]

function takes<Value>(values: readonly Value[] | undefined, value: Value): boolean {
  return values === undefined || values.includes(value)
}

/** Whether the row takes these facts. */
export function matchesCase(row: RecoveryCase, facts: RecoveryFacts): boolean {
  return (
    takes(row.here, facts.here) &&
    takes(row.start, facts.start) &&
    takes(row.twins, facts.twins) &&
    takes(row.proof, facts.proof)
  )
}

/** The one row for these facts. */
export function recoveryCase(facts: RecoveryFacts): RecoveryCase {
  const row = RECOVERY_CASES.find((candidate) => matchesCase(candidate, facts))
  if (row === undefined) throw new Error(`recovery table is complete here=${facts.here} start=${facts.start}`)
  return row
}
