// Opens an image file as a backing (a raw disk image, as on NFS). O_DIRECT where the file system has it for 512-byte
// transfers; otherwise buffered I/O, made durable by fdatasync. The open file carries a flock, so that no second engine
// writes the image, on another host neither (NFS passes it on), and so that a child of a crashed engine that still
// zeroes a range keeps its successor out until it has ended.
import { close, constants, fstat, read } from 'node:fs'
import { realpath } from 'node:fs/promises'
import { promisify } from 'node:util'

import { BLOCK_BYTES, roundUp, SECTOR_BYTES } from '../../../base/units.ts'
import { SystemAlignedMemory } from './aligned-memory.ts'
import { CLAIM_WAIT_MS, openDescriptor, openRefusal, refusal } from './block-device.ts'
import type { OpenBackingOptions, OpenedBacking } from './block-device.ts'
import { boundedId, fileIdentity, loopDeviceOf } from './block-sysfs.ts'
import { DescriptorBacking } from './descriptor-backing.ts'
import { errnoName } from './errno.ts'
import { canPunchHoles } from './zero-ranges.ts'

const fstatOf = promisify(fstat)

/** Exit code of `flock --nonblock` when somebody else holds the lock. */
const FLOCK_BUSY = 1

/** Throws CacheError 'invalid' (CACHE_BACKING_…); then nothing was changed and nothing is left open. */
export async function openImageFile(options: OpenBackingOptions): Promise<OpenedBacking> {
  const path = await realpath(options.path)
  const readOnly = options.readOnly === true
  const loop = readOnly ? null : await loopDeviceOf(path)
  if (loop !== null) {
    throw refusal(
      'IN_USE',
      `backing is in use: attached to a loop device path=${options.path} loop=${loop}`,
      `Detach it first: losetup -d ${loop}.`,
    )
  }
  const { fd, directIo } = await openProbed(path, readOnly)
  try {
    const sizeBytes = (await fstatOf(fd)).size
    if (sizeBytes < BLOCK_BYTES) {
      throw refusal(
        'EMPTY',
        `backing has no size path=${options.path} bytes=${sizeBytes}`,
        'Give it its size first: truncate -s SIZE.',
      )
    }
    if (!readOnly) await lock(options, fd)
    const target = { fd, name: options.path }
    const device = new DescriptorBacking({
      ...target,
      sizeBytes,
      alignmentBytes: SECTOR_BYTES,
      canZero: !readOnly && (await canPunchHoles(options.processes, target, roundUp(sizeBytes, BLOCK_BYTES))),
      processes: options.processes,
      readSize: async () => (await fstatOf(fd)).size,
    })
    const id = boundedId(await fileIdentity(path))
    return { device, identity: { kind: 'file', id, sizeBytes: device.sizeBytes }, directIo }
  } catch (error) {
    close(fd, () => {})
    throw error
  }
}

/** Some file systems refuse O_DIRECT at open (tmpfs before 6.6), some only for transfers below their own block. */
async function openProbed(path: string, readOnly: boolean): Promise<{ fd: number; directIo: boolean }> {
  const access = readOnly ? constants.O_RDONLY : constants.O_RDWR
  try {
    const fd = await openDescriptor(path, access | constants.O_DIRECT)
    if (await readsOneSector(fd)) return { fd, directIo: true }
    close(fd, () => {})
  } catch (error) {
    const code = errnoName(error)
    if (code !== 'EINVAL') throw openRefusal(path, code, error)
  }
  try {
    return { fd: await openDescriptor(path, access), directIo: false }
  } catch (error) {
    throw openRefusal(path, errnoName(error), error)
  }
}

function readsOneSector(fd: number): Promise<boolean> {
  const buffer = new SystemAlignedMemory().allocate(BLOCK_BYTES)
  return new Promise((resolve) => {
    read(fd, buffer, SECTOR_BYTES, SECTOR_BYTES, SECTOR_BYTES, (error) => resolve(error === null))
  })
}

/** Locks the open file description, which the flock program shares with us and leaves locked when it ends. */
async function lock({ processes, path, claimWaitMs = CLAIM_WAIT_MS }: OpenBackingOptions, fd: number): Promise<void> {
  const wait = claimWaitMs === 0 ? ['--nonblock'] : ['--timeout', String(claimWaitMs / 1000)]
  const result = await processes.run(['flock', '--exclusive', ...wait, '3'], { passFds: [fd] })
  if (result.exitCode === 0) return
  if (result.exitCode !== FLOCK_BUSY) {
    throw refusal(
      'LOCK',
      `backing cannot be locked path=${path} said="${result.stderr.trim()}"`,
      'Mount its file system with working locks (NFS: not nolock), and install util-linux.',
    )
  }
  throw refusal(
    'CLAIMED',
    `backing is in use: locked by another process path=${path}`,
    'Stop the engine that serves it, on another host perhaps.',
  )
}
