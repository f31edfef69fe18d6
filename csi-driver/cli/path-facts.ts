// What there is at a path that a user gave: a file, a device, what it stands on, who uses it. Looks only; whether that
// is acceptable is decided in path-checks.ts.
import { constants, type Stats } from 'node:fs'
import { open, readFile, readlink, realpath, stat, statfs } from 'node:fs/promises'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Bytes } from '../../base/units.ts'
import type { StorageIdentity } from '../holder/run-directory.ts'
import { DEVICE_DIRECTORY, storageLockFile } from '../holder/run-directory.ts'
import { parseMountInfo, type Mount } from '../frontend/loop/mount-table.ts'
import { systemFiles } from '../io/real/small-files.ts'
import { readBlockDevice, type BlockDevice, type DeviceNumber } from './block-devices.ts'
import { lockIsHeld, splitDevice } from './held-locks.ts'
import { processIsAlive } from './process-alive.ts'

/** Devices stacked deeper than this are a mistake of ours or a loop. */
const STACK_DEPTH_MAX = 64
/** f_type of statfs(2), from linux/magic.h. */
const MEMORY_FILE_SYSTEMS: ReadonlySet<number> = new Set([0x01021994, 0x858458f6])

const LETTING_GO_MS = 1000
const LETTING_GO_STEP_MS = 50

/** Unit of st_blocks, whatever the file system uses. */
const STAT_BLOCK_BYTES = 512

export type PathKind = 'missing' | 'file' | 'directory' | 'block' | 'other'

export interface PathFacts {
  readonly given: string
  /** Absolute, symbolic links resolved as far as they exist. */
  readonly path: string
  readonly kind: PathKind
  /** For a missing path: is its directory there? */
  readonly directoryExists: boolean
  /** Of a file or block device; 0 otherwise. */
  readonly sizeBytes: Bytes
  /** Bytes on disk of a sparse file. */
  readonly allocatedBytes: Bytes
  readonly hardLinks: number
  readonly writable: boolean
  readonly block: BlockDevice | null
  readonly identity: StorageIdentity | null
  /** Everything it stands on, itself included: `block:8:1`, `file:2049:131`. */
  readonly standsOn: ReadonlySet<string>
  /** Volumes of ours whose device it is or stands on. */
  readonly ourVolumes: readonly string[]
  /** It is itself the device of that volume of ours. */
  readonly deviceOfVolume: string | null
  /** Why nobody else may use it: `mounted at /mnt`, `used for swap`. */
  readonly usedBy: readonly string[]
  /** Whether the file system (of the directory, for a missing path) lives in memory. */
  readonly inMemory: boolean
  readonly freeBytes: Bytes
}

/** Paths that are swapped to, from /proc/swaps. */
export function parseSwaps(text: string): string[] {
  const paths = text
    .split('\n')
    .slice(1)
    .map((line) => line.split(/\s+/)[0] ?? '')
  return paths.filter((one) => one.startsWith('/'))
}

/** The state of the host that all paths are judged by, read once. */
export interface HostTables {
  readonly mounts: readonly Mount[]
  readonly swaps: readonly string[]
  /** Device number → volume of ours. */
  readonly ourDevices: ReadonlyMap<DeviceNumber, string>
}

export async function readHostTables(): Promise<HostTables> {
  const mounts = parseMountInfo(await readFile('/proc/self/mountinfo', 'utf8'))
  const swaps = parseSwaps(await readFile('/proc/swaps', 'utf8').catch(() => ''))
  const ourDevices = new Map<DeviceNumber, string>()
  for (const volume of await systemFiles.list(DEVICE_DIRECTORY)) {
    // oxlint-disable-next-line eslint/no-await-in-loop -- a handful of links
    const stats = await statOrNull(path.join(DEVICE_DIRECTORY, volume))
    if (stats?.isBlockDevice() === true) ourDevices.set(numberText(stats.rdev), volume)
  }
  return { mounts, swaps, ourDevices }
}

export async function readPathFacts(given: string, tables: HostTables): Promise<PathFacts> {
  const resolved = await resolveExisting(path.resolve(given))
  const stats = await statOrNull(resolved)
  const directory = await statOrNull(path.dirname(resolved))
  const kind = kindOf(stats)
  const standsOn = await stackBelow(stats ?? directory, tables)
  return {
    given,
    path: resolved,
    kind,
    directoryExists: directory?.isDirectory() ?? false,
    writable: (kind === 'file' || kind === 'block') && (await canOpen(resolved, constants.O_RDWR)),
    identity: identityOf(resolved, stats, directory),
    standsOn,
    ourVolumes: volumesBelow(standsOn, tables),
    ...(await fileFacts(resolved, stats)),
    ...(await deviceFacts(resolved, stats, tables)),
  }
}

function volumesBelow(standsOn: ReadonlySet<string>, { ourDevices }: HostTables): string[] {
  return [...ourDevices].filter(([number]) => standsOn.has(`block:${number}`)).map(([, volume]) => volume)
}

type FileFacts = Pick<PathFacts, 'allocatedBytes' | 'hardLinks' | 'inMemory' | 'freeBytes'>

/** About the file and the file system that it is in; of the directory where there is no file yet. */
async function fileFacts(resolved: string, stats: Stats | null): Promise<FileFacts> {
  const isFile = stats?.isFile() === true
  const space = await statfs(isFile ? resolved : path.dirname(resolved)).catch(() => null)
  return {
    allocatedBytes: isFile ? stats.blocks * STAT_BLOCK_BYTES : 0,
    hardLinks: stats?.nlink ?? 0,
    inMemory: MEMORY_FILE_SYSTEMS.has(space?.type ?? 0),
    freeBytes: space === null ? 0 : space.bavail * space.bsize,
  }
}

type DeviceFacts = Pick<PathFacts, 'sizeBytes' | 'block' | 'deviceOfVolume' | 'usedBy'>

async function deviceFacts(resolved: string, stats: Stats | null, tables: HostTables): Promise<DeviceFacts> {
  if (stats?.isBlockDevice() !== true) {
    return { sizeBytes: stats?.isFile() === true ? stats.size : 0, block: null, deviceOfVolume: null, usedBy: [] }
  }
  const number = numberText(stats.rdev)
  const block = await readBlockDevice(systemFiles, number)
  return {
    sizeBytes: block?.sizeBytes ?? 0,
    block,
    deviceOfVolume: tables.ourDevices.get(number) ?? null,
    usedBy: await usersOf(resolved, number, tables),
  }
}

/** The path with its links resolved, also where its last part or its target does not exist yet. */
async function resolveExisting(absolute: string): Promise<string> {
  const real = await realpath(absolute).catch(() => null)
  if (real !== null) return real
  const target = await readlink(absolute).catch(() => null)
  const followed = target === null ? absolute : path.resolve(path.dirname(absolute), target)
  const directory = await realpath(path.dirname(followed)).catch(() => null)
  return directory === null ? followed : path.join(directory, path.basename(followed))
}

async function statOrNull(target: string): Promise<Stats | null> {
  return stat(target).catch(() => null)
}

function kindOf(stats: Stats | null): PathKind {
  if (stats === null) return 'missing'
  if (stats.isBlockDevice()) return 'block'
  if (stats.isFile()) return 'file'
  return stats.isDirectory() ? 'directory' : 'other'
}

function numberText(dev: number): DeviceNumber {
  const { major, minor } = splitDevice(dev)
  return `${major}:${minor}`
}

function identityOf(resolved: string, stats: Stats | null, directory: Stats | null): StorageIdentity | null {
  if (stats?.isBlockDevice() === true) return { kind: 'block', ...splitDevice(stats.rdev) }
  if (directory === null) return null
  return {
    kind: 'file',
    directoryDevice: directory.dev,
    directoryInode: directory.ino,
    name: path.basename(resolved),
  }
}

async function canOpen(target: string, flags: number): Promise<boolean> {
  try {
    const file = await open(target, flags | constants.O_NONBLOCK)
    await file.close()
    return true
  } catch {
    return false
  }
}

/** Keys of everything that `stats` stands on: its file system's device, slaves, disks, files behind loop devices. */
async function stackBelow(stats: Stats | null, tables: HostTables): Promise<Set<string>> {
  const found = new Set<string>()
  if (stats === null) return found
  const todo: DeviceNumber[] = []
  const addFile = (one: Stats): void => {
    found.add(`file:${one.dev}:${one.ino}`)
    todo.push(numberText(one.dev))
  }
  if (stats.isBlockDevice()) todo.push(numberText(stats.rdev))
  else addFile(stats)
  for (let number = todo.pop(); number !== undefined && found.size < STACK_DEPTH_MAX; number = todo.pop()) {
    if (found.has(`block:${number}`)) continue
    found.add(`block:${number}`)
    // oxlint-disable-next-line eslint/no-await-in-loop -- each level is only known from the one above
    const next = await oneLevelDown(number, tables)
    todo.push(...next.devices)
    if (next.file !== null) addFile(next.file)
  }
  return found
}

async function oneLevelDown(
  number: DeviceNumber,
  tables: HostTables,
): Promise<{ devices: readonly DeviceNumber[]; file: Stats | null }> {
  const block = await readBlockDevice(systemFiles, number).catch(() => null)
  if (block !== null)
    return { devices: block.below, file: block.loopFile === null ? null : await statOrNull(block.loopFile) }
  // A file system with an anonymous number (btrfs, overlay of a device): by what was mounted.
  const mount = tables.mounts.find(({ device, source }) => device === number && source.startsWith('/dev/'))
  const source = mount === undefined ? null : await statOrNull(mount.source)
  return { devices: source?.isBlockDevice() === true ? [numberText(source.rdev)] : [], file: null }
}

async function usersOf(target: string, number: DeviceNumber, tables: HostTables): Promise<string[]> {
  const block = await readBlockDevice(systemFiles, number)
  const numbers = [number, ...(block?.partitions ?? [])]
  const users = tables.mounts
    .filter(({ device }) => numbers.includes(device))
    .map(({ mountPoint }) => `mounted at ${mountPoint}`)
  for (const holder of block?.holders ?? []) users.push(`part of ${holder}`)
  if (tables.swaps.includes(target)) users.push('used for swap')
  if (users.length === 0 && (await isBusy(target))) users.push(...(await claimants(target, number)))
  return users
}

/**
 * Who claims the device, as a remark; a volume of ours has left its name in the lock. Nobody when its processes were
 * killed and only their last I/O keeps the device open: the holder waits for that, with the lock.
 */
async function claimants(target: string, number: DeviceNumber): Promise<string[]> {
  const [major = 0, minor = 0] = number.split(':').map(Number)
  const lock = storageLockFile({ kind: 'block', major, minor })
  if (!(await lockIsHeld(lock))) return (await staysBusy(target)) ? ['claimed by another program'] : []
  const [holder, volume, engine] = (await readFile(lock, 'utf8')).trim().split(' ')
  const served = [holder, engine].some((pid) => processIsAlive(Number(pid)))
  return served ? [`served as volume=${volume} (forebay stop ${volume})`] : []
}

/** A process that ends lets go of its locks a little before its devices. */
async function staysBusy(target: string): Promise<boolean> {
  for (let waitedMs = 0; waitedMs < LETTING_GO_MS; waitedMs += LETTING_GO_STEP_MS) {
    // oxlint-disable-next-line eslint/no-await-in-loop -- one look after the other
    await sleep(LETTING_GO_STEP_MS)
    // oxlint-disable-next-line eslint/no-await-in-loop
    if (!(await isBusy(target))) return false
  }
  return true
}

/** Whether somebody claims the device for itself; opening it read-only and exclusively changes nothing. */
async function isBusy(target: string): Promise<boolean> {
  try {
    const file = await open(target, constants.O_RDONLY | constants.O_EXCL)
    await file.close()
    return false
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EBUSY'
  }
}
