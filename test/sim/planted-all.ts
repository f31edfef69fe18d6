// `make planted`: plants every bug (or those named) in a copy of the product and prints as a table which checker of which
// simulator found it, with the first seed that did.
import process from 'node:process'
import { PLANTED_CLUSTER_BUGS } from './cluster/planted.ts'
import { PLANTED_BUGS } from './planted.ts'
import { runPlanted } from './planted-run.ts'

const SIMULATORS = [
  { of: 'volume', script: 'test/sim/run.ts', bugs: PLANTED_BUGS },
  { of: 'cluster', script: 'test/sim/cluster/run.ts', bugs: PLANTED_CLUSTER_BUGS },
] as const
const SAID_MAX = 120

const wanted = process.argv.slice(2)
let missed = 0
process.stdout.write('| simulator | bug | found by | seed | what it said |\n| --- | --- | --- | ---: | --- |\n')
for (const { of, script, bugs } of SIMULATORS) {
  for (const bug of bugs) {
    if (wanted.length > 0 && !wanted.includes(bug.name)) continue
    const { found, seed, checkers, message } = await runPlanted(bug, { script })
    const [checker = '-'] = checkers
    const isFound = found && bug.checkers.includes(checker)
    if (!isFound) missed++
    const said = message.split('\n')[0]?.slice(0, SAID_MAX) ?? ''
    process.stdout.write(`| ${of} | ${bug.name} | ${isFound ? checker : 'MISSED'} | ${seed} | ${said} |\n`)
  }
}
process.exitCode = missed === 0 ? 0 : 1
