// One loop device in sysfs: is it bound and to what, its queue settings, its size. Settings of the queue and of the
// writeback (bdi) outlive a detach: whoever gets the device next inherits them. A volume in write-back needs
// `write through` (every acknowledged write is durable, so flushes are dropped); on a device of somebody else the same
// setting silently drops flushes that matter. Hence: set at every attach, restored before every detach.
import { CacheError } from '../../../base/errors.ts'
import type { Bytes } from '../../../base/units.ts'
import { MIB, SECTOR_BYTES } from '../../../base/units.ts'
import type { LoopHost } from './host.ts'
import { run } from './host.ts'

/** What queue/write_cache says: whether the block layer sends flushes. */
export type WriteCache = 'write back' | 'write through'

/** Ours, set at attach. */
const MAX_SECTORS_KB = 1024
const DIRTY_BYTES_MAX = 256 * MIB
/** As the kernel has it: more would turn every page fault of a mapped file into that much reading from the backing. */
const READ_AHEAD_KB = 128
/** The kernel's, restored before detach (drivers/block/loop.c, mm/backing-dev.c). */
const KERNEL_STRICT_LIMIT = 0
const KERNEL_MAX_RATIO = 100
const KERNEL_MAX_SECTORS_KB = 1280

export function nameOf(device: string): string {
  return device.slice(device.lastIndexOf('/') + 1)
}

function queuePath(device: string, attribute: string): string {
  return `/sys/block/${nameOf(device)}/queue/${attribute}`
}

/** Path of the file that the device is bound to; null when it is free or does not exist. */
export async function backingFileOf(host: LoopHost, device: string): Promise<string | null> {
  const text = await host.files.read(`/sys/block/${nameOf(device)}/loop/backing_file`)
  return text === null ? null : text.replace(/\n$/, '')
}

/** Whether the device is bound to a file of that name; ours are unique (volume and session). */
export async function isBoundTo(host: LoopHost, device: string, fileName: string): Promise<boolean> {
  return backsFile(await backingFileOf(host, device), fileName)
}

export function backsFile(backingFile: string | null, fileName: string): boolean {
  // The kernel appends a remark to the path of a file whose mount is gone.
  const path = backingFile?.replace(/ \(deleted\)$/, '') ?? ''
  return path.slice(path.lastIndexOf('/') + 1) === fileName
}

/** Every loop device that is bound to a file of that name. */
export async function devicesBoundTo(host: LoopHost, fileName: string): Promise<string[]> {
  const found: string[] = []
  for (const name of await host.files.list('/sys/block')) {
    if (/^loop\d+$/.test(name) && (await isBoundTo(host, name, fileName))) found.push(`/dev/${name}`)
  }
  return found
}

/**
 * Whether the block layer sends flushes from now on. Waits for all I/O in flight, so the engine must go on answering.
 * Throws IoError when the device is gone.
 */
export async function setWriteCache(host: LoopHost, device: string, mode: WriteCache): Promise<void> {
  await host.files.write(queuePath(device, 'write_cache'), mode)
  const now = (await host.files.read(queuePath(device, 'write_cache')))?.trim()
  if (now !== mode) {
    throw new CacheError(
      'retry',
      'CACHE_WRITE_CACHE',
      `the kernel kept write_cache device=${device} is=${now} wanted=${mode}`,
    )
  }
}

async function setIfPresent(host: LoopHost, path: string, value: number): Promise<void> {
  if ((await host.files.read(path)) === null) return
  try {
    await host.files.write(path, String(value))
  } catch (error) {
    // A limit more or less loses no data.
    host.log.event('loop.setting_refused', { path, value, error: String(error) }, 'warning')
  }
}

/** Queue and writeback settings of a volume. `write_cache` must be right before the device is shown to anybody. */
export async function applySettings(host: LoopHost, device: string, writeCache: WriteCache): Promise<void> {
  const bdi = `/sys/block/${nameOf(device)}/bdi`
  await setWriteCache(host, device, writeCache)
  // Larger requests would be split by FUSE into a full one and a remainder.
  await setIfPresent(host, queuePath(device, 'max_sectors_kb'), MAX_SECTORS_KB)
  await setIfPresent(host, queuePath(device, 'read_ahead_kb'), READ_AHEAD_KB)
  // A volume that stalls must not fill the dirty limit of the whole host.
  await setIfPresent(host, `${bdi}/strict_limit`, 1)
  await setIfPresent(host, `${bdi}/max_bytes`, DIRTY_BYTES_MAX)
}

/** Puts back what the kernel has on a fresh loop device. */
export async function restoreSettings(host: LoopHost, device: string): Promise<void> {
  const bdi = `/sys/block/${nameOf(device)}/bdi`
  await setWriteCache(host, device, 'write back')
  await setIfPresent(host, queuePath(device, 'max_sectors_kb'), KERNEL_MAX_SECTORS_KB)
  await setIfPresent(host, `${bdi}/strict_limit`, KERNEL_STRICT_LIMIT)
  await setIfPresent(host, `${bdi}/max_ratio`, KERNEL_MAX_RATIO)
}

/** Size of the device as everybody above sees it. */
export async function sizeOf(host: LoopHost, device: string): Promise<Bytes> {
  return Number((await host.files.read(`/sys/block/${nameOf(device)}/size`)) ?? 0) * SECTOR_BYTES
}

/** Takes over a new size of the file; tell the kernel of it first (FuseFrontend.sizeChanged). Throws CacheError. */
export async function resizeLoop(host: LoopHost, device: string, wantedBytes: Bytes): Promise<void> {
  await run(host, ['losetup', '--set-capacity', device])
  const sizeBytes = await sizeOf(host, device)
  if (sizeBytes === wantedBytes) return
  throw new CacheError(
    'retry',
    'CACHE_LOOP_SIZE',
    `the loop device kept its size bytes=${sizeBytes} wanted=${wantedBytes}`,
    {
      remedy:
        'This kernel does not look at the size of an open FUSE file again; the new size holds from the next serve.',
    },
  )
}
