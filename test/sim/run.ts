// Command line of the simulator. The first and the last line name the seed and the command that repeats the run.
//   --seed S           one seed
//   --seeds N          N seeds, from --from (1)
//   --json             the summary as one JSON object on the last line
//   --trace            print the trace of a single seed
//   --incidents A,B    runs made of these incidents only
//   --stop             end with the first seed that fails
//   --reference [BUG]  run the reference volume instead of the engine
import process from 'node:process'
import { main } from './run-seeds.ts'

process.exitCode = await main(process.argv.slice(2), (line) => process.stdout.write(`${line}\n`))
