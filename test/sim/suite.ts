// The simulator as a suite of `make test`: so many seeds, spread over the cores, each part a process of its own. The
// last line is the JSON that the suite runner reads; failing seeds are printed with the command that repeats them.
//   suite.ts --seeds N [--from S] [--jobs J]
import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import process from 'node:process'

const RUN = fileURLToPath(new URL('run.ts', import.meta.url))

interface Part {
  readonly passed: number
  readonly failed: number
}

function numberOf(name: string, fallback: number): number {
  const at = process.argv.indexOf(name)
  const value = at < 0 ? fallback : Number(process.argv[at + 1])
  if (Number.isInteger(value) && value > 0) return value
  throw new Error(`${name} needs a positive whole number`)
}

/** Runs `count` seeds; a part that ends without a summary counts as failed. */
function runPart(from: number, count: number): Promise<Part> {
  const child = spawn(process.execPath, [RUN, '--seeds', String(count), '--from', String(from), '--json'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let output = ''
  child.stdout.setEncoding('utf8')
  child.stdout.on('data', (text: string) => {
    output += text
  })
  return new Promise((resolve) => {
    child.on('close', () => {
      const lines = output.trimEnd().split('\n')
      const summary = lines.find((line) => line.startsWith('{"'))
      process.stdout.write(`${lines.filter((line) => line !== summary).join('\n')}\n`)
      const part = summary === undefined ? null : (JSON.parse(summary) as Part)
      resolve(part ?? { passed: 0, failed: count })
    })
  })
}

const seeds = numberOf('--seeds', 2000)
const first = numberOf('--from', 1)
const jobs = numberOf('--jobs', 2)
const share = Math.ceil(seeds / jobs)
const parts = await Promise.all(
  Array.from({ length: jobs }, (_, job) => runPart(first + job * share, Math.min(share, seeds - job * share))),
)
const passed = parts.reduce((sum, part) => sum + part.passed, 0)
const failed = parts.reduce((sum, part) => sum + part.failed, 0)
process.stdout.write(`${JSON.stringify({ passed, failed, skipped: 0 })}\n`)
process.exitCode = failed === 0 ? 0 : 1
