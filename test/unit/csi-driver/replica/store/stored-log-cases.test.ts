// Proves: exactly one row of the restart table takes each combination of facts, every row is reached, a good batch is
// taken, and no row ends a log in which anything proves that the missing batch was complete.
import { readFileSync } from 'node:fs'
import { combinationsOf, rowApplies } from '../../../../../csi-driver/protocol/decision-table.ts'
import {
  STORED_LOG_CASES,
  storedLogCase,
  type StoredCandidate,
  type StoredLogFacts,
} from '../../../../../csi-driver/replica/store/stored-log-cases.ts'

const CANDIDATES: readonly StoredCandidate[] = ['valid', 'torn', 'absent', 'contradicting']
const ALL: StoredLogFacts[] = [
  ...combinationsOf<StoredLogFacts>({
    here: CANDIDATES,
    next: CANDIDATES,
    later: ['here', 'next', 'same'],
    proven: [true, false],
  }),
]

test('exactly one row for each combination, and every row is reached', () => {
  expect(ALL).toHaveLength(96)
  for (const facts of ALL) {
    const rows = STORED_LOG_CASES.filter((row) => rowApplies(row, facts))
    expect({ facts, labels: rows.map((row) => row.label) }).toEqual({ facts, labels: [storedLogCase(facts).label] })
  }
  expect(new Set(ALL.map((facts) => storedLogCase(facts).label)).size).toBe(STORED_LOG_CASES.length)
})

test('a good batch is taken; without one, proof or a contradiction is loss', () => {
  for (const facts of ALL) {
    const { then } = storedLogCase(facts)
    const isHere = facts.here === 'valid'
    const isNext = facts.next === 'valid'
    if (isHere !== isNext) expect(then).toBe(isHere ? 'take-here' : 'take-next')
    if (isHere || isNext) continue
    const isDoubtful = facts.proven || facts.here === 'contradicting' || facts.next === 'contradicting'
    expect(then).toBe(isDoubtful ? 'lost' : 'end')
  }
})

test('the document shows the table', () => {
  const page = readFileSync('docs/formats/replica-store.md', 'utf8')
  const show = (values: readonly unknown[] | undefined): string => values?.join(', ') ?? 'any'
  for (const { label, when, then } of STORED_LOG_CASES) {
    const facts = [show(when.here), show(when.next), show(when.later), show(when.proven)]
    expect(page).toContain(`| ${[label, ...facts, then].join(' | ')} |`)
  }
})
