// What an open volume tells about itself, as plain values.
import type { Bytes, Epoch, Ms, Run } from '../../base/units.ts'
import { SECTOR_BYTES } from '../../base/units.ts'
import type { Phase } from '../register/record.ts'
import type { Admission } from './admission.ts'
import type { EngineCore, EngineCounters } from './engine-core.ts'
import type { PreviousCacheStatus } from './previous-cache/previous-source.ts'
import type { WritePolicy } from './volume-settings.ts'

export interface EngineStatus {
  /** 32 hexadecimal digits; as the register has it. */
  readonly volumeUuid: string
  readonly phase: Phase
  readonly epoch: Epoch
  readonly run: Run
  /** What the user asked for. */
  readonly writePolicy: WritePolicy
  /** How writes are acknowledged now. */
  readonly effectiveWritePolicy: WritePolicy
  /** Why the two differ or the volume is not healthy; empty otherwise. */
  readonly reason: string
  readonly dirtyBytes: Bytes
  /** Zeroed ranges that are not on the backing yet. */
  readonly dirtyZeroedBytes: Bytes
  readonly dirtyLimitBytes: Bytes
  readonly oldestDirtyMs: Ms
  readonly logBytes: Bytes
  readonly logUsedBytes: Bytes
  readonly cachedBlocks: number
  readonly cacheSlots: number
  readonly indexBytes: Bytes
  readonly parkedRequests: number
  readonly writerStalls: number
  readonly writerDelayMs: Ms
  /** Wall time since when the backing fails or does not answer; null when all is well. */
  readonly backingFailingSinceMs: Ms | null
  readonly backingError: string
  readonly backingFull: boolean
  readonly cacheFailure: string
  readonly registerError: string
  /** Reads from the cache of the owner before; null where nobody has moved the volume here. */
  readonly previousCache: PreviousCacheStatus | null
  readonly counters: Readonly<EngineCounters>
}

export interface StatusSources {
  readonly core: EngineCore
  readonly policy: WritePolicy
  readonly admission: Admission
  readonly parked: number
  readonly oldestDirtyMs: Ms
  readonly registerError: string
}

export function engineStatus({
  core,
  policy,
  admission,
  parked,
  oldestDirtyMs,
  registerError,
}: StatusSources): EngineStatus {
  const { health } = core.backing
  return {
    volumeUuid: core.journal.superblock.volumeUuid,
    phase: core.phase,
    epoch: core.epoch,
    run: core.run,
    writePolicy: policy,
    effectiveWritePolicy: core.phase === 'WriteBack' ? 'write-back' : 'write-through',
    reason: core.reason,
    dirtyBytes: core.dirtyBytes,
    dirtyZeroedBytes: core.zeros.sectors * SECTOR_BYTES,
    dirtyLimitBytes: core.settings.dirtyLimitBytes,
    oldestDirtyMs,
    logBytes: core.journal.usedBytes + core.journal.freeBytes,
    logUsedBytes: core.journal.usedBytes,
    cachedBlocks: core.readCache.used,
    cacheSlots: core.readCache.slots,
    indexBytes: core.index.bytes,
    parkedRequests: parked,
    writerStalls: admission.stalls,
    writerDelayMs: admission.delayedMs,
    backingFailingSinceMs: health.failingSinceWallMs ?? health.notAnsweringSinceWallMs,
    backingError: health.lastError ?? '',
    backingFull: health.full,
    cacheFailure: core.cacheFailure ?? '',
    registerError: registerError === 'none' ? '' : registerError,
    previousCache: core.previous?.status() ?? null,
    counters: core.counters,
  }
}
