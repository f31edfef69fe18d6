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
  const values = new Map<string, Fact>(Object.entries(facts))
  const conditions: [string, readonly Fact[]][] = Object.entries(row.when)
  return conditions.every(([name, allowed]) => {
    const value = values.get(name)
    return value !== undefined && allowed.includes(value)
  })
}

/** Rows found before, by the table and the facts: a table is asked for every batch, its combinations are few. */
const decided = new WeakMap<object, Map<string, DecisionRow<never, unknown>>>()

/** The row for these facts. Asserts that there is exactly one. */
export function decide<Facts extends object, Decision>(
  rows: readonly DecisionRow<Facts, Decision>[],
  facts: Facts,
): DecisionRow<Facts, Decision> {
  let known = decided.get(rows)
  if (known === undefined) decided.set(rows, (known = new Map()))
  const key = keyOf(facts)
  const found = known.get(key) as DecisionRow<Facts, Decision> | undefined
  if (found !== undefined) return found
  const row = decideAnew(rows, facts)
  known.set(key, row as DecisionRow<never, unknown>)
  return row
}

function keyOf(facts: object): string {
  let key = ''
  for (const name in facts) key += `${name}=${String(facts[name as keyof typeof facts])};`
  return key
}

function decideAnew<Facts extends object, Decision>(
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
export function* combinationsOf<Facts extends object>(domain: FactDomain<Facts>): Generator<Facts> {
  const names: [string, readonly Fact[]][] = Object.entries(domain)
  const total = names.reduce((product, [, values]) => product * values.length, 1)
  for (let i = 0; i < total; i++) {
    let rest = i
    const facts: Record<string, Fact> = {}
    for (const [name, values] of names) {
      facts[name] = values[rest % values.length] as Fact
      rest = Math.floor(rest / values.length)
    }
    yield facts as Facts
  }
}
