// A decision as a table: each row says which combinations of facts it is about, and what to do then. A fact that a row
// does not name may have any value. The rows of a table must cover every combination exactly once: its test walks all
// of them with `combinationsOf`, so that nothing is decided by the order of rows.
import { assert } from '../../base/assert.ts'

type Fact = string | boolean

export interface DecisionRow<Facts, Decision> {
  /** Stands in logs, messages and tests. */
  readonly label: string
  /** Rule numbers of the replication protocol (docs/decisions/0001), or the invariant. */
  readonly rules: string
  readonly when: { readonly [Name in keyof Facts]?: readonly Facts[Name][] }
  readonly then: Decision
}

/** Every value that each fact can have. */
export type FactDomain<Facts> = { readonly [Name in keyof Facts]: readonly Facts[Name][] }

export function rowApplies<Facts extends object>(row: DecisionRow<Facts, unknown>, facts: Facts): boolean {
  for (const name of Object.keys(row.when) as (keyof Facts)[]) {
    const allowed = row.when[name]
    if (allowed !== undefined && !allowed.includes(facts[name])) return false
  }
  return true
}

/** The row for these facts. Asserts that there is exactly one. */
export function decide<Facts extends object, Decision>(
  rows: readonly DecisionRow<Facts, Decision>[],
  facts: Facts,
): DecisionRow<Facts, Decision> {
  const applying = rows.filter((row) => rowApplies(row, facts))
  const [row] = applying
  assert(
    row !== undefined && applying.length === 1,
    `one row decides rows=${applying.map(({ label }) => label).join(',')} facts=${JSON.stringify(facts)}`,
  )
  return row
}

/** All combinations of the values of a domain, one after the other. */
export function* combinationsOf<Facts extends Record<keyof Facts, Fact>>(domain: FactDomain<Facts>): Generator<Facts> {
  const names = Object.keys(domain) as (keyof Facts)[]
  const total = names.reduce((product, name) => product * domain[name].length, 1)
  for (let i = 0; i < total; i++) {
    let rest = i
    const facts: Partial<Facts> = {}
    for (const name of names) {
      const values = domain[name]
      facts[name] = values[rest % values.length] as Facts[keyof Facts]
      rest = Math.floor(rest / values.length)
    }
    yield facts as Facts
  }
}
