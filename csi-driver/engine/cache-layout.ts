// What stands where on the cache storage, and how large the tables over it must be. Pure.
//   [superblocks 32 KiB][log ring][read-cache slots of 4 KiB …]
import type { Bytes } from '../../base/units.ts'
import { BLOCK_BYTES, roundDown, SECTOR_BYTES } from '../../base/units.ts'
import type { BatchLimits } from '../batch/batch-builder.ts'
import { BATCH_PAYLOAD_BYTES_MAX, frameBytesMaxFor } from '../batch/batch-format.ts'
import type { LogGeometry } from '../journal/journal.ts'
import { SUPERBLOCK_AREA_BYTES } from '../journal/journal.ts'
import { ExtentIndex } from './index/extent-index.ts'
import { ZeroRanges } from './index/zero-ranges.ts'
import { ReadCache } from './read-cache/read-cache.ts'

/** Records of the two batches that may be on their way when the limit of un-trimmed blocks is reached. */
const CAPACITY_SLACK_BLOCKS = 4096
const RECORD_BLOCKS_MIN = 1024

export function newGeometry(cacheBytes: Bytes, logBytes: Bytes, limits: BatchLimits | undefined): LogGeometry {
  return {
    logStart: SUPERBLOCK_AREA_BYTES,
    logBytes: roundDown(logBytes, BLOCK_BYTES),
    cacheBytes: roundDown(cacheBytes, BLOCK_BYTES),
    frameBytesMax: frameBytesMaxFor(limits?.payloadBytesMax ?? BATCH_PAYLOAD_BYTES_MAX),
  }
}

export interface CacheTables {
  readonly index: ExtentIndex
  readonly zeros: ZeroRanges
  readonly readCache: ReadCache
  readonly slotsStart: Bytes
  /** Blocks that un-trimmed records may touch: a replay must be able to index all of them. */
  readonly recordBlocksMax: number
}

/** Empty tables for a cache of this geometry. Index and read cache tell each other what they give up. */
export function makeTables(geometry: LogGeometry): CacheTables {
  const slotsStart = geometry.logStart + geometry.logBytes
  const slots = Math.max(0, Math.floor((geometry.cacheBytes - slotsStart) / BLOCK_BYTES))
  const recordBlocksMax = Math.max(RECORD_BLOCKS_MIN, Math.floor(geometry.logBytes / BLOCK_BYTES))
  const index: ExtentIndex = new ExtentIndex({
    capacityBlocks: slots + recordBlocksMax + CAPACITY_SLACK_BLOCKS,
    logEndSector: slotsStart / SECTOR_BYTES,
    fragmentsMax: ExtentIndex.fragmentsMaxFor(geometry.logBytes),
    onCleanGone: (slot) => readCache.release(slot),
  })
  const readCache: ReadCache = new ReadCache({ slots, onEvict: (block, slot) => index.dropClean(block, slot) })
  return { index, zeros: new ZeroRanges(), readCache, slotsStart, recordBlocksMax }
}
