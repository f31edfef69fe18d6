// Command line of the simulator of a cluster. The first and the last line name the seed and the command that repeats it.
//   --seed S           one seed
//   --seeds N          N seeds, from --from (1)
//   --json             the summary as one JSON object on the last line
//   --trace            print the trace of a seed that fails; of a single seed always
//   --incidents A,B    runs made of these incidents only
//   --stop             end with the first seed that fails
import process from 'node:process'
import { main } from './run-seeds.ts'

process.exitCode = await main(process.argv.slice(2), (line) => process.stdout.write(`${line}\n`))
