// A database: pgbench on ext4 on the bare 2 ms disk, and on volumes in front of such disks: write-through, write-back
// without and with a copy. All begin with the same file system and take turns, after one round that does not count.
import { mkdir } from 'node:fs/promises'
import path from 'node:path'
import { SlowDisk } from '../../csi-driver/cli/demo/slow-disk.ts'
import { Copies } from './copies.ts'
import { runProgram } from './fio.ts'
import { ForebayVolume } from './forebay-volume.ts'
import { type PgbenchResult, Postgres } from './postgres.ts'
import { Patience } from './quiet.ts'
import { figuresOf, median, type PartResult, type Spread, spreadOf } from './report.ts'
import { MIB, SCALE } from './scale.ts'
import type { Scaffold } from './scaffold.ts'

const CLIENTS = 4
const SECONDS = SCALE.isQuick ? 3 : 10
/** 15 MiB each. */
const PGBENCH_SCALE = SCALE.isQuick ? 2 : 10
const DISK_MIB = SCALE.isQuick ? 512 : 1024
const CACHE_MIB = 1024
const STORE_MIB = 1536
const DISK_MS = 2
const OWNER = 'owner'
const PEER = 'peer'

interface Variant {
  readonly key: string | null
  readonly title: string
  readonly copies: number
  /** Of `forebay serve`; null: the bare disk. */
  readonly flags: readonly string[] | null
}

const VARIANTS: readonly Variant[] = [
  { key: null, title: 'raw 2 ms disk', copies: 0, flags: null },
  { key: 'pgbenchWriteThrough', title: 'write-through', copies: 0, flags: ['--write-policy', 'write-through'] },
  { key: 'pgbenchWriteBack0', title: 'write-back', copies: 0, flags: [] },
  { key: 'pgbenchWriteBack1', title: 'write-back with a copy', copies: 1, flags: [] },
]

interface Subject {
  readonly variant: Variant
  readonly mountPoint: string
  readonly volume: ForebayVolume | null
}

async function mount(scaffold: Scaffold, source: string, mountPoint: string): Promise<void> {
  await mkdir(mountPoint)
  await runProgram('mount', [source, mountPoint], scaffold.signal)
  scaffold.later(mountPoint, () => runProgram('umount', [mountPoint]))
}

/** An image with a file system and a stopped cluster in it. */
async function makeImage(scaffold: Scaffold, postgres: Postgres, directory: string): Promise<string> {
  const image = path.join(directory, 'image')
  await runProgram('truncate', ['--size', `${DISK_MIB}M`, image])
  await runProgram('mkfs.ext4', ['-q', '-E', 'lazy_itable_init=0,lazy_journal_init=0', image], scaffold.signal)
  await scaffold.scope(async (scope) => {
    const mountPoint = path.join(directory, 'image-mount')
    await mount(scope, image, mountPoint)
    await postgres.create(mountPoint, PGBENCH_SCALE)
  })
  return image
}

async function setUp(scaffold: Scaffold, postgres: Postgres, memory: string): Promise<Subject[]> {
  const disk = await scaffold.diskDirectory()
  const image = await makeImage(scaffold, postgres, memory)
  const copies = await Copies.make(scaffold, disk, [OWNER, PEER])
  const peer = await copies.startPeer({ node: PEER, directory: disk, resource: 'flash', sizeMiB: STORE_MIB })
  const subjects: Subject[] = []
  for (const [index, variant] of VARIANTS.entries()) {
    // oxlint-disable-next-line eslint/no-await-in-loop -- one after the other
    const backing = await filledDisk(scaffold, image)
    const flags = [...copies.volumeFlags(OWNER, variant.copies > 0 ? [peer] : []), ...(variant.flags ?? [])]
    const volume = new ForebayVolume(scaffold, {
      ...{ name: `pgbench-${index}`, backing, cache: path.join(disk, `cache-${index}`), cacheMiB: CACHE_MIB, flags },
      ...{ resource: 'flash', stateDirectory: copies.stateDirectory(OWNER) },
    })
    // oxlint-disable-next-line eslint/no-await-in-loop -- one after the other
    if (variant.flags !== null) await volume.serve()
    const mountPoint = path.join(memory, `mount-${index}`)
    // oxlint-disable-next-line eslint/no-await-in-loop -- one after the other
    await mount(scaffold, variant.flags === null ? backing : volume.device, mountPoint)
    subjects.push({ variant, mountPoint, volume: variant.flags === null ? null : volume })
  }
  return subjects
}

async function filledDisk(scaffold: Scaffold, image: string): Promise<string> {
  const disk = await SlowDisk.create({ sizeBytes: DISK_MIB * MIB, latencyMs: 0 })
  scaffold.later('a slow disk', () => disk.destroy())
  await runProgram('dd', [`if=${image}`, `of=${disk.device}`, 'bs=1M', 'oflag=direct', 'conv=sparse'], scaffold.signal)
  await disk.latency(DISK_MS)
  return disk.device
}

/** Ends with everything written back, so that nobody works for this one while the next is measured. */
async function measureSubject(postgres: Postgres, { variant, mountPoint, volume }: Subject): Promise<PgbenchResult> {
  const isWriteBack = variant.key?.startsWith('pgbenchWriteBack') === true
  if (isWriteBack) await volume?.untilWriteBack(variant.copies)
  const result = await postgres.measure(mountPoint, { clients: CLIENTS, seconds: SECONDS })
  const status = await volume?.status()
  if (isWriteBack && status?.effectiveWritePolicy !== 'write-back') {
    throw new Error(`${variant.title}: ${status?.reason ?? 'no write-back'}`)
  }
  await runProgram('sync', ['--file-system', mountPoint])
  await volume?.drain()
  return result
}

export async function measurePgbench(scaffold: Scaffold): Promise<PartResult> {
  const memory = await scaffold.memoryDirectory()
  const postgres = await Postgres.make(scaffold, memory)
  const subjects = await setUp(scaffold, postgres, memory)
  const patience = new Patience(SCALE.patienceSeconds * 1000)
  const found = new Map<Variant, PgbenchResult[]>(VARIANTS.map((variant) => [variant, []]))
  // The first round warms: databases run for weeks, and reads that nobody has cached yet cost everybody the same 2 ms.
  for (let round = SCALE.isQuick ? 1 : 0; round <= SCALE.rounds; round++) {
    for (const subject of subjects) {
      // oxlint-disable-next-line eslint/no-await-in-loop -- they take turns
      const { sample } = await patience.measureInQuiet(() => measureSubject(postgres, subject))
      if (round > 0) found.get(subject.variant)?.push(sample)
    }
  }
  return resultOf(found)
}

function resultOf(found: ReadonlyMap<Variant, readonly PgbenchResult[]>): PartResult {
  const tpsOf = (results: readonly PgbenchResult[]): number[] => results.map(({ tps }) => tps)
  const raw = tpsOf([...found].find(([{ flags }]) => flags === null)?.[1] ?? [])
  const spreads: Record<string, Spread> = {}
  for (const [{ key }, results] of found) {
    if (key === null) continue
    const tps = tpsOf(results)
    const perRound = tps.map((one, round) => one / (raw[round] ?? Number.NaN))
    spreads[key] = { ...spreadOf(perRound), median: median(tps) / median(raw) }
  }
  const lines = [...found].map(([{ title }, results]) => [
    ...[title, median(tpsOf(results)), Math.min(...tpsOf(results)), Math.max(...tpsOf(results))],
    median(results.map(({ latencyMs }) => latencyMs)),
  ])
  const columns = ['on', 'TPS (median)', 'least', 'greatest', 'latency ms']
  return { ...figuresOf(spreads), tables: [{ title: `pgbench -c ${CLIENTS} on a 2 ms disk, ext4`, columns, lines }] }
}
