// Runs every planted bug of replication (or those named) and prints which checker found it, after how many seeds and with
// which, as a table.
import process from 'node:process'
import { runPlanted } from '../planted-run.ts'
import { PLANTED_CLUSTER_BUGS } from './planted.ts'

const SCRIPT = 'test/sim/cluster/run.ts'
const wanted = process.argv.slice(2)
let missed = 0
process.stdout.write('| bug | found | by | seeds | seed | what it said |\n| --- | --- | --- | ---: | ---: | --- |\n')
for (const bug of PLANTED_CLUSTER_BUGS) {
  if (wanted.length > 0 && !wanted.includes(bug.name)) continue
  const { found, seeds, seed, checkers, message } = await runPlanted(bug, { script: SCRIPT })
  const isExpected = bug.checkers.includes(checkers[0] ?? '')
  if (!found || !isExpected) missed++
  const said = message.split('\n')[0]?.slice(0, 120) ?? ''
  process.stdout.write(
    `| ${bug.name} | ${found && isExpected ? 'yes' : 'NO'} | ${checkers[0] ?? '-'} | ${seeds} | ${seed} | ${said} |\n`,
  )
}
process.exitCode = missed === 0 ? 0 : 1
