// A database on a pretended host: sqlite, one transaction after the other, each durable before the next begins. Whoever
// started it keeps the journal: a line is printed only after the commit has returned.
//
//   node table-program.ts write FILE FIRST     transactions FIRST, FIRST+1, … until it is killed or the device fails:
//                                              {"ok":true,"committed":N,"longestMs":…} each
//   node table-program.ts check FILE           {"ok":true,"committed":N}, or what is wrong
//
// A transaction adds a row whose content follows from its number, and moves money between accounts, so that a half of
// it would show. The check is sqlite's own, and then ours: every row of the last ones, its content, and the sum.
import { createHash } from 'node:crypto'
import { DatabaseSync } from 'node:sqlite'

export interface TableReport {
  readonly ok: boolean
  readonly error?: string
  /** Number of the last transaction. */
  readonly committed: number
  /** Of one transaction, since the program was started. */
  readonly longestMs: number
}

const ACCOUNTS = 16
const MONEY = 1000
/** Between a few bytes and more than a page. */
const PADDING_BYTES_MAX = 9000
/** So many rows are kept, that the file system does not fill up. */
const ROWS = 1500

const [command, file = '', first = '1'] = process.argv.slice(2)
const say = (report: Partial<TableReport>): boolean => process.stdout.write(`${JSON.stringify(report)}\n`)

function contentOf(number: number): string {
  const seed = createHash('sha1').update(`row ${number}`).digest('hex')
  return seed.repeat(1 + ((number * 7919) % Math.floor(PADDING_BYTES_MAX / seed.length)))
}

function open(): DatabaseSync {
  const database = new DatabaseSync(file)
  database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 200')
  return database
}

function prepare(database: DatabaseSync): void {
  database.exec(`BEGIN;
    CREATE TABLE IF NOT EXISTS ledger (number INTEGER PRIMARY KEY, content TEXT NOT NULL);
    CREATE TABLE IF NOT EXISTS accounts (id INTEGER PRIMARY KEY, money INTEGER NOT NULL);
    COMMIT`)
  const insert = database.prepare('INSERT OR IGNORE INTO accounts VALUES (?, ?)')
  for (let id = 0; id < ACCOUNTS; id++) insert.run(id, MONEY)
}

function lastNumber(database: DatabaseSync): number {
  const row = database.prepare('SELECT coalesce(max(number), 0) AS number FROM ledger').get()
  return (row as { number: number }).number
}

function write(): never {
  const database = open()
  prepare(database)
  const insert = database.prepare('INSERT INTO ledger VALUES (?, ?)')
  const forget = database.prepare('DELETE FROM ledger WHERE number <= ?')
  const pay = database.prepare('UPDATE accounts SET money = money + ? WHERE id = ?')
  // What was on its way when the program before was killed may have been committed: its row is there then.
  let longestMs = 0
  for (let number = Math.max(Number(first), lastNumber(database) + 1); ; number++) {
    const startedMs = performance.now()
    database.exec('BEGIN IMMEDIATE')
    insert.run(number, contentOf(number))
    forget.run(number - ROWS)
    pay.run(number % 50, number % ACCOUNTS)
    pay.run(-(number % 50), (number + 5) % ACCOUNTS)
    database.exec('COMMIT')
    longestMs = Math.max(longestMs, performance.now() - startedMs)
    say({ ok: true, committed: number, longestMs: Math.round(longestMs) })
  }
}

function check(): Partial<TableReport> {
  const database = open()
  const wrong = (error: string): Partial<TableReport> => ({ ok: false, error })
  const said = database.prepare('PRAGMA integrity_check').all() as { integrity_check: string }[]
  if (said[0]?.integrity_check !== 'ok') return wrong(`integrity_check: ${JSON.stringify(said.slice(0, 5))}`)
  prepare(database)
  const last = lastNumber(database)
  let committed = Math.max(0, last - ROWS)
  for (const row of database.prepare('SELECT number, content FROM ledger ORDER BY number').iterate()) {
    const { number, content } = row as { number: number; content: string }
    if (number !== committed + 1) return wrong(`rows ${committed + 1} to ${number - 1} are missing`)
    if (content !== contentOf(number)) return wrong(`row ${number} has a foreign content`)
    committed = number
  }
  const { sum } = database.prepare('SELECT sum(money) AS sum FROM accounts').get() as { sum: number }
  if (committed !== last) return wrong(`rows ${committed + 1} to ${last} are missing`)
  if (sum !== ACCOUNTS * MONEY) return wrong(`money appeared or vanished: ${sum} instead of ${ACCOUNTS * MONEY}`)
  database.close()
  return { ok: true, committed }
}

if (command === 'write') write()
try {
  say(check())
} catch (error) {
  say({ ok: false, error: String(error) })
}
