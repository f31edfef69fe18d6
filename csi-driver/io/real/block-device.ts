// Opens a block device as a backing: O_DIRECT, and O_EXCL so that nobody mounts it or puts it into a volume group
// meanwhile. Every refusal names who stands in the way and what to do; nothing is written before it.
import { constants, open } from 'node:fs'
import { readdir, realpath, stat } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'

import { CacheError } from '../../../base/errors.ts'
import type { Ms } from '../../../base/units.ts'
import type { BackingIdentity } from '../backing-identity.ts'
import type { Processes } from '../process.ts'
import type { BackingStorage } from '../storage.ts'
import { blockIdentity, blockUser, boundedId, deviceNumber, loopDeviceOf, readBlockFacts } from './block-sysfs.ts'
import type { BlockFacts } from './block-sysfs.ts'
import { DescriptorBacking } from './descriptor-backing.ts'
import { errnoName } from './errno.ts'

export interface OpenBackingOptions {
  readonly path: string
  readonly processes: Processes
  /** For `verify` and `inspect`: opened for reading, without a claim. */
  readonly readOnly?: boolean
  /** Where the stable names of accelerated devices stand; one of them is not taken as a backing. */
  readonly deviceDirectory?: string
  /** How long a claim is waited for that nobody visible holds; CLAIM_WAIT_MS unless given, 0 for a mere look. */
  readonly claimWaitMs?: Ms
}

export interface OpenedBacking {
  readonly device: BackingStorage
  readonly identity: BackingIdentity
  /** False: the page cache stands in between (a file system without O_DIRECT). */
  readonly directIo: boolean
}

/** How long a claim that nobody visible holds is waited for: a predecessor's last child is on its way out. */
export const CLAIM_WAIT_MS: Ms = 10_000
const CLAIM_RETRY_MS: Ms = 100
const DEVICE_DIRECTORY = '/dev/forebay'

/** Throws CacheError 'invalid' (CACHE_BACKING_…); then nothing was changed and nothing is left open. */
export async function openBlockDevice(options: OpenBackingOptions): Promise<OpenedBacking> {
  const { path } = options
  const number = deviceNumber((await stat(path, { bigint: true })).rdev)
  const facts = await readBlockFacts(number)
  if (options.readOnly !== true) await refuseUnsuitable(options, facts)
  if (facts.sizeBytes === 0) {
    throw refusal('EMPTY', `backing has no size path=${path}`, 'Give a device that is attached and not empty.')
  }
  const { O_DIRECT, O_RDWR, O_RDONLY, O_EXCL } = constants
  const flags = options.readOnly === true ? O_RDONLY | O_DIRECT : O_RDWR | O_DIRECT | O_EXCL
  const fd = await claim(path, facts, { flags, waitMs: options.claimWaitMs ?? CLAIM_WAIT_MS })
  const device = new DescriptorBacking({
    fd,
    name: path,
    sizeBytes: facts.sizeBytes,
    alignmentBytes: facts.logicalBlockBytes,
    canZero: facts.canZero && options.readOnly !== true,
    processes: options.processes,
    readSize: async () => (await readBlockFacts(number)).sizeBytes,
  })
  const id = boundedId(await blockIdentity(facts.directory))
  return { device, identity: { kind: 'block', id, sizeBytes: device.sizeBytes }, directIo: true }
}

async function refuseUnsuitable(options: OpenBackingOptions, facts: BlockFacts): Promise<void> {
  const { path } = options
  if (facts.readOnly) {
    throw refusal(
      'READ_ONLY',
      `backing is read-only path=${path}`,
      'Make it writable: blockdev --setrw, or its storage.',
    )
  }
  const volume = await volumeOfDevice(options.deviceDirectory ?? DEVICE_DIRECTORY, path)
  if (volume !== null) {
    throw refusal(
      'IS_ACCELERATED',
      `backing is itself the accelerated device of a volume path=${path} volume=${volume}`,
      'Give the device behind that volume, or another one.',
    )
  }
  const loop = await loopDeviceOf(path)
  if (loop !== null) {
    throw refusal(
      'IN_USE',
      `backing is in use: attached to a loop device path=${path} loop=${loop}`,
      `Detach it first: losetup -d ${loop}.`,
    )
  }
}

/** The volume whose stable name leads to this device, or null. */
async function volumeOfDevice(directory: string, path: string): Promise<string | null> {
  try {
    const real = await realpath(path)
    for (const name of await readdir(directory)) {
      // oxlint-disable-next-line eslint/no-await-in-loop
      if ((await realpath(`${directory}/${name}`).catch(() => '')) === real) return name
    }
  } catch {
    // No such directory: no volume is served here.
  }
  return null
}

async function claim(path: string, facts: BlockFacts, how: { flags: number; waitMs: Ms }): Promise<number> {
  for (let waitedMs = 0; ; waitedMs += CLAIM_RETRY_MS) {
    try {
      // oxlint-disable-next-line eslint/no-await-in-loop
      return await openDescriptor(path, how.flags)
    } catch (error) {
      // oxlint-disable-next-line eslint/no-await-in-loop
      const failure = await explain(path, facts, error)
      const mayEnd = failure.code === 'CACHE_BACKING_CLAIMED'
      if (!mayEnd || waitedMs >= how.waitMs) throw failure
    }
    // oxlint-disable-next-line eslint/no-await-in-loop
    await sleep(CLAIM_RETRY_MS)
  }
}

/** A bare descriptor: a FileHandle would close it when it is collected. */
export function openDescriptor(path: string, flags: number): Promise<number> {
  return new Promise((resolve, reject) => {
    open(path, flags, (error, fd) => (error === null ? resolve(fd) : reject(error)))
  })
}

async function explain(path: string, facts: BlockFacts, error: unknown): Promise<CacheError> {
  const code = errnoName(error)
  if (code !== 'EBUSY') return openRefusal(path, code, error)
  const user = await blockUser(facts.directory)
  if (user === null) {
    return refusal(
      'CLAIMED',
      `backing is in use: claimed exclusively by a process path=${path}`,
      `Stop the process that has it open: fuser -v ${path} names it.`,
    )
  }
  return refusal(
    'IN_USE',
    `backing is in use: ${user} path=${path}`,
    'Unmount or release it first; the volume is then mounted through Forebay.',
  )
}

/** The refusal for an open that failed with `code`; shared with image-file.ts. */
export function openRefusal(path: string, code: string, cause: unknown): CacheError {
  if (code === 'EROFS') {
    return refusal(
      'READ_ONLY',
      `backing is read-only path=${path}`,
      'Make it, or the file system it lies on, writable.',
    )
  }
  if (code === 'EACCES' || code === 'EPERM') {
    return refusal('NOT_PERMITTED', `backing may not be opened path=${path} errno=${code}`, 'Run as root.')
  }
  if (code === 'ENOENT' || code === 'ENOTDIR') {
    return refusal(
      'MISSING',
      `backing does not exist path=${path}`,
      'Check the path; --backing takes a block device or an image file.',
    )
  }
  return new CacheError('invalid', 'CACHE_BACKING_OPEN', `backing cannot be opened path=${path} errno=${code}`, {
    remedy: 'See the kernel log for what is wrong with the device.',
    cause,
  })
}

export function refusal(code: string, message: string, remedy: string): CacheError {
  return new CacheError('invalid', `CACHE_BACKING_${code}`, message, { remedy })
}
