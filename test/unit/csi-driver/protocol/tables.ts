// What every decision table must pass, for the tests of the tables.
import {
  combinationsOf,
  type DecisionRow,
  type FactDomain,
  rowApplies,
} from '../../../../csi-driver/protocol/decision-table.ts'

/** Each combination that has not exactly one row, with the rows it has. */
export function undecided<Facts extends object>(
  rows: readonly DecisionRow<Facts, unknown>[],
  domain: FactDomain<Facts>,
): string[] {
  const wrong: string[] = []
  for (const facts of combinationsOf(domain)) {
    const labels = rows.filter((row) => rowApplies(row, facts)).map((row) => row.label)
    if (labels.length !== 1) wrong.push(`${JSON.stringify(facts)} rows=${labels.join(',')}`)
  }
  return wrong
}

/** Labels of rows that no combination reaches, and labels that stand twice. */
export function idleOrDouble<Facts extends object>(
  rows: readonly DecisionRow<Facts, unknown>[],
  domain: FactDomain<Facts>,
): string[] {
  const all = [...combinationsOf(domain)]
  const idle = rows.filter((row) => !all.some((facts) => rowApplies(row, facts)))
  const double = rows.filter((row, i) => rows.findIndex((other) => other.label === row.label) !== i)
  return [...idle, ...double].map((row) => row.label)
}
