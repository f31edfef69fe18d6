// `make bench`: 4 KiB random reads that hit and write-back writes, at queue depths 1 and 32, beside the C floor, the raw
// backing and the raw cache disk. Interleaved: every round measures every target, so that what else the machine does
// falls on all of them; medians over the rounds. Writes test/perf/results.json and prints a table.
//
//   make bench              three rounds
//   make bench QUICK=1      one short round: a look, not a result; nothing is written
//   FOREBAY_BUSY_POLL=N     floor and engine poll for N microseconds (default 0)
import { readFileSync, statfsSync, writeFileSync } from 'node:fs'
import { cpus, freemem, release, totalmem } from 'node:os'
import { fileURLToPath } from 'node:url'
import { command, GIB, MIB, obstacleOfHost, TestBed } from '../integration/harness/test-bed.ts'
import { type Measurement, runFio, touchAll, type Workload } from './fio.ts'
import {
  FLASH,
  FLOOR,
  type Machine,
  markdownOf,
  MEMORY,
  RAW_BACKING,
  RAW_CACHE,
  RAW_DISK_DSYNC,
  ratiosOf,
  READ_1,
  READ_32,
  type Results,
  rowOf,
  WRITE_1,
  WRITE_32,
} from './report.ts'
import { type BenchSettings, floorTarget, rawBackingTarget, rawFilePath, servedTarget, type Target } from './targets.ts'

const RESULTS = fileURLToPath(new URL('results.json', import.meta.url))
const QUICK = (process.env['QUICK'] ?? '') !== ''
const ROUNDS = QUICK ? 1 : Number(process.env['FOREBAY_BENCH_ROUNDS'] ?? 3)
const SECONDS = QUICK ? 2 : 5
/** What index and read cache need for a cached block at most (csi-driver/engine/read-cache). */
const INDEX_BYTES_PER_BLOCK = 32

const WORKLOADS: readonly Workload[] = [
  { name: READ_1, direction: 'read', depth: 1, durable: false },
  { name: READ_32, direction: 'read', depth: 32, durable: false },
  { name: WRITE_1, direction: 'write', depth: 1, durable: false },
  { name: WRITE_32, direction: 'write', depth: 32, durable: false },
]

function chooseSettings(): BenchSettings {
  // Cache in memory, floor, three slow disks and the page cache of fio's files.
  const roomy = freemem() > 8 * GIB
  return {
    spanBytes: (QUICK ? 64 : 256) * MIB,
    volumeBytes: 512 * MIB,
    cacheBytes: roomy && !QUICK ? 4 * GIB : GIB,
    busyPollMicros: Number(process.env['FOREBAY_BUSY_POLL'] ?? 0),
  }
}

async function describeMachine(directory: string): Promise<Machine> {
  const source = (await command('df', '--output=source,fstype', directory)).trim().split('\n').at(-1) ?? ''
  return {
    processor: cpus()[0]?.model ?? 'unknown',
    cores: cpus().length,
    memoryGiB: Math.round(totalmem() / GIB),
    kernel: release(),
    node: process.version,
    cacheDisk: source.trim().replaceAll(/\s+/g, ' '),
  }
}

/** Every block of the span is in the cache and nothing is dirty. */
async function settle(target: Target, spanBytes: number): Promise<void> {
  await target.served?.must('drain')
  await touchAll(target.path, 'read', spanBytes)
}

interface Collected {
  readonly target: string
  readonly workload: string
  readonly rounds: Measurement[]
}

class Collector {
  private readonly all = new Map<string, Collected>()

  add(target: string, workload: string, measurement: Measurement): void {
    const key = `${target}\n${workload}`
    const known = this.all.get(key) ?? { target, workload, rounds: [] }
    known.rounds.push(measurement)
    this.all.set(key, known)
    const { iops, p50Us } = measurement
    console.error(
      `${target.padEnd(22)}${workload.padEnd(12)}${iops.toFixed(0).padStart(8)} IOPS  p50 ${p50Us.toFixed(0)} µs`,
    )
  }

  rows(): Results['rows'] {
    return [...this.all.values()].map(({ target, workload, rounds }) => rowOf(target, workload, rounds))
  }
}

async function measureRound(
  targets: readonly Target[],
  rawFile: string,
  settings: BenchSettings,
  collector: Collector,
): Promise<void> {
  const { spanBytes } = settings
  for (const target of targets) if (target.served !== null) await settle(target, spanBytes)
  for (const workload of WORKLOADS) {
    for (const { name, path, pid, served } of targets) {
      const missesBefore = served === null || workload.direction === 'write' ? 0 : (await served.status()).readMisses
      collector.add(name, workload.name, await runFio({ path, pid: pid(), spanBytes }, workload, SECONDS))
      if (served === null) continue
      if (workload.direction === 'write') await served.must('drain')
      else {
        const misses = (await served.status()).readMisses - missesBefore
        if (misses > 0) console.error(`  ${misses} of these reads missed`)
      }
    }
    const raw = { path: rawFile, pid: 0, spanBytes }
    if (workload.direction === 'read') collector.add(RAW_CACHE, workload.name, await runFio(raw, workload, SECONDS))
    else collector.add(RAW_DISK_DSYNC, workload.name, await runFio(raw, { ...workload, durable: true }, SECONDS))
  }
}

function rssMiB(pid: number): number {
  const found = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))
  return Number(found?.[1] ?? 0) / 1024
}

async function measureMemory(flash: Target): Promise<Record<string, number>> {
  const { served } = flash
  if (served === null) return {}
  const { cachedBytes } = await served.status()
  const cachedBlocks = cachedBytes / 4096
  const rss = rssMiB(served.enginePid)
  return {
    engineRssMiB: rss - (cachedBlocks * INDEX_BYTES_PER_BLOCK) / MIB,
    engineRssWithIndexMiB: rss,
    holderRssMiB: rssMiB(served.holderPid),
    cachedBlocks,
  }
}

async function bench(bed: TestBed): Promise<void> {
  const settings = chooseSettings()
  const machine = await describeMachine(bed.directory)
  if (statfsSync(bed.directory).type === 0x01021994) throw new Error('no directory on a disk: set FOREBAY_TEST_DIR')
  console.error('setting up')
  const flash = await servedTarget(bed, FLASH, settings, 'flash')
  const targets = [
    await floorTarget(bed, FLOOR, settings),
    await servedTarget(bed, MEMORY, settings, 'memory'),
    flash,
    await rawBackingTarget(bed, RAW_BACKING, settings),
  ]
  const rawFile = await rawFilePath(bed, settings)
  for (const { path, served } of targets) if (served !== null) await touchAll(path, 'write', settings.spanBytes)
  const collector = new Collector()
  for (let round = 1; round <= ROUNDS; round++) {
    console.error(`round ${round} of ${ROUNDS}`)
    await measureRound(targets, rawFile, settings, collector)
  }
  const rows = collector.rows()
  const memory = await measureMemory(flash)
  const results: Results = {
    machine,
    settings: { rounds: ROUNDS, seconds: SECONDS, ...settings },
    rows,
    ratios: { ...ratiosOf(rows), engineRssMiB: memory['engineRssMiB'] ?? 0, holderRssMiB: memory['holderRssMiB'] ?? 0 },
    memory,
  }
  if (!QUICK) writeFileSync(RESULTS, `${JSON.stringify(results, null, 2)}\n`)
  console.log(markdownOf(results))
}

const obstacle = obstacleOfHost('losetup', 'fio', 'gcc')
if (obstacle !== undefined) {
  console.error(`make bench needs root, FUSE, loop devices, fio and gcc: ${obstacle}`)
  process.exit(2)
}
const bed = new TestBed('bench')
let leaving: Promise<void> | null = null
const leave = (): Promise<void> => (leaving ??= bed.tearDown())
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => void leave().finally(() => process.exit(130)))
}
try {
  await bench(bed)
} finally {
  await leave()
}
