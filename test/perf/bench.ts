// `make bench`: the product beside what it is measured against, part after part (PARTS). Writes results.json beside this
// file (quick.json with QUICK=1: one short round of the rows that targets are set for, to see that it works; its figures
// mean little) and prints the tables.
//
//     FOREBAY_BENCH_PARTS=rounds,…          only these parts; the figures of the others are null
//     FOREBAY_BENCH_PATIENCE_SECONDS=N      longest wait for a quiet machine, in each part
//     FOREBAY_BENCH_DIRECTORY=PATH          on the disk to measure; /var/tmp unless given
import { readFile, writeFile } from 'node:fs/promises'
import { cpus, hostname, release, totalmem } from 'node:os'
import { fileURLToPath } from 'node:url'
import { measureCompression } from './compression.ts'
import { measureConnections } from './connections.ts'
import { runProgram } from './fio.ts'
import { markdownOf } from './markdown.ts'
import { measureNbd } from './nbd.ts'
import { measurePeerKill } from './peer-kill.ts'
import { measurePgbench } from './pgbench.ts'
import { measureReady } from './ready.ts'
import { joined, median, type PartResult, type Results, type Row } from './report.ts'
import { measureRounds } from './rounds.ts'
import { runMeasurement, type Scaffold } from './scaffold.ts'
import { SCALE } from './scale.ts'
import { measureTakeover } from './takeover.ts'
import { ALL_TARGETS } from './targets.ts'

/** Each sets up what it needs and takes it down again. */
const PARTS: readonly (readonly [string, (scaffold: Scaffold) => Promise<PartResult>])[] = [
  ['rounds', measureRounds],
  ['nbd', measureNbd],
  ['ready', measureReady],
  ['peer-kill', measurePeerKill],
  ['takeover', measureTakeover],
  ['pgbench', measurePgbench],
  ['compression', measureCompression],
  ['connections', measureConnections],
]

/** No target is set for these. */
const UNTARGETED = ['connections']

function say(text: string): void {
  process.stderr.write(`bench: ${text}\n`)
}

async function machine(load: string, rows: readonly Row[]): Promise<Results['machine']> {
  return {
    host: hostname(),
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: cpus().length,
    memory: `${Math.round(totalmem() / 1024 ** 3)} GiB`,
    kernel: release(),
    node: process.version,
    fio: await versionOf('fio'),
    nbdkit: await versionOf('nbdkit'),
    qemuNbd: await versionOf('qemu-nbd'),
    date: new Date().toISOString().slice(0, 16),
    load,
    busyWithOthers: `${Math.round(median(rows.map(({ othersShare }) => othersShare.median)) * 100)} %`,
    rounds: SCALE.rounds,
    seconds: SCALE.seconds,
    data: `${SCALE.dataMiB} MiB`,
    flashCache: `${SCALE.flashCacheMiB} MiB`,
    memoryCache: `${SCALE.memoryCacheMiB} MiB`,
  }
}

/** `-` where it is not installed. */
async function versionOf(program: string): Promise<string> {
  const said = await runProgram(program, ['--version']).catch(() => '')
  return /\d+(\.\d+)+/.exec(said)?.[0] ?? '-'
}

function chosenParts(): typeof PARTS {
  const words = process.env['FOREBAY_BENCH_PARTS']?.split(',')
  if (words === undefined) return SCALE.isQuick ? PARTS.filter(([name]) => !UNTARGETED.includes(name)) : PARTS
  const unknown = words.filter((word) => !PARTS.some(([name]) => name === word))
  if (unknown.length > 0) {
    throw new Error(`unknown parts ${unknown.join(',')}; there are ${PARTS.map(([name]) => name).join(',')}`)
  }
  return PARTS.filter(([name]) => words.includes(name))
}

/** A part that fails leaves its figures null and the others their turn. */
async function runParts(scaffold: Scaffold): Promise<PartResult[]> {
  const found: PartResult[] = []
  for (const [name, measure] of chosenParts()) {
    const begunMs = performance.now()
    try {
      // oxlint-disable-next-line eslint/no-await-in-loop -- one part after the other
      found.push(await scaffold.scope(measure))
    } catch (error) {
      if (scaffold.signal.aborted) throw error
      process.exitCode = 1
      say(`part ${name} failed: ${error instanceof Error ? error.message : String(error)}`)
    }
    say(`part ${name} took ${Math.round((performance.now() - begunMs) / 1000)} s`)
  }
  return found
}

async function bench(scaffold: Scaffold): Promise<void> {
  const [load = ''] = (await readFile('/proc/loadavg', 'utf8')).split(' ')
  const found = joined(
    await runParts(scaffold),
    ALL_TARGETS.map(({ key }) => key),
  )
  const results: Results = { machine: await machine(load, found.rows), ...found }
  const file = fileURLToPath(new URL(SCALE.isQuick ? 'quick.json' : 'results.json', import.meta.url))
  await writeFile(file, `${JSON.stringify(results, roundedFigure, 2)}\n`)
  process.stdout.write(markdownOf(results))
}

/** Three figures behind the point are more than a run can tell. */
function roundedFigure(_key: string, value: unknown): unknown {
  return typeof value === 'number' ? Math.round(value * 1000) / 1000 : value
}

await runMeasurement(bench, say)
