// What the database of the demo holds, and how it is told whether something of it is missing. Each commit is one
// transfer between two accounts: one new entry and two changed balances. Everything in entry N follows from N, so that
// whoever knows how many commits were acknowledged knows what the database must hold.
import { createHash } from 'node:crypto'
import type { DatabaseSync } from 'node:sqlite'

const ACCOUNTS = 64
/** An entry is about as long as a row of an application. */
const NOTE_BYTES = 256
const WORST_SHOWN = 5

/** Every commit waits until the disk has it: WAL with a sync for each, which is what `synchronous = FULL` means. */
const PRAGMAS = 'PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA locking_mode = EXCLUSIVE;'
const SCHEMA = `
  CREATE TABLE IF NOT EXISTS account (id INTEGER PRIMARY KEY, balance INTEGER NOT NULL);
  CREATE TABLE IF NOT EXISTS entry (
    id INTEGER PRIMARY KEY, debit INTEGER NOT NULL, credit INTEGER NOT NULL, amount INTEGER NOT NULL, note BLOB NOT NULL
  );`
/** Accounts whose balance is not the sum of their entries. */
const WRONG_BALANCES = `
  WITH movement (account, amount) AS (SELECT credit, amount FROM entry UNION ALL SELECT debit, -amount FROM entry),
    total (account, amount) AS (SELECT account, sum(amount) FROM movement GROUP BY account)
  SELECT count(*) AS count FROM account LEFT JOIN total ON total.account = account.id
  WHERE balance <> coalesce(total.amount, 0)`

interface Entry {
  readonly id: number
  readonly debit: number
  readonly credit: number
  readonly amount: number
  readonly note: Buffer
}

export interface LedgerFindings {
  /** `ok`, or what the database's own check found. */
  readonly integrity: string
  readonly entries: number
  /** Acknowledged commits that are not there. */
  readonly missing: number
  /** Entries that hold something else than was committed. */
  readonly different: number
  /** Numbers of the first ones of both kinds. */
  readonly first: readonly number[]
  readonly wrongBalances: number
  /** SHA-256 over all acknowledged entries, as found and as committed. */
  readonly digest: string
  readonly expectedDigest: string
}

export function nothingIsWrong(findings: LedgerFindings): boolean {
  const { integrity, missing, different, wrongBalances, digest, expectedDigest } = findings
  return integrity === 'ok' && missing === 0 && different === 0 && wrongBalances === 0 && digest === expectedDigest
}

export function entryOf(id: number): Entry {
  const parts: Buffer[] = []
  for (let part = 0; part * 32 < NOTE_BYTES; part++) {
    parts.push(createHash('sha256').update(`${id} ${part}`).digest())
  }
  const note = Buffer.concat(parts, NOTE_BYTES)
  const debit = note.readUInt32LE(0) % ACCOUNTS
  const credit = (debit + 1 + (note.readUInt32LE(4) % (ACCOUNTS - 1))) % ACCOUNTS
  return { id, debit, credit, amount: 1 + (note.readUInt32LE(8) % 1000), note }
}

/** Makes what is missing of the tables. Returns the number of the last commit, 0 for none. */
export function openLedger(database: DatabaseSync): number {
  database.exec(PRAGMAS)
  database.exec(SCHEMA)
  const add = database.prepare('INSERT OR IGNORE INTO account (id, balance) VALUES (?, 0)')
  database.exec('BEGIN')
  for (let id = 0; id < ACCOUNTS; id++) add.run(id)
  database.exec('COMMIT')
  return Number(database.prepare('SELECT coalesce(max(id), 0) AS last FROM entry').get()?.['last'] ?? 0)
}

/** Returns the function that commits transfer `id`: when it returns, the disk has it. */
export function committer(database: DatabaseSync): (id: number) => void {
  const change = database.prepare('UPDATE account SET balance = balance + ? WHERE id = ?')
  const add = database.prepare('INSERT INTO entry (id, debit, credit, amount, note) VALUES (?, ?, ?, ?, ?)')
  const begin = database.prepare('BEGIN')
  const commit = database.prepare('COMMIT')
  return (number) => {
    const { id, debit, credit, amount, note } = entryOf(number)
    begin.run()
    change.run(-amount, debit)
    change.run(amount, credit)
    add.run(id, debit, credit, amount, note)
    commit.run()
  }
}

/** Compares the whole database with the commits 1 to `acknowledged`. */
export function checkLedger(database: DatabaseSync, acknowledged: number): LedgerFindings {
  const integrity = String(database.prepare('PRAGMA integrity_check').get()?.['integrity_check'] ?? 'no answer')
  const found = database.prepare('SELECT id, debit, credit, amount, note FROM entry WHERE id = ?')
  const entries = Number(database.prepare('SELECT count(*) AS count FROM entry').get()?.['count'] ?? 0)
  const [digest, expectedDigest] = [createHash('sha256'), createHash('sha256')]
  const first: number[] = []
  let missing = 0
  let different = 0
  for (let id = 1; id <= acknowledged; id++) {
    const expected = printed(entryOf(id))
    expectedDigest.update(expected)
    const row = found.get(id)
    const actual = row === undefined ? '' : printed(row)
    digest.update(actual)
    if (actual === expected) continue
    if (row === undefined) missing++
    else different++
    if (first.length < WORST_SHOWN) first.push(id)
  }
  const wrongBalances = Number(database.prepare(WRONG_BALANCES).get()?.['count'] ?? -1)
  return {
    integrity,
    entries,
    missing,
    different,
    first,
    wrongBalances,
    digest: digest.digest('hex'),
    expectedDigest: expectedDigest.digest('hex'),
  }
}

function printed(entry: Readonly<Record<string, unknown>> | Entry): string {
  const { id, debit, credit, amount, note } = entry
  const bytes = note instanceof Uint8Array ? Buffer.from(note).toString('hex') : 'no note'
  return `${String(id)} ${String(debit)} ${String(credit)} ${String(amount)} ${bytes}\n`
}
