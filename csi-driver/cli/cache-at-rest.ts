// Opens a cache for looking: read-only, without claiming it. What `inspect` and `verify` share.
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

type CacheProbe = Awaited<ReturnType<typeof probeCache>>

/** Throws CacheError `invalid` where there is nothing of Forebay. */
export async function openCacheAtRest(given: string): Promise<CacheAtRest> {
  const { path, kind, identity } = await readPathFacts(given, await readHostTables())
  if (kind !== 'file' && kind !== 'block') {
    const what = kind === 'missing' ? 'nothing' : `a ${kind}`
    throw new CacheError('invalid', 'CACHE_PATH', `not a cache path=${given} found="${what}"`, {
      remedy: 'Give what was given to `forebay serve --cache`.',
    })
  }
  const { storage, memory, probe } = await probePath(path)
  if (probe.kind === 'empty' || probe.kind === 'foreign') {
    throw new CacheError('invalid', 'CACHE_NOT_OURS', `holds no Forebay cache path=${given} found=${probe.kind}`, {
      remedy: 'Give what was given to `forebay serve --cache`.',
    })
  }
  const superblock = probe.kind === 'forebay' ? probe.superblock : null
  return { storage, memory, superblock, served: identity !== null && (await lockIsHeld(storageLockFile(identity))) }
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
