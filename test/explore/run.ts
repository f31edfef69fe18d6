// Command line of the explorer of the replication protocol (docs/explanation/explorer.md).
//   (nothing)             every scenario, switch, walk and liveness pass; `make explore`
//   --list                scenarios with what may happen in each, and switches
//   --scenario X          only scenarios whose name begins with X
//   --states-max N        states of a scenario (all of those to be exhausted, 200,000 of the large ones)
//   --switch [NAME]       a rule off: the shortest way to a violation
//   --walk SEED           random walks of --steps N in the largest scenarios, or in --scenario X
//   --live [SEED]         liveness from --samples N states
//   --progress            a line for each level of a search
//   --json                the summary as one JSON object on the last line
//   --write-docs          the table of switches into docs/explanation/explorer.md
import process from 'node:process'
import { explore } from './program.ts'

process.exitCode = explore(process.argv.slice(2), (line) => process.stdout.write(`${line}\n`))
