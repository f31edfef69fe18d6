// What one process and the places on disk that it writes to take up, read from /proc and the file system.
import { readdir, readFile, stat } from 'node:fs/promises'
import path from 'node:path'

export interface ProcessFigures {
  readonly residentBytes: number
  readonly openFiles: number
  /** Since its beginning: how long its main thread could have run and had no processor. */
  readonly waitedMs: number
}

/** Null when the process has ended. */
export async function processFigures(pid: number): Promise<ProcessFigures | null> {
  try {
    const [text, open, schedule] = await Promise.all([
      readFile(`/proc/${pid}/status`, 'utf8'),
      readdir(`/proc/${pid}/fd`),
      readFile(`/proc/${pid}/task/${pid}/schedstat`, 'utf8'),
    ])
    const kibibytes = /^VmRSS:\s+(\d+) kB$/m.exec(text)?.[1]
    // Time on a processor, time waiting for one, both in nanoseconds, and how often it got one.
    const waitedMs = Number(schedule.split(' ')[1]) / 1e6
    return kibibytes === undefined
      ? null
      : { residentBytes: Number(kibibytes) * 1024, openFiles: open.length, waitedMs }
  } catch (error) {
    // ESRCH: it ended between the opening and the reading of a file.
    if (['ENOENT', 'ESRCH'].includes((error as NodeJS.ErrnoException).code ?? '')) return null
    throw error
  }
}

export interface DiskFigures {
  readonly files: number
  /** Space that the file system has given to them. */
  readonly bytes: number
}

const BLOCK_BYTES = 512

/** Of all files below the directories, and of single files. What is removed meanwhile is not counted. */
export async function diskFigures(places: readonly string[]): Promise<DiskFigures> {
  const sums = await Promise.all(places.map((place) => figuresBelow(place)))
  return {
    files: sums.reduce((sum, { files }) => sum + files, 0),
    bytes: sums.reduce((sum, { bytes }) => sum + bytes, 0),
  }
}

async function figuresBelow(place: string): Promise<DiskFigures> {
  const found = await stat(place).catch(() => null)
  if (found === null) return { files: 0, bytes: 0 }
  if (!found.isDirectory()) return { files: 1, bytes: found.blocks * BLOCK_BYTES }
  const names = await readdir(place).catch((): string[] => [])
  return diskFigures(names.map((name) => path.join(place, name)))
}
