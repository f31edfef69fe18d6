// Proves that a table decides by exactly one row and says so when it does not, and that every combination is walked.
import { combinationsOf, type DecisionRow, decide, rowApplies } from '../../../../csi-driver/protocol/decision-table.ts'

interface Facts {
  readonly colour: 'red' | 'blue'
  readonly big: boolean
}

const ROWS: readonly DecisionRow<Facts, number>[] = [
  { label: 'red', rules: '', when: { colour: ['red'] }, then: 1 },
  { label: 'big-blue', rules: '', when: { colour: ['blue'], big: [true] }, then: 2 },
]

test('the row that applies is taken, facts it does not name may be anything', () => {
  expect(decide(ROWS, { colour: 'red', big: false }).label).toBe('red')
  expect(decide(ROWS, { colour: 'blue', big: true }).then).toBe(2)
})

test('a hole and an overlap are programmer errors', () => {
  expect(() => decide(ROWS, { colour: 'blue', big: false })).toThrow('one row decides')
  expect(() => decide([...ROWS, ...ROWS], { colour: 'red', big: false })).toThrow('rows=red,red')
})

test('combinations are all there, once each', () => {
  const all = [...combinationsOf<Facts>({ colour: ['red', 'blue'], big: [true, false] })]
  expect(new Set(all.map((facts) => JSON.stringify(facts))).size).toBe(4)
  expect(all.filter((facts) => ROWS.some((row) => rowApplies(row, facts)))).toHaveLength(3)
})
