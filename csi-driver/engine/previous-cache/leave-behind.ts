// What an engine leaves behind at the end of a planned move: the index of all that is clean in its read cache. Clean is
// what equals the backing, durably, so whatever the log still holds is left out, also in part.
import { BLOCK_BYTES, SECTOR_BYTES, SECTORS_PER_BLOCK } from '../../../base/units.ts'
import type { RegisterRecord } from '../../register/record.ts'
import type { EngineCore } from '../engine-core.ts'
import { FULL_MASK } from '../index/sector-mask.ts'
import { type CacheIndex, INDEX_BLOCKS_MAX } from './cache-index.ts'

export interface LeftBehind {
  readonly index: CacheIndex
  /** 32 bytes; the readers prove that they have it. */
  readonly volumeKey: Buffer
  /** Blocks for which the index had no room. */
  readonly leftOut: number
}

/** `record` is the register's after the move. Null: it is not that of a volume that was moved, or the cache has failed. */
export function leaveBehind(core: EngineCore, record: RegisterRecord | null, to: string): LeftBehind | null {
  if (record === null || core.cacheFailure !== null || !wasLeft(core, record, to)) return null
  const { storeUuid, incarnation } = core.journal.superblock
  const { entries, hashOfSlot, leftOut } = cleanBlocks(core)
  // Numbers sort as block, then slot.
  entries.sort()
  const blocks = new Uint32Array(entries.length)
  const slots = new Uint32Array(entries.length)
  const hashes = new Uint32Array(entries.length)
  entries.forEach((entry, i) => {
    const slot = Number(entry & 0xffff_ffffn)
    blocks[i] = Number(entry >> 32n)
    slots[i] = slot
    hashes[i] = hashOfSlot[slot] as number
  })
  const index: CacheIndex = {
    ...{ volume: record.volume, volumeUuid: record.volumeUuid, storeUuid, incarnation, movedTo: to },
    ...{ epochLeft: core.epoch, registerRv: record.rv, wallMs: core.ports.clock.wallMs() },
    ...{ slotsStart: core.slotsStartSector * SECTOR_BYTES, slotCount: core.readCache.slots },
    ...{ blocks, slots, hashes },
  }
  return { index, volumeKey: Buffer.from(record.volumeKey, 'hex'), leftOut }
}

/** Closed clean under our epoch, or handed over to `to`, and nothing else has happened since. */
function wasLeft(core: EngineCore, { phase, epoch, owner }: RegisterRecord, to: string): boolean {
  if (phase === 'Detached') return epoch === core.epoch && owner === core.settings.node && !core.dirty
  return epoch === core.epoch + 1 && owner === to
}

function cleanBlocks(core: EngineCore): { entries: BigUint64Array; hashOfSlot: Uint32Array; leftOut: number } {
  const { index, readCache, zeros } = core
  const entries = new BigUint64Array(Math.min(readCache.used, INDEX_BLOCKS_MAX))
  const hashOfSlot = new Uint32Array(readCache.slots)
  const wholeBlocks = Math.floor(core.sizeBytes / BLOCK_BYTES)
  let count = 0
  let leftOut = 0
  index.forEachFragment(({ block, base, valid, orig, hash, dirty }) => {
    const start = block * SECTORS_PER_BLOCK
    const isWhole = valid === FULL_MASK && orig === FULL_MASK && block < wholeBlocks
    if (dirty || !isWhole || zeros.overlaps(start, start + SECTORS_PER_BLOCK)) return
    if (count === entries.length) {
      leftOut += 1
      return
    }
    const slot = core.slotOf(base)
    hashOfSlot[slot] = hash
    entries[count] = (BigInt(block) << 32n) | BigInt(slot)
    count += 1
  })
  return { entries: entries.slice(0, count), hashOfSlot, leftOut }
}
