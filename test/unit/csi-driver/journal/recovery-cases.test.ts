// Proves: exactly one row of the recovery table takes each combination of facts, every row is reached, and no row cuts or
// ends a log in which anything proves that the missing batch was complete.
import { readFileSync } from 'node:fs'
import {
  type Candidate,
  matchesCase,
  type Proof,
  RECOVERY_CASES,
  recoveryCase,
  type RecoveryFacts,
  type Twins,
} from '../../../../csi-driver/journal/recovery-cases.ts'

const CANDIDATES: readonly Candidate[] = ['valid', 'torn', 'absent', 'contradicting']
const TWINS: readonly Twins[] = ['here-newer', 'start-newer', 'same', 'clash']
const PROOFS: readonly Proof[] = ['none', 'later', 'acked']

const ALL: readonly RecoveryFacts[] = CANDIDATES.flatMap((here) =>
  CANDIDATES.flatMap((start) => TWINS.flatMap((twins) => PROOFS.map((proof) => ({ here, start, twins, proof })))),
)

test('exactly one row for each combination', () => {
  expect(ALL).toHaveLength(192)
  for (const facts of ALL) {
    const rows = RECOVERY_CASES.filter((row) => matchesCase(row, facts))
    expect({ facts, labels: rows.map((row) => row.label) }).toEqual({ facts, labels: [recoveryCase(facts).label] })
  }
})

test('every row is reached, labels are unique', () => {
  const reached = new Set(ALL.map((facts) => recoveryCase(facts).label))
  expect(reached.size).toBe(RECOVERY_CASES.length)
})

test('a good batch is taken; without one, proof forbids to end the log', () => {
  for (const facts of ALL) {
    const { action } = recoveryCase(facts)
    const isThere = facts.here === 'valid' || facts.start === 'valid'
    const clash = facts.here === 'valid' && facts.start === 'valid' && facts.twins === 'clash'
    if (isThere && !clash) expect(['take-here', 'take-start']).toContain(action)
    else if (facts.proof !== 'none' || clash) expect(action).toBe('corrupt')
    else expect(['end', 'cut', 'corrupt']).toContain(action)
    if (action === 'take-here') expect(facts.here).toBe('valid')
    if (action === 'take-start') expect(facts.start).toBe('valid')
  }
})

test('the document shows the table', () => {
  const show = (values: readonly string[] | undefined): string => values?.join(', ') ?? 'any'
  const page = readFileSync('docs/formats/journal.md', 'utf8')
  for (const { label, here, start, twins, proof, action } of RECOVERY_CASES) {
    expect(page).toContain(
      `| ${label} | ${show(here)} | ${show(start)} | ${show(twins)} | ${show(proof)} | ${action} |`,
    )
  }
})
