// Both simulators, of one volume and of a cluster, as a suite of `make test` and for `make sim`: so many seeds of each,
// spread over the cores, each part a process of its own. The last line is the JSON that the suite runner reads; failing
// seeds are printed with the command that repeats them.
//   suite.ts --seeds N [--from S] [--jobs J] [--of volume|cluster|both]
import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import process from 'node:process'
import { parseArgs } from 'node:util'

const SIMULATORS: Readonly<Record<string, string>> = { volume: 'run.ts', cluster: 'cluster/run.ts' }
/** Seeds of a part: short enough that the cores are busy until the end, and that something is heard of now and then. */
const PART_SEEDS = 250

interface Part {
  readonly simulator: string
  readonly from: number
  readonly count: number
}

interface Outcome {
  readonly passed: number
  readonly failed: number
}

function wholeNumber(name: string, text: string): number {
  const value = Number(text)
  if (Number.isInteger(value) && value > 0) return value
  throw new Error(`--${name} needs a positive whole number, not ${text}`)
}

function partsOf(simulator: string, from: number, seeds: number): Part[] {
  const count = Math.ceil(seeds / PART_SEEDS)
  return Array.from({ length: count }, (_, i) => ({
    simulator,
    from: from + i * PART_SEEDS,
    count: Math.min(PART_SEEDS, seeds - i * PART_SEEDS),
  }))
}

/** Runs the seeds of a part; one that ends without a summary counts as failed. */
function runPart({ simulator, from, count }: Part): Promise<Outcome> {
  const program = fileURLToPath(new URL(SIMULATORS[simulator] ?? '', import.meta.url))
  const child = spawn(process.execPath, [program, '--seeds', String(count), '--from', String(from), '--json'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let output = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text
  })
  return new Promise((resolve) => {
    child.on('close', () => {
      const lines = output.trimEnd().split('\n')
      const summary = lines.find((line) => line.startsWith('{"'))
      const outcome = summary === undefined ? { passed: 0, failed: count } : (JSON.parse(summary) as Outcome)
      const told = outcome.failed === 0 ? [] : lines.filter((line) => line !== summary)
      process.stdout.write(
        [...told, `${simulator} seeds ${from}…${from + count - 1}: ${outcome.failed} failed`]
          .map((l) => `${l}\n`)
          .join(''),
      )
      resolve(outcome)
    })
  })
}

const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '2000' },
    from: { type: 'string', default: '1' },
    jobs: { type: 'string', default: '2' },
    of: { type: 'string', default: 'both' },
  },
})
const chosen = Object.keys(SIMULATORS).filter((name) => values.of === 'both' || values.of === name)
if (chosen.length === 0) throw new Error(`--of is volume, cluster or both, not ${values.of}`)
const seeds = wholeNumber('seeds', values.seeds)
const from = wholeNumber('from', values.from)
const waiting = chosen.flatMap((simulator) => partsOf(simulator, from, seeds))
let passed = 0
let failed = 0

async function work(): Promise<void> {
  for (let part = waiting.shift(); part !== undefined; part = waiting.shift()) {
    // oxlint-disable-next-line eslint/no-await-in-loop -- a core does one part at a time
    const outcome = await runPart(part)
    passed += outcome.passed
    failed += outcome.failed
  }
}

await Promise.all(Array.from({ length: wholeNumber('jobs', values.jobs) }, work))
process.stdout.write(`${JSON.stringify({ passed, failed, skipped: 0 })}\n`)
process.exitCode = failed === 0 ? 0 : 1
