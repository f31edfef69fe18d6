// `make bench`: volumes of the product beside a C floor, the raw cache file, its disk and raw backings, taking turns in
// one run. Writes results.json beside this file (quick.json with QUICK=1: one short round, to see that it works, whose
// figures mean little) and prints the table. docs/performance.md says what is compared with what.
import { copyFile, readFile, writeFile } from 'node:fs/promises'
import { cpus, hostname, release, totalmem } from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { ExtentIndex } from '../../csi-driver/engine/index/extent-index.ts'
import { ReadCache } from '../../csi-driver/engine/read-cache/read-cache.ts'
import { type FioJob, runFio } from './fio.ts'
import { ForebayVolume, type VolumeOptions } from './forebay-volume.ts'
import { markdownOf } from './markdown.ts'
import { type Absolutes, median, ratiosOf, type Results, rowsOf, type Sample } from './report.ts'
import { Patience } from './quiet.ts'
import { Scaffold } from './scaffold.ts'
import { compileFloor, rawBacking, slowDisk, startFloor, type Subject, type SubjectName } from './subjects.ts'

const QUICK = process.env['QUICK'] === '1'
const ROUNDS = QUICK ? 1 : 3
const SECONDS = QUICK ? 1 : 3
const MIB = 1024 * 1024
const DATA_MIB = QUICK ? 64 : 256
const DATA_BYTES = DATA_MIB * MIB
/** The memory figures hold for a cache of 4 GiB. */
const FLASH_CACHE_MIB = QUICK ? 512 : 4096
const MEMORY_CACHE_MIB = QUICK ? 512 : 2048
const BUSY_POLL_MICROS = 50
/** Time spent on waiting for others on the machine; longer on one that is never quiet, say. */
const PATIENCE_SECONDS = Number(process.env['FOREBAY_BENCH_PATIENCE_SECONDS'] ?? (QUICK ? 0 : 60))
const USER_HZ = 100
const BLOCK_BYTES = 4096
const BLOCKS_OF_INDEX = 1024 * 1024

interface Workload extends Pick<FioJob, 'direction' | 'queueDepth'> {
  readonly subjects: readonly SubjectName[]
}

const EVERY_DEPTH: readonly SubjectName[] = ['floor', 'memory', 'flash', 'cacheFile', 'backing', 'slowDisk']
const ONE_BY_ONE: readonly SubjectName[] = [...EVERY_DEPTH, 'floorPolling', 'memoryPolling', 'cacheDisk']

/** Reads before writes, so that a round reads what the one before has made clean. */
const WORKLOADS: readonly Workload[] = [
  { direction: 'read', queueDepth: 1, subjects: ONE_BY_ONE },
  { direction: 'read', queueDepth: 32, subjects: EVERY_DEPTH },
  { direction: 'write', queueDepth: 1, subjects: ONE_BY_ONE },
  { direction: 'write', queueDepth: 32, subjects: EVERY_DEPTH },
]

type Measured = Omit<Sample, 'round' | 'othersShare'>

interface Stage {
  readonly subjects: readonly Subject[]
  readonly volumes: ReadonlyMap<SubjectName, ForebayVolume>
}

function say(text: string): void {
  process.stderr.write(`bench: ${text}\n`)
}

/** utime + stime of a process with all its threads (proc_pid_stat(5)). */
async function cpuSecondsOf(pid: number): Promise<number> {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8')
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[11]) + Number(fields[12])) / USER_HZ
}

async function setUp(scaffold: Scaffold): Promise<Stage> {
  const disk = await scaffold.diskDirectory()
  const memory = await scaffold.memoryDirectory()
  const program = await compileFloor(scaffold, disk)
  const floor = { program, directory: memory, dataBytes: DATA_BYTES }
  const cacheFile = await scaffold.writtenFile(path.join(disk, 'raw'), DATA_BYTES)
  const image = await scaffold.writtenFile(path.join(memory, 'image'), DATA_BYTES)
  const raw = { target: cacheFile, serverPid: null, busyPollMicros: 0 }
  const subjects: Subject[] = [
    await startFloor(scaffold, { ...floor, busyPollMicros: 0 }),
    await startFloor(scaffold, { ...floor, busyPollMicros: BUSY_POLL_MICROS }),
    { ...raw, name: 'cacheFile', title: 'raw cache file' },
    { ...raw, name: 'cacheDisk', title: 'disk of the cache, one system call per I/O' },
    await rawBacking(scaffold, image),
    await slowDisk(scaffold, DATA_BYTES),
  ]
  const plans = [
    { name: 'memory', resource: 'memory', busyPollMicros: 0, title: 'Forebay, memory' },
    {
      name: 'memoryPolling',
      resource: 'memory',
      busyPollMicros: BUSY_POLL_MICROS,
      title: `Forebay, memory, polling ${BUSY_POLL_MICROS} µs`,
    },
    { name: 'flash', resource: 'flash', busyPollMicros: 0, title: 'Forebay, flash' },
  ] as const satisfies readonly Partial<VolumeOptions>[]
  const volumes = new Map<SubjectName, ForebayVolume>()
  for (const plan of plans) {
    const directory = plan.resource === 'flash' ? disk : memory
    const volume = new ForebayVolume(scaffold, {
      ...plan,
      backing: path.join(memory, `${plan.name}-backing`),
      cache: path.join(directory, `${plan.name}-cache`),
      cacheMiB: plan.resource === 'flash' ? FLASH_CACHE_MIB : MEMORY_CACHE_MIB,
      stateDirectory: path.join(disk, 'state'),
    })
    say(`setting up ${plan.title}`)
    // oxlint-disable-next-line eslint/no-await-in-loop -- one after the other
    await copyFile(image, path.join(memory, `${plan.name}-backing`))
    // oxlint-disable-next-line eslint/no-await-in-loop -- one after the other
    subjects.push(await volume.serve())
    // oxlint-disable-next-line eslint/no-await-in-loop -- one after the other
    await volume.fill(DATA_BYTES)
    volumes.set(plan.name, volume)
  }
  return { subjects, volumes }
}

function jobOf(subject: Subject, { direction, queueDepth }: Workload): FioJob {
  const isRaw = subject.name === 'cacheFile' || subject.name === 'cacheDisk'
  return {
    target: subject.target,
    direction,
    queueDepth,
    engine: subject.name === 'cacheDisk' ? 'psync' : 'libaio',
    // What a write-back volume promises, the raw disk must promise too.
    durable: isRaw && direction === 'write',
    dataBytes: DATA_BYTES,
    seconds: SECONDS,
  }
}

async function measure(scaffold: Scaffold, subject: Subject, workload: Workload): Promise<Measured> {
  const pid = subject.serverPid?.() ?? null
  const before = pid === null ? 0 : await cpuSecondsOf(pid)
  const result = await runFio(jobOf(subject, workload), scaffold.signal)
  const cpuSeconds = pid === null ? 0 : (await cpuSecondsOf(pid)) - before
  const { name, title, busyPollMicros } = subject
  const { direction, queueDepth } = workload
  const cpuMicros = pid === null ? null : (cpuSeconds * 1e6) / result.operations
  return { subject: name, title, direction, queueDepth, busyPollMicros, cpuMicros, ...result }
}

/** Reads must hit: a miss would measure the backing. */
async function measureVolume(
  scaffold: Scaffold,
  volume: ForebayVolume,
  subject: Subject,
  workload: Workload,
): Promise<Measured> {
  const before = await volume.status()
  const sample = await measure(scaffold, subject, workload)
  const after = await volume.status()
  const misses = after.readMisses - before.readMisses
  if (workload.direction === 'read' && misses > sample.operations / 1000) {
    throw new Error(`${subject.title}: ${misses} of ${sample.operations} reads missed the cache`)
  }
  if (workload.direction === 'write') await volume.drain()
  return sample
}

async function runRounds(scaffold: Scaffold, { subjects, volumes }: Stage): Promise<Sample[]> {
  const samples: Sample[] = []
  const patience = new Patience(PATIENCE_SECONDS * 1000)
  for (let round = 1; round <= ROUNDS; round++) {
    say(`round ${round} of ${ROUNDS}`)
    // oxlint-disable-next-line eslint/no-await-in-loop -- one after the other
    for (const volume of volumes.values()) await volume.warm(DATA_BYTES)
    for (const workload of WORKLOADS) {
      for (const subject of subjects.filter(({ name }) => workload.subjects.includes(name))) {
        scaffold.checkInterrupt()
        const volume = volumes.get(subject.name)
        const take = (): Promise<Measured> =>
          volume === undefined
            ? measure(scaffold, subject, workload)
            : measureVolume(scaffold, volume, subject, workload)
        // oxlint-disable-next-line eslint/no-await-in-loop -- they take turns
        const { sample, othersShare } = await patience.measureInQuiet(take)
        samples.push({ round, othersShare, ...sample })
      }
    }
  }
  return samples
}

async function absolutesOf(volume: ForebayVolume): Promise<Absolutes> {
  const bytesPerCachedBlock =
    (ExtentIndex.bytesFor(BLOCKS_OF_INDEX) + ReadCache.bytesFor(BLOCKS_OF_INDEX)) / BLOCKS_OF_INDEX
  const { engineMiB, holderMiB } = await volume.memory()
  const { cachedBytes, cacheBytes } = await volume.status()
  // The table is hashed, so that all its pages are resident as soon as a few blocks are cached; the read cache's arrays
  // go by slot, and only those in use count.
  const indexBytes = ExtentIndex.bytesFor(cacheBytes / BLOCK_BYTES) + ReadCache.bytesFor(cachedBytes / BLOCK_BYTES)
  return {
    engineRssMiB: engineMiB - indexBytes / MIB,
    engineRssWithIndexMiB: engineMiB,
    holderRssMiB: holderMiB,
    bytesPerCachedBlock,
  }
}

function machine(load: string, samples: readonly Sample[]): Results['machine'] {
  return {
    host: hostname(),
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: cpus().length,
    memory: `${Math.round(totalmem() / 1024 ** 3)} GiB`,
    kernel: release(),
    node: process.version,
    date: new Date().toISOString().slice(0, 16),
    load,
    busyWithOthers: `${Math.round(median(samples.map(({ othersShare }) => othersShare)) * 100)} %`,
    rounds: ROUNDS,
    seconds: SECONDS,
    data: `${DATA_MIB} MiB`,
    flashCache: `${FLASH_CACHE_MIB} MiB`,
    memoryCache: `${MEMORY_CACHE_MIB} MiB`,
  }
}

async function bench(scaffold: Scaffold): Promise<void> {
  const [load = ''] = (await readFile('/proc/loadavg', 'utf8')).split(' ')
  const stage = await setUp(scaffold)
  const samples = await runRounds(scaffold, stage)
  const flash = stage.volumes.get('flash')
  const absolutes = flash === undefined ? {} : await absolutesOf(flash)
  const { ratios, ratioSpreads } = ratiosOf(samples)
  const results: Results = {
    machine: machine(load, samples),
    rows: rowsOf(samples),
    ratios: { ...ratios, ...absolutes },
    ratioSpreads,
  }
  const file = fileURLToPath(new URL(QUICK ? 'quick.json' : 'results.json', import.meta.url))
  await writeFile(file, `${JSON.stringify(results, roundedFigure, 2)}\n`)
  process.stdout.write(markdownOf(results))
}

/** Three figures behind the point are more than a run can tell. */
function roundedFigure(_key: string, value: unknown): unknown {
  return typeof value === 'number' ? Math.round(value * 1000) / 1000 : value
}

const scaffold = new Scaffold()
try {
  await bench(scaffold)
} catch (error) {
  process.exitCode = scaffold.signal.aborted ? 130 : 1
  say(error instanceof Error ? error.message : String(error))
} finally {
  if (!(await scaffold.takeDown())) process.exitCode = 1
}
