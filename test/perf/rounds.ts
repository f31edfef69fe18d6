// The first part of `make bench`: fio with blocks of 4 KiB on volumes of the product, the C floor, the raw cache file, its
// disk and raw backings, which take turns in every round. Local volumes stand beside the floor; one with a copy beside
// the local log and the round trip of TLS.
import { copyFile, readFile } from 'node:fs/promises'
import path from 'node:path'
import { ExtentIndex } from '../../csi-driver/engine/index/extent-index.ts'
import { ReadCache } from '../../csi-driver/engine/read-cache/read-cache.ts'
import { Copies, type Peer, peerResidentMiB } from './copies.ts'
import { type FioJob, runFio } from './fio.ts'
import { ForebayVolume, type VolumeOptions } from './forebay-volume.ts'
import { Patience } from './quiet.ts'
import { type PartResult, ratiosOf, rowsOf } from './report.ts'
import type { Sample } from './sample.ts'
import { MIB, SCALE } from './scale.ts'
import type { Scaffold } from './scaffold.ts'
import { compileFloor, rawBacking, slowDisk, startFloor, type Subject, type SubjectName } from './subjects.ts'
import { RATIO_RULES } from './targets.ts'
import { TlsRoundTrip } from './tls-round-trip.ts'

const DATA_BYTES = SCALE.dataMiB * MIB
const BUSY_POLL_MICROS = 50
const USER_HZ = 100
const BLOCK_BYTES = 4096
const BLOCKS_OF_INDEX = 1024 * 1024
const OWNER = 'owner'
const PEER = 'peer'
/** A store takes up to twice the log of a volume. */
const STORE_PER_CACHE = 1.5

interface Workload extends Pick<FioJob, 'direction' | 'queueDepth'> {
  readonly subjects: readonly SubjectName[]
}

const EVERY_DEPTH: readonly SubjectName[] = ['floor', 'memory', 'flash', 'cacheFile', 'backing', 'slowDisk']
const ONE_BY_ONE: readonly SubjectName[] = [...EVERY_DEPTH, 'floorPolling', 'memoryPolling', 'cacheDisk']

/** Reads before writes, so that a round reads what the one before has made clean. */
const WORKLOADS: readonly Workload[] = [
  { direction: 'read', queueDepth: 1, subjects: ONE_BY_ONE },
  { direction: 'read', queueDepth: 32, subjects: EVERY_DEPTH },
  { direction: 'write', queueDepth: 1, subjects: [...ONE_BY_ONE, 'replicated', 'tlsRoundTrip'] },
  { direction: 'write', queueDepth: 32, subjects: [...EVERY_DEPTH, 'replicated'] },
]

type Measured = Omit<Sample, 'round' | 'othersShare'>

interface Stage {
  readonly subjects: readonly Subject[]
  readonly volumes: ReadonlyMap<SubjectName, ForebayVolume>
  readonly tls: TlsRoundTrip
  readonly peer: Peer
}

function say(text: string): void {
  process.stderr.write(`bench: ${text}\n`)
}

/** utime + stime of a process with all its threads (proc_pid_stat(5)). */
export async function cpuSecondsOf(pid: number): Promise<number> {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8')
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[11]) + Number(fields[12])) / USER_HZ
}

interface Plan extends Pick<VolumeOptions, 'resource' | 'busyPollMicros' | 'flags' | 'cacheMiB'> {
  readonly name: SubjectName
  readonly title: string
}

const { flashCacheMiB, memoryCacheMiB, replicatedCacheMiB } = SCALE

const LOCAL_PLANS: readonly Plan[] = [
  { name: 'memory', resource: 'memory', title: 'Forebay, memory', cacheMiB: memoryCacheMiB },
  {
    name: 'memoryPolling',
    resource: 'memory',
    busyPollMicros: BUSY_POLL_MICROS,
    title: `Forebay, memory, polling ${BUSY_POLL_MICROS} µs`,
    cacheMiB: memoryCacheMiB,
  },
  { name: 'flash', resource: 'flash', title: 'Forebay, flash', cacheMiB: flashCacheMiB },
]

interface Places {
  readonly disk: string
  readonly memory: string
  readonly image: string
}

async function startVolume(scaffold: Scaffold, { disk, memory, image }: Places, plan: Plan): Promise<ForebayVolume> {
  const backing = path.join(memory, `${plan.name}-backing`)
  const cache = path.join(plan.resource === 'flash' ? disk : memory, `${plan.name}-cache`)
  const volume = new ForebayVolume(scaffold, { ...plan, backing, cache, stateDirectory: path.join(disk, 'state') })
  say(`setting up ${plan.title}`)
  await copyFile(image, backing)
  await volume.serve()
  await volume.know()
  return volume
}

/** Its peer's store is on the same disk as its cache, so that both are written for each batch. */
async function replicatedPlan(
  scaffold: Scaffold,
  { disk }: Places,
): Promise<Pick<Stage, 'tls' | 'peer'> & { readonly plan: Plan }> {
  const copies = await Copies.make(scaffold, disk, [OWNER, PEER])
  const tls = await TlsRoundTrip.open(scaffold, copies.tlsDirectory(PEER))
  const sizeMiB = Math.ceil(replicatedCacheMiB * STORE_PER_CACHE)
  const peer = await copies.startPeer({ node: PEER, directory: disk, resource: 'flash', sizeMiB })
  const flags = copies.volumeFlags(OWNER, [peer])
  const title = 'Forebay, flash, with a copy on flash'
  return { plan: { name: 'replicated', resource: 'flash', title, cacheMiB: replicatedCacheMiB, flags }, tls, peer }
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
  const places = { disk, memory, image }
  const { plan: replicated, tls, peer } = await replicatedPlan(scaffold, places)
  const volumes = new Map<SubjectName, ForebayVolume>()
  for (const plan of [...LOCAL_PLANS, replicated]) {
    const { name, title, busyPollMicros = 0 } = plan
    // oxlint-disable-next-line eslint/no-await-in-loop -- one after the other
    const volume = await startVolume(scaffold, places, plan)
    // oxlint-disable-next-line eslint/no-await-in-loop -- one after the other
    if (name === 'replicated') await volume.untilWriteBack(1)
    // oxlint-disable-next-line eslint/no-await-in-loop -- one after the other
    await volume.fill(DATA_BYTES)
    subjects.push({ name, title, target: volume.device, serverPid: () => volume.enginePid, busyPollMicros })
    volumes.set(name, volume)
  }
  const title = 'round trip of TLS 1.3 on the loopback, 4 KiB there'
  subjects.push({ name: 'tlsRoundTrip', title, target: '', serverPid: null, busyPollMicros: 0 })
  return { subjects, volumes, tls, peer }
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
    seconds: SCALE.seconds,
  }
}

async function measure(scaffold: Scaffold, stage: Stage, subject: Subject, workload: Workload): Promise<Measured> {
  const pid = subject.serverPid?.() ?? null
  const before = pid === null ? 0 : await cpuSecondsOf(pid)
  const result =
    subject.name === 'tlsRoundTrip'
      ? await stage.tls.measure(SCALE.seconds)
      : await runFio(jobOf(subject, workload), scaffold.signal)
  const cpuSeconds = pid === null ? 0 : (await cpuSecondsOf(pid)) - before
  const { name, title, busyPollMicros } = subject
  const { direction, queueDepth } = workload
  const cpuMicros = pid === null ? null : (cpuSeconds * 1e6) / result.operations
  return { subject: name, title, direction, queueDepth, busyPollMicros, cpuMicros, ...result }
}

/** Reads must hit: a miss would measure the backing. Writes must be written back: another policy is another measurement. */
async function measureVolume(
  volume: ForebayVolume,
  workload: Workload,
  take: () => Promise<Measured>,
): Promise<Measured> {
  const before = await volume.status()
  const sample = await take()
  const after = await volume.status()
  const misses = after.readMisses - before.readMisses
  if (workload.direction === 'read' && misses > sample.operations / 1000) {
    throw new Error(`${sample.title}: ${misses} of ${sample.operations} reads missed the cache`)
  }
  if (workload.direction === 'write') {
    if (after.effectiveWritePolicy !== 'write-back')
      throw new Error(`${sample.title}: ${after.reason ?? 'no write-back'}`)
    await volume.drain()
  }
  return sample
}

async function runRounds(scaffold: Scaffold, stage: Stage): Promise<Sample[]> {
  const { subjects, volumes } = stage
  const samples: Sample[] = []
  const patience = new Patience(SCALE.patienceSeconds * 1000)
  for (let round = 1; round <= SCALE.rounds; round++) {
    say(`round ${round} of ${SCALE.rounds}`)
    for (const [name, volume] of volumes) {
      // oxlint-disable-next-line eslint/no-await-in-loop -- one after the other
      if (name !== 'replicated') await volume.warm(DATA_BYTES)
    }
    for (const workload of WORKLOADS) {
      for (const subject of subjects.filter(({ name }) => workload.subjects.includes(name))) {
        scaffold.checkInterrupt()
        const volume = volumes.get(subject.name)
        const take = (): Promise<Measured> => measure(scaffold, stage, subject, workload)
        const takeOne = volume === undefined ? take : (): Promise<Measured> => measureVolume(volume, workload, take)
        // oxlint-disable-next-line eslint/no-await-in-loop -- they take turns
        const { sample, othersShare } = await patience.measureInQuiet(takeOne)
        samples.push({ round, othersShare, ...sample })
      }
    }
  }
  return samples
}

async function absolutesOf(volume: ForebayVolume): Promise<Record<string, number>> {
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

export async function measureRounds(scaffold: Scaffold): Promise<PartResult> {
  const stage = await setUp(scaffold)
  const samples = await runRounds(scaffold, stage)
  const flash = stage.volumes.get('flash')
  const peerRssMiB = await peerResidentMiB(stage.peer)
  const absolutes = flash === undefined ? {} : { ...(await absolutesOf(flash)), peerRssMiB }
  const { ratios, ratioSpreads } = ratiosOf(samples, RATIO_RULES)
  return { ratios: { ...ratios, ...absolutes }, ratioSpreads, rows: rowsOf(samples) }
}
