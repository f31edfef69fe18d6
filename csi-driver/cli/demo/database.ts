// The application of the demo, a process of its own: a SQLite database that commits one transfer after the other, or
// the check of what it holds.
//
//   node database.ts write FILE          one line for each commit, after it: its number, and how long it took in ms.
//                                        The first line names the last commit found. Ends when standard input does
//   node database.ts check FILE COUNT    one JSON object (LedgerFindings) about commits 1 to COUNT
//
// The lines go to whoever ordered the transfers and are all that it relies on: each is written when the commit has
// returned, before the next one begins.
import { writeSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import { setImmediate } from 'node:timers/promises'
import { pathToFileURL } from 'node:url'
import { checkLedger, committer, openLedger } from './ledger.ts'

const STDOUT = 1

async function write(file: string): Promise<void> {
  const over = { now: false }
  process.stdin.on('end', () => (over.now = true)).resume()
  const database = new DatabaseSync(file)
  let id = openLedger(database)
  writeSync(STDOUT, `${id}\n`)
  const commit = committer(database)
  while (!over.now) {
    id++
    const begunMs = performance.now()
    commit(id)
    writeSync(STDOUT, `${id} ${(performance.now() - begunMs).toFixed(3)}\n`)
    // Lets the end of the input in.
    // oxlint-disable-next-line eslint/no-await-in-loop -- one commit after the other
    await setImmediate()
  }
  database.close()
}

/** Also from a read-only file system, where nothing can be recovered and nothing has to be. */
function check(file: string, acknowledged: number, isReadOnly: boolean): void {
  const address = pathToFileURL(file)
  if (isReadOnly) address.searchParams.set('immutable', '1')
  const database = new DatabaseSync(address, { readOnly: isReadOnly })
  writeSync(STDOUT, `${JSON.stringify(checkLedger(database, acknowledged))}\n`)
  database.close()
}

const [mode, file = '', count = '0', how] = process.argv.slice(2)
if (mode === 'write') await write(file)
else check(file, Number(count), how === 'read-only')
