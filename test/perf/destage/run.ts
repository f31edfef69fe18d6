// One run: fio writes to a volume, or to the bare disk, and every second is kept of what the writer, the volume and the
// disk behind it saw.
import { readFile } from 'node:fs/promises'
import path from 'node:path'
import type { SlowDisk } from '../../../csi-driver/cli/demo/slow-disk.ts'
import { connectVolume, readStatus } from '../../../csi-driver/cli/volume-call.ts'
import { type FioJob, runFio } from '../fio.ts'
import type { ForebayVolume } from '../forebay-volume.ts'
import { lookAround } from '../quiet.ts'
import { MIB } from '../scale.ts'
import type { Scaffold } from '../scaffold.ts'
import { type Second, secondsOf } from './seconds.ts'

export interface Load extends Pick<FioJob, 'queueDepth' | 'seconds' | 'dataBytes'> {
  /** Writes a second that fio holds itself to; null: as fast as they are answered. */
  readonly rate: number | null
}

export interface Places {
  readonly disk: SlowDisk
  /** Null: the bare disk is written to. */
  readonly volume: ForebayVolume | null
  readonly stateDirectory: string
  /** For fio's log. */
  readonly directory: string
}

/** What the disk has been asked for since it was made, and what only the cache holds. */
export interface Look {
  readonly dirtyMiB: number
  readonly diskWrites: number
  readonly diskBytes: number
  readonly forwardWrites: number
}

export interface Run {
  readonly load: Load
  readonly seconds: readonly Second[]
  /** Answered until fio had ended, which is a moment behind the last second. */
  readonly writes: number
  /** At the beginning of the run and at the end of each second. */
  readonly looks: readonly Look[]
  /** When nothing is dirty any more. */
  readonly drained: Look
  /** Share of all cores that others kept busy before it began, when nothing of ours ran. */
  readonly othersShare: number
}

export async function run(scaffold: Scaffold, places: Places, load: Load): Promise<Run> {
  const { directory, disk, volume, stateDirectory } = places
  const client = volume === null ? null : await connectVolume({ volume: volume.volume, stateDirectory })
  const look = async (): Promise<Look> => {
    const [answer, status] = await Promise.all([disk.status(), client === null ? null : readStatus(client)])
    const { writes: diskWrites, writtenBytes: diskBytes, forwardWrites } = answer
    return { dirtyMiB: (status?.dirtyBytes ?? 0) / MIB, diskWrites, diskBytes, forwardWrites }
  }
  const log = path.join(directory, 'writes')
  const job = { ...load, target: volume?.device ?? disk.device, direction: 'write', engine: 'libaio' } as const
  const words = [
    ...[`--write_lat_log=${log}`, '--log_unix_epoch=1', '--disable_clat=1', '--disable_slat=1'],
    ...(load.rate === null ? [] : [`--rate_iops=${load.rate}`]),
  ]
  const othersShare = await lookAround()
  const looks = [await look()]
  const beginMs = Date.now()
  const ended = runFio(job, scaffold.signal, words)
  // Whoever waits for it hears of it.
  ended.catch(() => undefined)
  for (let second = 1; second <= load.seconds; second++) {
    // oxlint-disable-next-line eslint/no-await-in-loop -- one second after the other
    await scaffold.pause(Math.max(0, beginMs + second * 1000 - Date.now()))
    // oxlint-disable-next-line eslint/no-await-in-loop -- one second after the other
    looks.push(await look())
  }
  const { operations: writes } = await ended
  await volume?.drain()
  const drained = await look()
  client?.close()
  const seconds = secondsOf(await readFile(`${log}_lat.1.log`, 'utf8'), beginMs, load.seconds)
  return { load, seconds, writes, looks, drained, othersShare }
}
