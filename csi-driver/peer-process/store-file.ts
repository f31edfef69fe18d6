// The storage of a replica store on this host: made if it is missing, made longer if --size has grown, opened, and
// looked at before anything is written to it. What stands in it is the store's business (replica/store).
import type { EventLog } from '../../base/log.ts'
import { BLOCK_BYTES, type Bytes } from '../../base/units.ts'
import { SystemAlignedMemory } from '../io/real/aligned-memory.ts'
import { type CacheFileOptions, growCacheFile, openCacheStorage } from '../io/real/cache-file.ts'
import { RealProcesses } from '../io/real/exec.ts'
import { systemClock, systemTimers } from '../io/real/system-clock.ts'
import type { Storage } from '../io/storage.ts'
import type { PeerPlan } from '../cli/peer-settings.ts'
import { probeStore, refuseForeign } from '../replica/store/store-disk.ts'

export interface OpenedStoreFile {
  readonly storage: Storage
  readonly memory: SystemAlignedMemory
  /** Nothing is there, so a new store loses nothing. */
  readonly empty: boolean
}

/** Throws CacheError `invalid`. */
export async function openStoreFile(plan: PeerPlan, log: EventLog): Promise<OpenedStoreFile> {
  const memory = new SystemAlignedMemory()
  const { path } = plan.store
  const options = {
    path,
    sizeBytes: plan.sizeBytes,
    resource: plan.settings.resource,
    clock: systemClock,
    timers: systemTimers,
    memory,
    processes: new RealProcesses(),
    onProgress: progress(log),
  }
  if (plan.store.kind === 'file' && plan.store.sizeBytes > 0 && plan.store.sizeBytes < plan.sizeBytes) {
    await refuseToGrowForeign(options, plan.store.sizeBytes)
    await growCacheFile(options)
  }
  const { storage, sparse } = await openCacheStorage(options)
  if (sparse)
    log.event('peer.store.sparse', { path, advice: 'writes are slow until its space is allocated' }, 'warning')
  const { kind } = await probeStore(storage, memory)
  return { storage, memory, empty: kind === 'empty' }
}

/**
 * What is no store stays as it is, its length included. What is ours ends with a block; behind the last whole block of a
 * file nothing is looked at, and growing would write zeros over it.
 */
async function refuseToGrowForeign(options: CacheFileOptions, sizeBytes: Bytes): Promise<void> {
  if (sizeBytes % BLOCK_BYTES !== 0) refuseForeign(options.path)
  const { storage } = await openCacheStorage(options)
  try {
    const { kind } = await probeStore(storage, options.memory)
    if (kind === 'foreign') refuseForeign(options.path)
  } finally {
    await new Promise((resolve) => storage.close(resolve))
  }
}

/** Laying a store out takes a while: says how far it is, every tenth. */
function progress(log: EventLog): (doneBytes: number, totalBytes: number) => void {
  let told = 0
  return (doneBytes, totalBytes) => {
    const tenth = Math.floor((doneBytes * 10) / totalBytes)
    if (tenth <= told) return
    told = tenth
    log.event('peer.store.laying_out', { doneBytes, totalBytes })
  }
}
