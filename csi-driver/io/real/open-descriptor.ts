// Opens a file or block device for transfers at positions and finds out its size and alignment. Node has no ioctl: the
// size of a block device comes from sysfs, its alignment from a trial read.
import { close, constants, open, promises as fs, read } from 'node:fs'
import { promisify } from 'node:util'
import { CacheError } from '../../../base/errors.ts'
import type { Bytes } from '../../../base/units.ts'
import { BLOCK_BYTES, SECTOR_BYTES } from '../../../base/units.ts'
import type { AlignedMemory } from '../storage.ts'
import { deviceNumber, readBlockFacts } from './block-sysfs.ts'
import { errnoName } from './errno.ts'

const openFile = promisify(open)
const closeFile = promisify(close)

export interface OpenOptions {
  readonly path: string
  readonly access: 'read-only' | 'read-write'
  /** Past the page cache; refused with CACHE_NO_DIRECT_IO where the file system cannot. */
  readonly direct: boolean
  /** Each write is durable when it is done. */
  readonly durable: boolean
  readonly memory: AlignedMemory
  /** A second descriptor beside one that claims the block device already. */
  readonly alreadyClaimed?: boolean
}

export interface OpenedDescriptor {
  readonly fd: number
  readonly sizeBytes: Bytes
  readonly alignmentBytes: Bytes
  readonly isBlockDevice: boolean
}

function flagsOf(options: OpenOptions, isBlockDevice: boolean): number {
  const access = options.access === 'read-only' ? constants.O_RDONLY : constants.O_RDWR
  // On a block device O_EXCL claims it: nobody mounts it meanwhile, and what is mounted cannot be claimed.
  const claim =
    isBlockDevice && options.access === 'read-write' && options.alreadyClaimed !== true ? constants.O_EXCL : 0
  return access | claim | (options.direct ? constants.O_DIRECT : 0) | (options.durable ? constants.O_DSYNC : 0)
}

function openFailure(path: string, error: unknown): CacheError {
  const code = errnoName(error)
  const remedies: Readonly<Record<string, readonly [`CACHE_${string}`, string]>> = {
    EBUSY: ['CACHE_DEVICE_BUSY', 'Unmount it, or stop whoever uses it (see lsblk and fuser).'],
    EINVAL: ['CACHE_NO_DIRECT_IO', 'Choose a file system with O_DIRECT (ext4, xfs) or a raw partition.'],
    EACCES: ['CACHE_PERMISSION', 'Run as root.'],
    EPERM: ['CACHE_PERMISSION', 'Run as root.'],
    ENOENT: ['CACHE_PATH', 'Check the path.'],
    EROFS: ['CACHE_READ_ONLY', 'The file system is mounted read-only; choose another or mount it writable.'],
  }
  const [name, remedy] = remedies[code] ?? ['CACHE_OPEN', 'Check the path and the device.']
  return new CacheError('invalid', name, `cannot open path=${path} errno=${code}`, { remedy, cause: error })
}

function tryRead(fd: number, buffer: Buffer, length: Bytes): Promise<string | null> {
  return new Promise((resolve) => {
    read(fd, buffer, 0, length, 0, (error) => resolve(error === null ? null : errnoName(error)))
  })
}

/** The smallest of 512 and 4096 that direct I/O accepts; 512 without it. */
async function findAlignment(fd: number, options: OpenOptions): Promise<Bytes> {
  if (!options.direct) return SECTOR_BYTES
  const buffer = options.memory.allocate(BLOCK_BYTES)
  for (const length of [SECTOR_BYTES, BLOCK_BYTES]) {
    if ((await tryRead(fd, buffer, length)) !== 'EINVAL') return length
  }
  throw openFailure(options.path, Object.assign(new Error('direct reads are refused'), { code: 'EINVAL' }))
}

/** Opens `path`. The caller owns the descriptor. Throws CacheError `invalid`. */
export async function openDescriptor(options: OpenOptions): Promise<OpenedDescriptor> {
  let fd: number | null = null
  try {
    const stat = await fs.stat(options.path)
    const isBlockDevice = stat.isBlockDevice()
    fd = await openFile(options.path, flagsOf(options, isBlockDevice))
    const sizeBytes = isBlockDevice ? (await readBlockFacts(deviceNumber(stat.rdev))).sizeBytes : stat.size
    return { fd, sizeBytes, alignmentBytes: await findAlignment(fd, options), isBlockDevice }
  } catch (error) {
    if (fd !== null) await closeFile(fd)
    throw error instanceof CacheError ? error : openFailure(options.path, error)
  }
}
