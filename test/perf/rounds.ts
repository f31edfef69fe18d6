// The first part of `make bench`: fio on volumes of the product, the C floor, the raw cache file, its disk and raw
// backings, which take turns in every round. Local volumes stand beside the floor; those with copies beside the local log
// and the round trip of TLS; one before a 2 ms disk beside such a disk.
import { copyFile } from 'node:fs/promises'
import path from 'node:path'
import { ExtentIndex } from '../../csi-driver/engine/index/extent-index.ts'
import { ReadCache } from '../../csi-driver/engine/read-cache/read-cache.ts'
import { Copies, type Peer, peerResidentMiB } from './copies.ts'
import { ForebayVolume, type VolumeOptions } from './forebay-volume.ts'
import { type PartResult, ratiosOf, rowsOf } from './report.ts'
import { MIB, SCALE } from './scale.ts'
import type { Scaffold } from './scaffold.ts'
import {
  compileFloor,
  type EarlyAcknowledgement,
  rawBacking,
  rawSubject,
  slowDisk,
  startFloor,
  type Subject,
  type SubjectName,
} from './subjects.ts'
import { RATIO_RULES } from './targets.ts'
import { TlsRoundTrip } from './tls-round-trip.ts'
import { type Contestant, takeTurns, type Turn } from './turns.ts'

const DATA_BYTES = SCALE.dataMiB * MIB
const BUSY_POLL_MICROS = 50
const BLOCK_BYTES = 4096
const BLOCKS_OF_INDEX = 1024 * 1024
const OWNER = 'owner'
const PEER = 'peer'
/** Hold the copies of the volume that has two; the memory of the other peer is measured with one volume. */
const PEERS_OF_TWO = ['second', 'third']
/** A store takes up to twice the log of a volume. */
const STORE_PER_CACHE = 1.5

const EVERY_DEPTH: readonly SubjectName[] = ['floor', 'memory', 'flash', 'cacheFile', 'backing', 'slowDisk']
const ONE_BY_ONE: readonly SubjectName[] = [...EVERY_DEPTH, 'floorPolling', 'memoryPolling', 'cacheDisk']
/** Two copies have no target. */
const COPIES: readonly SubjectName[] = SCALE.isQuick ? ['replicated'] : ['replicated', 'replicatedTwice']
const MIXED: readonly SubjectName[] = ['floor', 'memory', 'flash', 'backing', 'slowDisk', ...COPIES]
const SEQUENTIAL: readonly SubjectName[] = [...EVERY_DEPTH, 'slowVolume']

/** Reads before writes, so that a round reads what the one before has made clean. */
const TURNS: readonly Turn[] = [
  { workload: 'read1', subjects: ONE_BY_ONE },
  { workload: 'read32', subjects: EVERY_DEPTH },
  { workload: 'sequentialRead', subjects: SEQUENTIAL },
  { workload: 'mix1', subjects: MIXED, tableOnly: true },
  { workload: 'mix32', subjects: MIXED, tableOnly: true },
  { workload: 'write1', subjects: [...ONE_BY_ONE, ...COPIES, 'tlsRoundTrip'] },
  { workload: 'write32', subjects: [...EVERY_DEPTH, ...COPIES] },
  { workload: 'sequentialWrite', subjects: [...SEQUENTIAL, ...COPIES] },
]

interface Stage {
  readonly contestants: readonly Contestant[]
  /** Whose memory is measured. */
  readonly flash: ForebayVolume
  readonly peer: Peer
}

function say(text: string): void {
  process.stderr.write(`bench: ${text}\n`)
}

interface Plan extends Pick<VolumeOptions, 'resource' | 'busyPollMicros' | 'flags' | 'cacheMiB'> {
  readonly name: SubjectName
  readonly title: string
  readonly acknowledgesEarly: EarlyAcknowledgement
  /** An image in memory unless given. */
  readonly backing?: string
  readonly uncachedFromBytes?: number
  /** 0 unless given. */
  readonly copies?: number
  /** Its reads are not measured, or not those of cached data. */
  readonly staysCold?: boolean
}

const { flashCacheMiB, memoryCacheMiB, replicatedCacheMiB } = SCALE

const LOCAL_PLANS: readonly Plan[] = [
  {
    name: 'memory',
    resource: 'memory',
    title: 'Forebay, memory',
    acknowledgesEarly: 'yes',
    cacheMiB: memoryCacheMiB,
  },
  {
    name: 'memoryPolling',
    resource: 'memory',
    busyPollMicros: BUSY_POLL_MICROS,
    title: `Forebay, memory, polling ${BUSY_POLL_MICROS} µs`,
    acknowledgesEarly: 'yes',
    cacheMiB: memoryCacheMiB,
  },
  { name: 'flash', resource: 'flash', title: 'Forebay, flash', acknowledgesEarly: 'no', cacheMiB: flashCacheMiB },
]

interface Places {
  readonly disk: string
  readonly memory: string
  readonly image: string
}

async function startVolume(scaffold: Scaffold, { disk, memory, image }: Places, plan: Plan): Promise<ForebayVolume> {
  const backing = plan.backing ?? path.join(memory, `${plan.name}-backing`)
  const cache = path.join(plan.resource === 'flash' ? disk : memory, `${plan.name}-cache`)
  const volume = new ForebayVolume(scaffold, { ...plan, backing, cache, stateDirectory: path.join(disk, 'state') })
  say(`setting up ${plan.title}`)
  if (plan.backing === undefined) await copyFile(image, backing)
  await volume.serve()
  await volume.know()
  if (plan.copies !== undefined) await volume.untilWriteBack(plan.copies)
  await volume.fill(DATA_BYTES)
  return volume
}

/** The stores of their peers are on the same disk as their caches, so that all are written for each batch. */
async function replicatedPlans(
  scaffold: Scaffold,
  { disk }: Places,
): Promise<{ readonly plans: readonly Plan[]; readonly tls: TlsRoundTrip; readonly peer: Peer }> {
  const copies = await Copies.make(scaffold, disk, [OWNER, PEER, ...PEERS_OF_TWO])
  const tls = await TlsRoundTrip.open(scaffold, copies.tlsDirectory(PEER))
  const sizeMiB = Math.ceil(replicatedCacheMiB * STORE_PER_CACHE)
  const start = (node: string): Promise<Peer> => copies.startPeer({ node, directory: disk, resource: 'flash', sizeMiB })
  const peer = await start(PEER)
  const plan = { resource: 'flash', acknowledgesEarly: 'no', cacheMiB: replicatedCacheMiB, staysCold: true } as const
  const one: Plan = {
    ...{ ...plan, name: 'replicated', title: 'Forebay, flash, with a copy on flash', copies: 1 },
    flags: copies.volumeFlags(OWNER, [peer]),
  }
  if (!COPIES.includes('replicatedTwice')) return { plans: [one], tls, peer }
  const two: Plan = {
    ...{ ...plan, name: 'replicatedTwice', title: 'Forebay, flash, with two copies on flash', copies: 2 },
    flags: copies.volumeFlags(OWNER, await Promise.all(PEERS_OF_TWO.map(start)), 2),
  }
  return { plans: [one, two], tls, peer }
}

/** Its disk is twice the data set: what lies behind that is never cached. */
async function slowPlan(scaffold: Scaffold): Promise<Plan> {
  return {
    name: 'slowVolume',
    resource: 'flash',
    title: 'Forebay, flash, before a 2 ms disk',
    acknowledgesEarly: 'no',
    cacheMiB: replicatedCacheMiB,
    backing: (await slowDisk(scaffold, 2 * DATA_BYTES)).device,
    uncachedFromBytes: DATA_BYTES,
    staysCold: true,
  }
}

async function rawSubjects(scaffold: Scaffold, { disk, memory, image }: Places): Promise<Subject[]> {
  const program = await compileFloor(scaffold, disk)
  const floor = { program, directory: memory, dataBytes: DATA_BYTES }
  const target = await scaffold.writtenFile(path.join(disk, 'raw'), DATA_BYTES)
  const raw = { target, acknowledgesEarly: 'no' } as const
  const { device } = await slowDisk(scaffold, DATA_BYTES)
  return [
    await startFloor(scaffold, { ...floor, busyPollMicros: 0 }),
    await startFloor(scaffold, { ...floor, busyPollMicros: BUSY_POLL_MICROS }),
    rawSubject({ ...raw, name: 'cacheFile', title: 'raw cache file' }),
    rawSubject({ ...raw, name: 'cacheDisk', title: 'disk of the cache, one system call per I/O' }),
    await rawBacking(scaffold, image),
    rawSubject({ name: 'slowDisk', title: 'raw 2 ms disk', target: device, acknowledgesEarly: 'no' }),
  ]
}

function contestantOf(plan: Plan, volume: ForebayVolume): Contestant {
  const { name, title, busyPollMicros = 0, acknowledgesEarly, uncachedFromBytes } = plan
  const uncached = uncachedFromBytes === undefined ? {} : { uncachedFromBytes }
  const served = { target: volume.device, serverPid: () => volume.enginePid }
  const contestant = {
    subject: { name, title, busyPollMicros, acknowledgesEarly, ...served, ...uncached },
    dataBytes: DATA_BYTES,
    volume,
    misses: async () => (await volume.status()).readMisses,
  }
  return plan.staysCold === true ? contestant : { ...contestant, prepare: () => volume.warm(DATA_BYTES) }
}

async function setUp(scaffold: Scaffold): Promise<Stage> {
  const disk = await scaffold.diskDirectory()
  const memory = await scaffold.memoryDirectory()
  const image = await scaffold.writtenFile(path.join(memory, 'image'), DATA_BYTES)
  const places = { disk, memory, image }
  const contestants: Contestant[] = []
  for (const subject of await rawSubjects(scaffold, places)) contestants.push({ subject, dataBytes: DATA_BYTES })
  const { plans, tls, peer } = await replicatedPlans(scaffold, places)
  for (const plan of [...LOCAL_PLANS, ...plans, await slowPlan(scaffold)]) {
    // oxlint-disable-next-line eslint/no-await-in-loop -- one after the other
    contestants.push(contestantOf(plan, await startVolume(scaffold, places, plan)))
  }
  const title = 'round trip of TLS 1.3 on the loopback, 4 KiB there'
  contestants.push({
    subject: rawSubject({ name: 'tlsRoundTrip', title, target: '', acknowledgesEarly: 'yes' }),
    dataBytes: DATA_BYTES,
    measure: (forSeconds) => tls.measure(forSeconds),
  })
  const flash = contestants.find(({ subject }) => subject.name === 'flash')?.volume
  if (flash === undefined) throw new Error('no volume on flash')
  return { contestants, flash, peer }
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
  const { contestants, flash, peer } = await setUp(scaffold)
  const samples = await takeTurns(scaffold, contestants, TURNS)
  const absolutes = { ...(await absolutesOf(flash)), peerRssMiB: await peerResidentMiB(peer) }
  const { ratios, ratioSpreads } = ratiosOf(samples, RATIO_RULES)
  return { ratios: { ...ratios, ...absolutes }, ratioSpreads, rows: rowsOf(samples) }
}
