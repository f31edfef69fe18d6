// Opens the cache: a file or a raw partition on flash, or a file on tmpfs; lays a new file out first.
//
// On flash every write goes past the page cache and is durable when it is done (O_DIRECT|O_DSYNC). A new file is
// written full of zeros once: the first write into a hole or into a preallocated but unwritten extent makes the file
// system commit its journal, which costs milliseconds (datapath finding 7). It grows under another name and gets its
// own when it is complete, so that a crash in between leaves nothing that looks like a cache.
import { constants, promises as fs } from 'node:fs'
import type { FileHandle } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { Clock, Timers } from '../../../base/clock.ts'
import { CacheError } from '../../../base/errors.ts'
import type { Bytes } from '../../../base/units.ts'
import { BLOCK_BYTES, MIB, roundDown, SECTOR_BYTES } from '../../../base/units.ts'
import type { Processes } from '../process.ts'
import type { AlignedMemory } from '../storage.ts'
import { FileStorage } from './file-storage.ts'
import { errnoName } from './errno.ts'
import { openDescriptor } from './open-descriptor.ts'

/** f_type of statfs(2), linux/magic.h. */
const TMPFS_MAGIC = 0x0102_1994
const ZERO_CHUNK_BYTES = MIB
/** Zero writes in flight: enough to keep a disk busy. */
const ZERO_WRITES_MAX = 4

export type CacheResource = 'flash' | 'memory'

export interface CacheFileOptions {
  /** A file (made if missing) or a block device. */
  readonly path: string
  readonly resource: CacheResource
  /** Size of a file that is to be made. Without it a missing file is an error. */
  readonly sizeBytes?: Bytes
  readonly clock: Clock
  readonly timers: Timers
  readonly memory: AlignedMemory
  /** For preallocation with fallocate(1); without it the zeros alone allocate. */
  readonly processes?: Processes
  readonly onProgress?: (doneBytes: Bytes, totalBytes: Bytes) => void
}

export interface OpenedCache {
  readonly storage: FileStorage
  /** The file was made by this call. */
  readonly created: boolean
  /** Parts of the file have no space of their own yet: writes will be slow and may meet a full file system. */
  readonly sparse: boolean
}

function problem(code: `CACHE_${string}`, message: string, remedy: string, cause?: unknown): CacheError {
  return new CacheError('invalid', code, message, { remedy, cause })
}

async function statOrNull(path: string) {
  try {
    return await fs.stat(path)
  } catch (error) {
    if (errnoName(error) === 'ENOENT') return null
    throw problem(
      'CACHE_PATH',
      `cannot look at the cache path=${path} errno=${errnoName(error)}`,
      'Check the path.',
      error,
    )
  }
}

async function checkMemory(directory: string): Promise<void> {
  const { type } = await fs.statfs(directory)
  if (type === TMPFS_MAGIC) return
  const remedy = 'Give a path on a tmpfs (say /dev/shm), or use --resource flash.'
  throw problem('CACHE_NOT_IN_MEMORY', `the cache is not on a tmpfs path=${directory}`, remedy)
}

/** Opens the cache, after making the file if it is missing or empty. Throws CacheError `invalid`. */
export async function openCacheStorage(options: CacheFileOptions): Promise<OpenedCache> {
  const { path, resource } = options
  const found = await statOrNull(path)
  if (found !== null && !found.isFile() && !found.isBlockDevice()) {
    throw problem('CACHE_PATH', `the cache is neither a file nor a block device path=${path}`, 'Give another path.')
  }
  if (resource === 'memory') await checkMemory(found === null ? dirname(path) : path)
  const missing = found === null || (found.isFile() && found.size === 0)
  if (missing) await createCacheFile(options)
  const direct = resource === 'flash'
  const opened = await openDescriptor({ path, access: 'read-write', direct, durable: direct, memory: options.memory })
  const now = await fs.stat(path)
  const storage = new FileStorage({
    ...opened,
    name: path,
    sizeBytes: roundDown(opened.sizeBytes, BLOCK_BYTES),
    sync: direct ? 'fast' : 'always',
    clock: options.clock,
    timers: options.timers,
  })
  return { storage, created: missing, sparse: now.isFile() && direct && now.blocks * SECTOR_BYTES < now.size }
}

/** Lays out a file of zeros at `path`, replacing what is there. Throws CacheError. */
export async function createCacheFile(options: CacheFileOptions): Promise<void> {
  const { path, sizeBytes } = options
  if (sizeBytes === undefined) {
    throw problem('CACHE_MISSING', `there is no cache path=${path}`, 'Check the path, or give a size to make it.')
  }
  const directory = dirname(path)
  await checkRoom(directory, sizeBytes)
  const temporary = `${path}.creating`
  await fs.rm(temporary, { force: true })
  try {
    await layOut(temporary, sizeBytes, options)
    await fs.rename(temporary, path)
    await syncDirectory(directory)
  } catch (error) {
    await fs.rm(temporary, { force: true })
    if (error instanceof CacheError) throw error
    const remedy = 'Check that the file system is writable and has room.'
    throw problem('CACHE_CREATE', `cannot make the cache path=${path} errno=${errnoName(error)}`, remedy, error)
  }
}

/**
 * Makes a file longer; one that is long enough already stays as it is. What is new is zeros, written ones where that
 * was not interrupted. Throws CacheError.
 */
export async function growCacheFile(options: CacheFileOptions & { readonly sizeBytes: Bytes }): Promise<void> {
  const { path, sizeBytes, resource } = options
  const found = await statOrNull(path)
  if (found === null || !found.isFile() || found.size >= sizeBytes) return
  const fromBytes = roundDown(found.size, BLOCK_BYTES)
  await checkRoom(dirname(path), sizeBytes - fromBytes)
  const direct = resource === 'flash' ? constants.O_DIRECT : 0
  try {
    const file = await fs.open(path, constants.O_RDWR | direct)
    try {
      await options.processes?.run(['fallocate', '--length', String(sizeBytes), path])
      await writeZeros(file, fromBytes, options)
      await file.sync()
    } finally {
      await file.close()
    }
  } catch (error) {
    const remedy = 'Check that the file system is writable and has room.'
    throw problem('CACHE_CREATE', `cannot make the file longer path=${path} errno=${errnoName(error)}`, remedy, error)
  }
}

async function checkRoom(directory: string, sizeBytes: Bytes): Promise<void> {
  let free: Bytes
  try {
    const { bavail, bsize } = await fs.statfs(directory)
    free = bavail * bsize
  } catch (error) {
    const remedy = 'Make the directory first.'
    throw problem('CACHE_PATH', `no such directory path=${directory} errno=${errnoName(error)}`, remedy, error)
  }
  if (free >= sizeBytes) return
  const remedy = 'Free some space, choose another place or a smaller --cache-size.'
  throw problem('CACHE_NO_ROOM', `no room for the cache freeBytes=${free} wantedBytes=${sizeBytes}`, remedy)
}

async function layOut(temporary: string, sizeBytes: Bytes, options: CacheFileOptions): Promise<void> {
  const direct = options.resource === 'flash' ? constants.O_DIRECT : 0
  const file = await fs.open(temporary, constants.O_RDWR | constants.O_CREAT | constants.O_EXCL | direct, 0o600)
  try {
    // One long extent rather than many; a file system that cannot do it is served by the zeros below.
    await options.processes?.run(['fallocate', '--length', String(sizeBytes), temporary])
    await writeZeros(file, 0, { ...options, sizeBytes })
    await file.truncate(sizeBytes)
    await file.sync()
  } finally {
    await file.close()
  }
}

/** From `fromBytes` to the end. */
async function writeZeros(
  file: FileHandle,
  fromBytes: Bytes,
  options: CacheFileOptions & { readonly sizeBytes: Bytes },
): Promise<void> {
  const { sizeBytes } = options
  const zeros = options.memory.allocate(ZERO_CHUNK_BYTES)
  let next = fromBytes
  let done = fromBytes
  const worker = async (): Promise<void> => {
    while (next < sizeBytes) {
      const position = next
      const length = Math.min(ZERO_CHUNK_BYTES, sizeBytes - position)
      next += length
      await writeWhole(file, zeros.subarray(0, length), position)
      done += length
      options.onProgress?.(done, sizeBytes)
    }
  }
  await Promise.all(Array.from({ length: ZERO_WRITES_MAX }, worker))
}

async function writeWhole(file: FileHandle, data: Buffer, position: Bytes): Promise<void> {
  let written = 0
  while (written < data.length) {
    const { bytesWritten } = await file.write(data, written, data.length - written, position + written)
    if (bytesWritten === 0) throw problem('CACHE_CREATE', 'the disk takes no more bytes', 'Check the disk.')
    written += bytesWritten
  }
}

async function syncDirectory(path: string): Promise<void> {
  const directory = await fs.open(path, 'r')
  try {
    await directory.sync()
  } finally {
    await directory.close()
  }
}
