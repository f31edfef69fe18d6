// The owner's host dies and another one, which holds no copy, takes the volume over: the time from the end of the fence to
// the first I/O, with little dirty and with much, and how fast what is dirty is gathered and replayed.
import { open } from 'node:fs/promises'
import path from 'node:path'
import { SlowDisk } from '../../csi-driver/cli/demo/slow-disk.ts'
import { Copies } from './copies.ts'
import { ForebayVolume } from './forebay-volume.ts'
import { Host } from './host.ts'
import { Patience } from './quiet.ts'
import { figuresOf, type PartResult, spreadOf } from './report.ts'
import { MIB, SCALE } from './scale.ts'
import type { Scaffold } from './scaffold.ts'

const OLD = 'old'
const NEW = 'new'
const PEER = 'peer'
const LITTLE_MIB = 4
const MUCH_MIB = SCALE.isQuick ? 64 : 640
const VOLUME_BYTES = 1024 * MIB
/** Holds a log with all of it, and some. */
const CACHE_MIB = SCALE.isQuick ? 512 : 4096
const STORE_MIB = CACHE_MIB * 1.5
const BACKING_MS = 2
const BLOCK_BYTES = 4096

interface Takeover {
  readonly round: number
  readonly logMiB: number
  /** From the end of the fence to the first I/O. */
  readonly seconds: number
  /** Of that, from the first look for copies until one was chosen. */
  readonly sealSeconds: number
  /** Of that, until its log was here, replayed, and owned. */
  readonly gatherSeconds: number
}

interface Plan {
  readonly round: number
  readonly writtenMiB: number
}

interface Volumes {
  readonly backing: SlowDisk
  readonly oldHost: Host
  readonly before: ForebayVolume
  readonly after: ForebayVolume
}

/** Nothing is left of the takeover before: other hosts, stores and disks. */
async function setUp(scaffold: Scaffold, { round, writtenMiB }: Plan): Promise<Volumes> {
  const disk = await scaffold.diskDirectory()
  const copies = await Copies.make(scaffold, disk, [OLD, NEW, PEER])
  const peer = await copies.startPeer({ node: PEER, directory: disk, resource: 'flash', sizeMiB: STORE_MIB })
  const backing = await SlowDisk.create({ sizeBytes: VOLUME_BYTES, latencyMs: BACKING_MS })
  scaffold.later('the slow disk', () => backing.destroy())
  const [oldHost, newHost] = [await Host.start(scaffold), await Host.start(scaffold)]
  const [before, after] = [volumeOn(OLD, oldHost), volumeOn(NEW, newHost)]
  return { backing, oldHost, before, after }

  function volumeOn(node: string, { on }: Host): ForebayVolume {
    const name = `takeover-${round}-${writtenMiB}`
    const cache = path.join(disk, `cache-${node}`)
    const [stateDirectory, flags] = [copies.stateDirectory(node), copies.volumeFlags(node, [peer])]
    const plan = {
      name,
      backing: backing.device,
      cache,
      cacheMiB: CACHE_MIB,
      resource: 'flash',
      stateDirectory,
    } as const
    return new ForebayVolume(scaffold, { ...plan, flags, on })
  }
}

async function takeOver(scaffold: Scaffold, plan: Plan): Promise<Takeover> {
  const { backing, oldHost, before, after } = await setUp(scaffold, plan)
  await before.serve()
  await before.untilWriteBack(1)
  // What fails to be written back stays dirty.
  await backing.fail(['write', 'zero'], 'EIO')
  await before.scatter(plan.writtenMiB, VOLUME_BYTES)
  const { logUsedBytes } = await before.status()
  oldHost.kill()
  await before.ended
  await backing.heal()
  await after.takeOver('exit 0')
  const firstMs = await firstIo(after.device)
  const fencedMs = timeOf(after.said, 'engine.open.fenced')
  const chosenMs = timeOf(after.said, 'engine.open.gather', 'take')
  const ownedMs = timeOf(after.said, 'register.change.settled', 'own-log')
  return {
    round: plan.round,
    logMiB: logUsedBytes / MIB,
    seconds: (firstMs - fencedMs) / 1000,
    sealSeconds: (chosenMs - fencedMs) / 1000,
    gatherSeconds: (ownedMs - chosenMs) / 1000,
  }
}

/** Of the newest such event in a log. Throws when there is none. */
function timeOf(log: string, event: string, value = ''): number {
  const line = log.split('\n').findLast((one) => one.includes(`"event":"${event}"`) && one.includes(`"${value}`))
  if (line === undefined) throw new Error(`the takeover has not said ${event} ${value}`)
  return Date.parse((JSON.parse(line) as { readonly time: string }).time)
}

/** Reads a block and writes it back. Returns when that was done, ms since 1970. */
async function firstIo(device: string): Promise<number> {
  const file = await open(device, 'rs+')
  try {
    const block = Buffer.alloc(BLOCK_BYTES)
    await file.read(block, 0, BLOCK_BYTES, 0)
    await file.write(block, 0, BLOCK_BYTES, 0)
    return Date.now()
  } finally {
    await file.close()
  }
}

export async function measureTakeover(scaffold: Scaffold): Promise<PartResult> {
  const patience = new Patience(SCALE.patienceSeconds * 1000)
  const little: Takeover[] = []
  const much: Takeover[] = []
  for (let round = 1; round <= SCALE.rounds; round++) {
    for (const [found, writtenMiB] of [
      [little, LITTLE_MIB],
      [much, MUCH_MIB],
    ] as const) {
      const once = (): Promise<Takeover> => scaffold.scope((scope) => takeOver(scope, { round, writtenMiB }))
      // oxlint-disable-next-line eslint/no-await-in-loop -- one after the other
      found.push((await patience.measureInQuiet(once)).sample)
    }
  }
  const spreads = {
    takeoverSeconds: spreadOf(little.map(({ seconds }) => seconds)),
    takeoverMuchDirtySeconds: spreadOf(much.map(({ seconds }) => seconds)),
    replayMBps: spreadOf(much.map(({ logMiB, gatherSeconds }) => (logMiB * MIB) / 1e6 / gatherSeconds)),
  }
  const table = {
    title: `Takeover by a host without a copy: from the end of the fence to the first I/O`,
    columns: ['round', 'log MiB', 'seconds', 'sealed and chosen s', 'gathered and replayed s', 'device s'],
    lines: [...little, ...much].map(({ round, logMiB, seconds, sealSeconds, gatherSeconds }) => [
      ...[round, logMiB, seconds, sealSeconds, gatherSeconds, seconds - sealSeconds - gatherSeconds],
    ]),
  }
  return { ...figuresOf(spreads), tables: [table] }
}
