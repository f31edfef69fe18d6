// SmallFiles over fs.promises. A read of /proc meets processes that end meanwhile, one of /sys devices that go away: what is
// gone reads as null or empty.
import { promises as fs } from 'node:fs'
import { dirname } from 'node:path'
import type { SmallFiles } from '../files.ts'
import { errnoName, toIoError } from './errno.ts'

// ENODEV: an attribute of sysfs whose device went away between open and read (kernfs_fop_read_iter, fs/kernfs/file.c).
const GONE = new Set(['ENOENT', 'ENOTDIR', 'ESRCH', 'ENODEV'])
const UNREADABLE_LINK = new Set([...GONE, 'EINVAL', 'EACCES', 'EPERM'])

async function unless<T>(tolerated: ReadonlySet<string>, path: string, act: () => Promise<T>): Promise<T | null> {
  try {
    return await act()
  } catch (error) {
    if (tolerated.has(errnoName(error))) return null
    throw toIoError(error, `file call failed path=${path}`)
  }
}

const NOTHING: ReadonlySet<string> = new Set()

/** The last exchange of each path that is not over yet. */
const exchanges = new Map<string, Promise<unknown>>()

/** Exchanges of one path share the name of the new file: each waits for the one before it, and the last one stays. */
async function inTurn(path: string, exchange: () => Promise<void>): Promise<void> {
  const mine = (exchanges.get(path) ?? Promise.resolve()).then(() => unless(NOTHING, path, exchange))
  const over = mine.catch(() => undefined)
  exchanges.set(path, over)
  await over
  if (exchanges.get(path) === over) exchanges.delete(path)
  await mine
}

async function writeOnce(path: string, text: string): Promise<void> {
  const file = await fs.open(path, 'r+')
  try {
    await file.write(Buffer.from(text))
  } finally {
    await file.close()
  }
}

async function syncPath(path: string): Promise<void> {
  const file = await fs.open(path, 'r')
  try {
    await file.sync()
  } finally {
    await file.close()
  }
}

export const systemFiles: SmallFiles = {
  read: (path) => unless(GONE, path, () => fs.readFile(path, 'utf8')),
  async write(path, text) {
    await unless(NOTHING, path, () => writeOnce(path, text))
  },
  async replace(path, text) {
    await inTurn(path, async () => {
      const temporary = `${path}.new`
      await fs.writeFile(temporary, text)
      await syncPath(temporary)
      await fs.rename(temporary, path)
      await syncPath(dirname(path))
    })
  },
  list: async (path) => (await unless(GONE, path, () => fs.readdir(path))) ?? [],
  readLink: (path) => unless(UNREADABLE_LINK, path, () => fs.readlink(path)),
  async replaceLink(path, target) {
    await inTurn(path, async () => {
      const temporary = `${path}.new`
      await fs.rm(temporary, { force: true })
      await fs.symlink(target, temporary)
      await fs.rename(temporary, path)
    })
  },
  async makeDirectory(path) {
    await unless(NOTHING, path, () => fs.mkdir(path, { recursive: true }))
  },
  async remove(path) {
    await unless(GONE, path, async () => {
      const stat = await fs.lstat(path)
      await (stat.isDirectory() ? fs.rmdir(path) : fs.unlink(path))
    })
  },
}
