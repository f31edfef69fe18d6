// Proves that the check of the demo's database sees what it is there for: a commit that is missing at the end or in the
// middle, an entry or a balance that is another one; and that it says nothing where nothing is wrong. How: SQLite in
// memory, real commits, and then somebody who changes one thing.
import { DatabaseSync } from 'node:sqlite'
import {
  checkLedger,
  committer,
  entryOf,
  nothingIsWrong,
  openLedger,
} from '../../../../../csi-driver/cli/demo/ledger.ts'

const COMMITS = 40
let database: DatabaseSync

beforeEach(() => {
  database = new DatabaseSync(':memory:')
  openLedger(database)
  const commit = committer(database)
  for (let id = 1; id <= COMMITS; id++) commit(id)
})
afterEach(() => database.close())

test('everything that was committed is found, and goes on from there', () => {
  const findings = checkLedger(database, COMMITS)
  expect(findings).toMatchObject({ integrity: 'ok', entries: COMMITS, missing: 0, different: 0, wrongBalances: 0 })
  expect(nothingIsWrong(findings)).toBe(true)
  expect(openLedger(database)).toBe(COMMITS)
})

test('a commit that was written and not acknowledged is no mistake', () => {
  const findings = checkLedger(database, COMMITS - 1)
  expect(findings.entries).toBe(COMMITS)
  expect(nothingIsWrong(findings)).toBe(true)
})

test('an acknowledged commit that is missing is named', () => {
  const findings = checkLedger(database, COMMITS + 2)
  expect(findings).toMatchObject({ missing: 2, different: 0, first: [COMMITS + 1, COMMITS + 2] })
  expect(findings.digest).not.toBe(findings.expectedDigest)
  expect(nothingIsWrong(findings)).toBe(false)
})

test('one in the middle too, and the balances tell of it', () => {
  database.exec('DELETE FROM entry WHERE id = 17')
  const findings = checkLedger(database, COMMITS)
  expect(findings).toMatchObject({ missing: 1, first: [17], wrongBalances: 2 })
  expect(nothingIsWrong(findings)).toBe(false)
})

test('an entry that holds something else', () => {
  database.prepare('UPDATE entry SET note = ? WHERE id = 3').run(entryOf(4).note)
  const findings = checkLedger(database, COMMITS)
  expect(findings).toMatchObject({ missing: 0, different: 1, first: [3], wrongBalances: 0 })
  expect(nothingIsWrong(findings)).toBe(false)
})

test('a balance that is another one', () => {
  database.exec('UPDATE account SET balance = balance + 1 WHERE id = 5')
  const findings = checkLedger(database, COMMITS)
  expect(findings).toMatchObject({ missing: 0, different: 0, wrongBalances: 1 })
  expect(nothingIsWrong(findings)).toBe(false)
})

test('a transfer goes from one account to another one', () => {
  for (let id = 1; id <= 2000; id++) {
    const { debit, credit, amount } = entryOf(id)
    expect(debit).not.toBe(credit)
    expect(amount).toBeGreaterThan(0)
  }
})
