// What sysfs says about block devices: size, sectors, who is stacked on what. Reads only, through the SmallFiles port.
import type { SmallFiles } from '../io/files.ts'
import { SECTOR_BYTES, type Bytes } from '../../base/units.ts'

/** `major:minor`. */
export type DeviceNumber = string

/** The part of SmallFiles that cannot change anything. */
export type ReadOnlyFiles = Pick<SmallFiles, 'read' | 'list' | 'readLink'>

export interface BlockDevice {
  /** Kernel name, as below /sys/block: `sda1`, `dm-3`, `loop0`. */
  readonly name: string
  readonly sizeBytes: Bytes
  readonly logicalSectorBytes: Bytes
  readonly readOnly: boolean
  /** Devices stacked on it: dm, md, bcache. */
  readonly holders: readonly string[]
  /** Numbers of its partitions. */
  readonly partitions: readonly DeviceNumber[]
  /** What it stands on: its slaves, and the disk that it is a partition of. */
  readonly below: readonly DeviceNumber[]
  /** File behind a loop device, as the kernel names it; null for any other. */
  readonly loopFile: string | null
}

/** Null when there is no such device. */
export async function readBlockDevice(files: ReadOnlyFiles, number: DeviceNumber): Promise<BlockDevice | null> {
  const base = `/sys/dev/block/${number}`
  const attribute = async (name: string): Promise<string | null> =>
    (await files.read(`${base}/${name}`))?.trim() ?? null
  const size = await attribute('size')
  if (size === null) return null
  const isPartition = (await attribute('partition')) !== null
  // A partition has no queue of its own.
  const sector = await attribute(`${isPartition ? '../' : ''}queue/logical_block_size`)
  const disk = isPartition ? await attribute('../dev') : null
  const slaves = await devicesIn(files, `${base}/slaves`)
  return {
    name: /^DEVNAME=(.*)$/m.exec((await attribute('uevent')) ?? '')?.[1] ?? number,
    sizeBytes: Number(size) * SECTOR_BYTES,
    logicalSectorBytes: Number(sector ?? SECTOR_BYTES),
    readOnly: (await attribute('ro')) === '1',
    holders: await files.list(`${base}/holders`),
    partitions: isPartition ? [] : await partitionsOf(files, base),
    below: disk === null ? slaves : [...slaves, disk],
    loopFile: await attribute('loop/backing_file'),
  }
}

async function devicesIn(files: ReadOnlyFiles, directory: string): Promise<DeviceNumber[]> {
  const names = await files.list(directory)
  const numbers = await Promise.all(names.map((name) => files.read(`${directory}/${name}/dev`)))
  return numbers.filter((number) => number !== null).map((number) => number.trim())
}

async function partitionsOf(files: ReadOnlyFiles, base: string): Promise<DeviceNumber[]> {
  const names = await files.list(base)
  const numbers = await Promise.all(
    names.map(async (name) => {
      const isPartition = (await files.read(`${base}/${name}/partition`).catch(() => null)) !== null
      return isPartition ? files.read(`${base}/${name}/dev`) : null
    }),
  )
  return numbers.filter((number) => number !== null).map((number) => number.trim())
}
