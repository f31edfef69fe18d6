// Runs every planted bug (or those named) and prints which checker found it after how many seeds.
import process from 'node:process'
import { PLANTED_BUGS } from './planted.ts'
import { runPlanted } from './planted-run.ts'

const wanted = process.argv.slice(2)
let missed = 0
for (const bug of PLANTED_BUGS) {
  if (wanted.length > 0 && !wanted.includes(bug.name)) continue
  const { found, seeds, checkers, message } = await runPlanted(bug)
  const expected = bug.checkers.includes(checkers[0] ?? '')
  if (!found || !expected) missed++
  process.stdout.write(
    `${found && expected ? 'found' : 'MISSED'} ${bug.name} seeds=${seeds} by=${checkers[0] ?? '-'} ${message.split('\n')[0]?.slice(0, 160)}\n`,
  )
}
process.exitCode = missed === 0 ? 0 : 1
