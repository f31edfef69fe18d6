// What sysfs says of a block device: size, sector size, whether it is read-only, what it can zero, what it is, who
// holds it. Sizes in sysfs are in 512-byte units whatever the device's sectors are (kernel Documentation/ABI).
import { createHash } from 'node:crypto'
import { readdir, readFile, realpath, stat } from 'node:fs/promises'
import { basename, dirname } from 'node:path'

import { SECTOR_BYTES } from '../../../base/units.ts'
import type { Bytes } from '../../../base/units.ts'
import { BACKING_ID_MAX } from '../backing-identity.ts'
import { mountOf, readMounts } from './mount-table.ts'

/** `major:minor` of a st_dev or st_rdev, as sysfs and mountinfo write it. */
export function deviceNumber(device: number | bigint): string {
  const value = BigInt(device)
  const major = ((value >> 8n) & 0xfffn) | ((value >> 32n) & 0xfffff000n)
  const minor = (value & 0xffn) | ((value >> 12n) & 0xffffff00n)
  return `${major}:${minor}`
}

/** The trimmed text of a small file; null where it is missing or cannot be read. */
export async function readAttribute(path: string): Promise<string | null> {
  try {
    return (await readFile(path, 'utf8')).trim()
  } catch {
    return null
  }
}

async function listNames(path: string): Promise<string[]> {
  try {
    return (await readdir(path)).toSorted()
  } catch {
    return []
  }
}

export interface BlockFacts {
  /** The device's directory in sysfs, without links. */
  readonly directory: string
  /** Kernel name: `sda1`, `dm-0`. */
  readonly kernelName: string
  readonly sizeBytes: Bytes
  readonly logicalBlockBytes: Bytes
  readonly readOnly: boolean
  /** WRITE_ZEROES is supported, so that zeroing does not mean writing. */
  readonly canZero: boolean
}

export async function readBlockFacts(device: string): Promise<BlockFacts> {
  const directory = await realpath(`/sys/dev/block/${device}`)
  const partition = (await readAttribute(`${directory}/partition`)) !== null
  const queue = `${partition ? dirname(directory) : directory}/queue`
  const size = Number(await readAttribute(`${directory}/size`))
  return {
    directory,
    kernelName: basename(directory),
    sizeBytes: size * SECTOR_BYTES,
    logicalBlockBytes: Number((await readAttribute(`${queue}/logical_block_size`)) ?? SECTOR_BYTES),
    readOnly: (await readAttribute(`${directory}/ro`)) === '1',
    canZero: Number((await readAttribute(`${queue}/write_zeroes_max_bytes`)) ?? 0) > 0,
  }
}

/** Attributes that name a device for its life, the most lasting and specific first. */
const NAMING_ATTRIBUTES: readonly (readonly [attribute: string, source: string])[] = [
  ['dm/uuid', 'dm'],
  ['md/uuid', 'md'],
  ['wwid', 'wwid'],
  ['device/wwid', 'wwid'],
  ['serial', 'serial'],
  ['device/serial', 'serial'],
]

/**
 * A text that stays the same over a reboot and differs between devices. Partitions: number and start on their disk.
 * Loop devices: their file. A device that has no name of its own is known by its place in the machine.
 */
export async function blockIdentity(directory: string): Promise<string> {
  const partition = await readAttribute(`${directory}/partition`)
  if (partition !== null) {
    const start = await readAttribute(`${directory}/start`)
    return `part:${partition}@${start}:${await blockIdentity(dirname(directory))}`
  }
  for (const [attribute, source] of NAMING_ATTRIBUTES) {
    // One after the other: the first that is there decides.
    // oxlint-disable-next-line eslint/no-await-in-loop
    const value = await readAttribute(`${directory}/${attribute}`)
    if (value !== null && value !== '') return `${source}:${value.replaceAll(/\s+/g, '_')}`
  }
  const backingFile = await readAttribute(`${directory}/loop/backing_file`)
  if (backingFile !== null) {
    const offset = await readAttribute(`${directory}/loop/offset`)
    return `loop:${offset}:${await fileIdentity(backingFile)}`
  }
  return `place:${directory.replace('/sys/devices/', '')}`
}

/** File system, inode and path of a file; the path alone where it cannot be looked at. */
export async function fileIdentity(path: string): Promise<string> {
  let real = path
  let inode = 'gone'
  try {
    real = await realpath(path)
    inode = String((await stat(real, { bigint: true })).ino)
  } catch {
    // A loop device whose file was deleted: its path is all that is left.
  }
  const mount = mountOf(await readMounts(), real)
  return `file:${mount === null ? 'unknown' : await fileSystemIdentity(mount.source, mount.type)}:${inode}:${real}`
}

async function fileSystemIdentity(source: string, type: string): Promise<string> {
  if (!source.startsWith('/dev/')) return `${type}=${source}`
  try {
    const directory = await realpath(`/sys/dev/block/${deviceNumber((await stat(source, { bigint: true })).rdev)}`)
    return `${type}=${await blockIdentity(directory)}`
  } catch {
    return `${type}=${source}`
  }
}

/** At most BACKING_ID_MAX printable ASCII characters; what is longer keeps its beginning and gets a hash of all. */
export function boundedId(id: string): string {
  const printable = id.replaceAll(/[^\x21-\x7e]/g, '_')
  if (printable === id && id.length <= BACKING_ID_MAX) return id
  const hash = createHash('sha256').update(id).digest('hex').slice(0, 32)
  return `${printable.slice(0, BACKING_ID_MAX - 33)}#${hash}`
}

/** Who uses a block device or one of its partitions, for a message; null when nobody is found. */
export async function blockUser(directory: string): Promise<string | null> {
  const kernelName = basename(directory)
  const device = await readAttribute(`${directory}/dev`)
  const mounts = await readMounts()
  const mount = mounts.find((one) => one.device === device)
  if (mount !== undefined) return `mounted on ${mount.mountPoint}`
  for (const holder of await listNames(`${directory}/holders`)) {
    // oxlint-disable-next-line eslint/no-await-in-loop
    const mapped = await readAttribute(`/sys/class/block/${holder}/dm/name`)
    return `claimed by ${holder}${mapped === null ? '' : ` (${mapped})`}`
  }
  const swaps = (await readAttribute('/proc/swaps')) ?? ''
  if (swaps.split('\n').some((line) => line.startsWith(`/dev/${kernelName} `))) return 'used as swap space'
  for (const name of await listNames(directory)) {
    if (!name.startsWith(kernelName)) continue
    // oxlint-disable-next-line eslint/no-await-in-loop
    const user = await blockUser(`${directory}/${name}`)
    if (user !== null) return `in use through its partition ${name}, ${user}`
  }
  return null
}

/** The loop device attached to this very file or device (same inode), or null. */
export async function loopDeviceOf(path: string): Promise<string | null> {
  const wanted = await stat(path, { bigint: true })
  for (const name of await listNames('/sys/block')) {
    if (!name.startsWith('loop')) continue
    // oxlint-disable-next-line eslint/no-await-in-loop
    const file = await readAttribute(`/sys/block/${name}/loop/backing_file`)
    if (file === null) continue
    try {
      // oxlint-disable-next-line eslint/no-await-in-loop
      const found = await stat(file, { bigint: true })
      const sameFile = found.dev === wanted.dev && found.ino === wanted.ino
      const sameDevice = wanted.isBlockDevice() && found.isBlockDevice() && found.rdev === wanted.rdev
      if (sameFile || sameDevice) return `/dev/${name}`
    } catch {
      // Deleted, or in another mount namespace: it cannot be compared.
    }
  }
  return null
}
