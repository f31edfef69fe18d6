// Opens a cache, or whatever stands at a path, for looking: read-only, without claiming it. What `inspect` and `verify`
// share.
import { CacheError } from '../../base/errors.ts'
import type { Superblock } from '../journal/journal.ts'
import { probeCache } from '../journal/journal.ts'
import { CACHE_HEADER_BYTES } from '../config.ts'
import { storageLockFile } from '../holder/run-directory.ts'
import { SystemAlignedMemory } from '../io/real/aligned-memory.ts'
import { FileStorage } from '../io/real/file-storage.ts'
import { openDescriptor } from '../io/real/open-descriptor.ts'
import { systemClock } from '../io/real/system-clock.ts'
import type { Storage } from '../io/storage.ts'
import { lockIsHeld } from './held-locks.ts'
import { waitingTimers } from './loop-host.ts'
import { readHostTables, readPathFacts } from './path-facts.ts'

export interface CacheAtRest {
  readonly storage: Storage
  readonly memory: SystemAlignedMemory
  /** Null where no slot is valid. */
  readonly superblock: Superblock | null
  /** Somebody serves it at this moment, so that what is read may be torn. */
  readonly served: boolean
}

/** What cannot even hold the superblocks. */
const TOO_SHORT = { kind: 'foreign' } as const

const REMEDY = 'Give what was given to `forebay serve --cache` or `forebay peer --store`.'

type CacheProbe = Awaited<ReturnType<typeof probeCache>>

/** Throws CacheError `invalid` where there is no cache of Forebay. */
export async function openCacheAtRest(given: string): Promise<CacheAtRest> {
  const { storage, memory, probe, served } = await openPathAtRest(given)
  if (probe.kind === 'empty' || probe.kind === 'foreign') throw notOurs('cache', given, probe.kind)
  return { storage, memory, superblock: probe.kind === 'forebay' ? probe.superblock : null, served }
}

/** Throws CacheError `invalid` where there is neither a file nor a block device. */
export async function openPathAtRest(given: string): Promise<ProbedPath & { readonly served: boolean }> {
  const { path, kind, identity } = await readPathFacts(given, await readHostTables())
  if (kind !== 'file' && kind !== 'block') {
    const what = kind === 'missing' ? 'nothing' : `a ${kind}`
    throw new CacheError(
      'invalid',
      'CACHE_PATH',
      `no cache is here, and nothing else of Forebay path=${given} found="${what}"`,
      {
        remedy: REMEDY,
      },
    )
  }
  return { ...(await probePath(path)), served: identity !== null && (await lockIsHeld(storageLockFile(identity))) }
}

export function notOurs(what: string, path: string, found: string): CacheError {
  return new CacheError('invalid', 'CACHE_NOT_OURS', `holds no Forebay ${what} path=${path} found=${found}`, {
    remedy: REMEDY,
  })
}

export interface ProbedPath {
  readonly storage: FileStorage
  readonly memory: SystemAlignedMemory
  readonly probe: CacheProbe
  readonly kind: CacheProbe['kind']
}

/** What stands at a path, read without claiming it. */
export async function probePath(path: string): Promise<ProbedPath> {
  const memory = new SystemAlignedMemory()
  const opened = await openDescriptor({ path, access: 'read-only', direct: false, durable: false, memory })
  const storage = new FileStorage({ ...opened, name: path, sync: 'always', clock: systemClock, timers: waitingTimers })
  const probe = storage.sizeBytes < CACHE_HEADER_BYTES ? TOO_SHORT : await probeCache(storage, memory)
  return { storage, memory, probe, kind: probe.kind }
}
