// How long `serve` takes until the volume is ready: one that was stopped in order, and one whose holder and engine were
// killed with much dirty. What is dirty cannot be written back before the kill, and can be afterwards.
import path from 'node:path'
import { SlowDisk } from '../../csi-driver/cli/demo/slow-disk.ts'
import { ForebayVolume } from './forebay-volume.ts'
import { Host } from './host.ts'
import { Patience } from './quiet.ts'
import { figuresOf, type PartResult, spreadOf } from './report.ts'
import { MIB, SCALE } from './scale.ts'
import type { Scaffold } from './scaffold.ts'

const DIRTY_MIB = SCALE.isQuick ? 64 : 1024
/** Room for it before writers are slowed. */
const DIRTY_LIMIT_MIB = DIRTY_MIB * 1.25
const CACHE_MIB = DIRTY_MIB * 6
const CLEAN_MIB = 64
const VOLUME_BYTES = DIRTY_MIB * MIB

interface Stage {
  readonly backing: SlowDisk
  readonly host: Host
  readonly volume: ForebayVolume
}

/** Served for the first time. */
async function setUp(scaffold: Scaffold): Promise<Stage> {
  const disk = await scaffold.diskDirectory()
  const backing = await SlowDisk.create({ sizeBytes: VOLUME_BYTES })
  scaffold.later('a slow disk', () => backing.destroy())
  const host = await Host.start(scaffold)
  const volume = new ForebayVolume(scaffold, {
    ...{ name: 'ready', backing: backing.device, cache: path.join(disk, 'cache'), cacheMiB: CACHE_MIB },
    ...{ resource: 'flash', stateDirectory: path.join(disk, 'state'), on: host.on },
    flags: ['--dirty-limit', `${DIRTY_LIMIT_MIB}MiB`],
  })
  await volume.serve()
  return { backing, host, volume }
}

async function secondsUntilReady(volume: ForebayVolume): Promise<number> {
  const begunMs = performance.now()
  await volume.serve()
  return (performance.now() - begunMs) / 1000
}

interface Ready {
  readonly dirtyMiB: number
  readonly seconds: number
}

async function afterStop(scaffold: Scaffold): Promise<Ready> {
  const { volume } = await setUp(scaffold)
  await volume.scatter(CLEAN_MIB, VOLUME_BYTES)
  await volume.drainAndStop()
  return { dirtyMiB: 0, seconds: await secondsUntilReady(volume) }
}

async function afterKill(scaffold: Scaffold): Promise<Ready> {
  const { backing, host, volume } = await setUp(scaffold)
  await backing.fail(['write', 'zero'], 'EIO')
  await volume.scatter(DIRTY_MIB, VOLUME_BYTES)
  const { dirtyBytes } = await volume.status()
  host.kill()
  await volume.ended
  await backing.heal()
  return { dirtyMiB: dirtyBytes / MIB, seconds: await secondsUntilReady(volume) }
}

export async function measureReady(scaffold: Scaffold): Promise<PartResult> {
  const patience = new Patience(SCALE.patienceSeconds * 1000)
  const [clean, dirty]: [Ready[], Ready[]] = [[], []]
  for (let round = 1; round <= SCALE.rounds; round++) {
    for (const [found, measure] of [
      [clean, afterStop],
      [dirty, afterKill],
    ] as const) {
      // oxlint-disable-next-line eslint/no-await-in-loop -- one after the other
      found.push((await patience.measureInQuiet(() => scaffold.scope(measure))).sample)
    }
  }
  const of = (found: readonly Ready[]): number[] => found.map(({ seconds }) => seconds)
  const spreads = {
    readyCleanSeconds: spreadOf(of(clean)),
    // The target speaks of 1 GiB.
    ...(SCALE.isQuick ? {} : { readyDirtySeconds: spreadOf(of(dirty)) }),
  }
  const table = {
    title: 'serve: from the command to ready; dirty ones were killed before',
    columns: ['dirty MiB', 'seconds'],
    lines: [...clean, ...dirty].map(({ dirtyMiB, seconds }) => [Math.round(dirtyMiB), seconds]),
  }
  return { ...figuresOf(spreads), tables: [table] }
}
