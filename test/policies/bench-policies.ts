// How good the read cache chooses: S3-FIFO as the product has it against LRU, ARC and the offline optimum on generated
// traces. Prints the miss ratios and writes them into docs/explanation/cache-policy.md. The same seed gives the same
// figures on every machine.
//   bench-policies.ts [--seed TEXT]      another seed is printed only
import { readFile, writeFile } from 'node:fs/promises'
import process from 'node:process'
import { parseArgs } from 'node:util'
import { compareOn, pageWith, plainTable } from './comparison.ts'
import { CACHE_BLOCKS, TRACES } from './traces.ts'

const SEED = '1'
const PAGE = new URL('../../docs/explanation/cache-policy.md', import.meta.url)
/** A tenth and a hundredth of what the popular traces read. */
const SIZES = [CACHE_BLOCKS, CACHE_BLOCKS / 10]

const { seed } = parseArgs({ options: { seed: { type: 'string', default: SEED } } }).values
const comparisons = SIZES.map((slots) => {
  const comparison = { slots, lines: TRACES.map((named) => compareOn(named, seed, slots)) }
  process.stdout.write(`Misses, % of reads, seed ${seed}:\n${plainTable(comparison)}\n\n`)
  return comparison
})
if (seed === SEED) await writeFile(PAGE, pageWith(await readFile(PAGE, 'utf8'), comparisons))
