// An application as databases are: a few writers, each with a file of its own, each writing 4 KiB somewhere in it and
// calling fdatasync before it goes on. A process of its own, so that what it sees is what any application would see.
//
//   node workload.ts DIRECTORY MS SEED
//
// Prints one JSON object twice a second, and at the end one with `files`: the SHA-256 of what each file must hold.
// Files are continued where an earlier run left them.
import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { type FileHandle, open, readFile } from 'node:fs/promises'
import path from 'node:path'

export interface WorkloadReport {
  readonly operations: number
  readonly errors: number
  readonly firstError: string | null
  readonly longestMs: number
  readonly elapsedMs: number
}

export interface WorkloadResult extends WorkloadReport {
  readonly p50Ms: number
  readonly p99Ms: number
  readonly files: Readonly<Record<string, string>>
}

const WRITERS = 4
const BLOCK_BYTES = 4096
const FILE_BLOCKS = 512
const REPORT_MS = 500
/** More than this is no use, and a device that fails at once would make millions. */
const ERRORS_MAX = 100

const [directory = '', wantedMs = '0', seedText = '1'] = process.argv.slice(2)
const latenciesMs: number[] = []
let errors = 0
let firstError: string | null = null
let longestMs = 0
const startMs = performance.now()

function report(): WorkloadReport {
  return { operations: latenciesMs.length, errors, firstError, longestMs, elapsedMs: performance.now() - startMs }
}

/** A stream of numbers below 2^32 that follows from the seed. */
function stream(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state
  }
}

async function writeBlock(file: FileHandle, block: Buffer, position: number): Promise<boolean> {
  const begunMs = performance.now()
  try {
    await file.write(block, 0, BLOCK_BYTES, position)
    await file.datasync()
    const tookMs = performance.now() - begunMs
    latenciesMs.push(tookMs)
    longestMs = Math.max(longestMs, tookMs)
    return true
  } catch (error) {
    errors++
    firstError ??= error instanceof Error ? error.message : String(error)
    return false
  }
}

/** Returns the content that the file must have, as far as every write was acknowledged. */
async function writer(number: number): Promise<[name: string, content: Buffer]> {
  const name = `table-${number}`
  const target = path.join(directory, name)
  const content = existsSync(target) ? await readFile(target) : Buffer.alloc(FILE_BLOCKS * BLOCK_BYTES)
  const file = await open(target, existsSync(target) ? 'r+' : 'w')
  const next = stream(Number(seedText) * 1000 + number)
  const block = Buffer.alloc(BLOCK_BYTES)
  await file.write(content)
  await file.sync()
  while (performance.now() - startMs < Number(wantedMs) && errors < ERRORS_MAX) {
    const position = (next() % FILE_BLOCKS) * BLOCK_BYTES
    for (let i = 0; i < BLOCK_BYTES; i += 4) block.writeUInt32LE(next(), i)
    // oxlint-disable-next-line eslint/no-await-in-loop -- an application that waits for each write
    if (await writeBlock(file, block, position)) block.copy(content, position)
  }
  await file.close()
  return [name, content]
}

function percentile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0
}

const say = (answer: WorkloadReport): void => void process.stdout.write(`${JSON.stringify(answer)}\n`)
// Ctrl-C of a terminal reaches everybody in front of it; the demo decides when we end.
process.on('SIGINT', () => undefined)
const timer = setInterval(() => say(report()), REPORT_MS)
const written = await Promise.all(Array.from({ length: WRITERS }, (_, number) => writer(number)))
clearInterval(timer)
const sorted = latenciesMs.toSorted((a, b) => a - b)
const files = Object.fromEntries(
  written.map(([name, content]) => [name, createHash('sha256').update(content).digest('hex')]),
)
const result: WorkloadResult = { ...report(), p50Ms: percentile(sorted, 0.5), p99Ms: percentile(sorted, 0.99), files }
say(result)
