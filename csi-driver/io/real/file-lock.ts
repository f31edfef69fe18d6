// flock(2) by way of flock(1): Node has no call for it. The program locks a descriptor that it shares with us and ends;
// the lock stays with the descriptor, so it is ours until we close it or die.
import { constants, promises as fs } from 'node:fs'
import type { FileHandle } from 'node:fs/promises'
import { dirname } from 'node:path'
import { CacheError } from '../../../base/errors.ts'
import type { Processes } from '../process.ts'
import { errnoName } from './errno.ts'

const FLOCK_TIME_LIMIT_MS = 10_000
/** flock(1): the lock is held by somebody else. */
const HELD = 1

export interface FileLock {
  /** Lets others in. */
  release(): Promise<void>
  /** Leaves a line for whoever finds the lock held. */
  note(text: string): Promise<void>
}

/**
 * Takes the lock of `path` without waiting, making the file if `make`. Lock files are never removed: a removed one
 * could be locked twice. 'held': by somebody else. 'missing': there is no file, so nobody can hold it.
 */
export async function takeFileLock(
  processes: Processes,
  path: string,
  make: boolean,
): Promise<FileLock | 'held' | 'missing'> {
  const file = await openLockFile(path, make)
  if (file === null) return 'missing'
  const { exitCode, stderr } = await processes.run(['flock', '--nonblock', '3'], {
    passFds: [file.fd],
    timeoutMs: FLOCK_TIME_LIMIT_MS,
  })
  if (exitCode === 0) {
    return {
      release: () => file.close(),
      note: async (text) => {
        await file.truncate(0)
        await file.write(text, 0)
      },
    }
  }
  await file.close()
  if (exitCode === HELD) return 'held'
  throw new CacheError('retry', 'CACHE_LOCK', `cannot lock file=${path} exit=${exitCode} said=${stderr.trim()}`, {
    remedy: 'The program flock (Debian package util-linux) is needed.',
  })
}

async function openLockFile(path: string, make: boolean): Promise<FileHandle | null> {
  try {
    if (make) await fs.mkdir(dirname(path), { recursive: true })
    return await fs.open(path, constants.O_RDWR | (make ? constants.O_CREAT : 0), 0o600)
  } catch (error) {
    if (!make && errnoName(error) === 'ENOENT') return null
    throw new CacheError('invalid', 'CACHE_LOCK', `cannot open the lock file=${path} errno=${errnoName(error)}`, {
      remedy: 'Run it as root.',
      cause: error,
    })
  }
}
