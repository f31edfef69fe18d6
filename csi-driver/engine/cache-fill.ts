// Puts clean blocks into the read cache after a miss. The danger is the race with writers: a fill that read the backing
// before a write and stores its copy after it would serve old data for ever. So every fill is in a table while it is
// under way, any backing write that starts or ends over its block poisons it, and it enters the index only if the index
// knows nothing of the block by then.
import type { IoError } from '../../base/errors.ts'
import type { BlockNumber, Bytes } from '../../base/units.ts'
import { BLOCK_BYTES, SECTOR_BYTES, SECTORS_PER_BLOCK } from '../../base/units.ts'
import { xxhash64Low32 } from '../../base/xxhash64.ts'
import type { IoDone } from '../io/storage.ts'
import type { EngineCore } from './engine-core.ts'
import { maskInside } from './index/sector-mask.ts'

/** Blocks being filled at one time: 1 MiB of buffers. More misses than that are served but not cached. */
export const FILLS_MAX = 256

export class Fill {
  block: BlockNumber = 0
  readonly buffer: Buffer
  poisoned = false
  slot = -1
  slotGeneration = 0
  hash = 0
  readonly stored: IoDone

  constructor(buffer: Buffer, onStored: (fill: Fill, error: IoError | null) => void) {
    this.buffer = buffer
    this.stored = (error) => onStored(this, error)
  }
}

export class CacheFills {
  private readonly core: EngineCore
  private readonly free: Fill[] = []
  private readonly underWay = new Map<BlockNumber, Fill>()
  private made = 0
  /** Blocks that entered the cache, and those that a writer made worthless on the way. */
  stored = 0
  poisonedCount = 0

  constructor(core: EngineCore) {
    this.core = core
  }

  get active(): number {
    return this.underWay.size
  }

  /** Announces that `block` is about to be read from the backing to be cached; null when it should not or cannot be. */
  begin(block: BlockNumber): Fill | null {
    const { core } = this
    const position = block * BLOCK_BYTES
    if (core.cacheFailure !== null || position + BLOCK_BYTES > core.sizeBytes) return null
    if (this.underWay.has(block) || core.backing.overlapsWrite(position, BLOCK_BYTES) || !this.isUnknown(block))
      return null
    const fill = this.take()
    if (fill === null) return null
    fill.block = block
    fill.poisoned = false
    fill.slot = -1
    this.underWay.set(block, fill)
    return fill
  }

  /** The block's 4096 bytes are in fill.buffer: stores them. The fill must not be used by the caller afterwards. */
  store(fill: Fill): void {
    const { core } = this
    if (fill.poisoned || core.cacheFailure !== null || !this.isUnknown(fill.block)) {
      this.drop(fill)
      return
    }
    const slot = core.readCache.insert(fill.block)
    if (slot < 0) {
      this.drop(fill)
      return
    }
    // Nobody else may write the slot while this write is under way.
    core.readCache.pin(slot)
    fill.slot = slot
    fill.slotGeneration = core.readCache.generationOf(slot)
    fill.hash = xxhash64Low32(fill.buffer, 0, BLOCK_BYTES)
    core.ports.cacheFill.write(fill.buffer, 0, BLOCK_BYTES, core.slotSector(slot) * SECTOR_BYTES, fill.stored)
  }

  /** Gives up a fill, for example because the backing could not be read. */
  drop(fill: Fill): void {
    if (fill.poisoned) this.poisonedCount += 1
    this.underWay.delete(fill.block)
    this.free.push(fill)
  }

  /**
   * A backing write over [position, position+length) is about to start. A write that waited for an earlier one of its
   * blocks was submitted long ago, and a fill may have come and gone since: what the cache holds of the range becomes
   * old now.
   */
  onWriteStart(position: Bytes, length: Bytes): void {
    this.poison(position, length)
    const { core } = this
    core.previous?.written(position, length)
    const start = position / SECTOR_BYTES
    const end = start + length / SECTOR_BYTES
    const firstBlock = Math.floor(start / SECTORS_PER_BLOCK)
    const endBlock = Math.ceil(end / SECTORS_PER_BLOCK)
    if (endBlock - firstBlock > core.readCache.slots) {
      for (let slot = 0; slot < core.readCache.slots; slot += 1) {
        const block = core.readCache.blockOf(slot)
        if (block >= firstBlock && block < endBlock) this.dropClean(block, maskInside(block, start, end))
      }
      return
    }
    for (let block = firstBlock; block < endBlock; block += 1) this.dropClean(block, maskInside(block, start, end))
  }

  /** A backing write over [position, position+length) starts or ends: what was read around it may be old. */
  poison(position: Bytes, length: Bytes): void {
    if (this.underWay.size === 0) return
    const first = Math.floor(position / BLOCK_BYTES)
    const last = Math.floor((position + length - 1) / BLOCK_BYTES)
    if (last - first > this.underWay.size) {
      for (const fill of this.underWay.values()) if (fill.block >= first && fill.block <= last) fill.poisoned = true
      return
    }
    for (let block = first; block <= last; block += 1) {
      const fill = this.underWay.get(block)
      if (fill !== undefined) fill.poisoned = true
    }
  }

  private dropClean(block: BlockNumber, mask: number): void {
    const { core } = this
    const { index } = core
    const fragments = index.find(block)
    for (let i = 0; i < fragments; i += 1) {
      const slot = core.slotOf(index.fragmentBase[i] as number)
      if (slot < 0 || ((index.fragmentValid[i] as number) & mask) === 0) continue
      if (index.dropClean(block, slot)) core.readCache.release(slot)
      return
    }
  }

  private onStored(fill: Fill, error: IoError | null): void {
    const { core } = this
    core.readCache.unpin(fill.slot)
    const stillOurs = core.readCache.generationOf(fill.slot) === fill.slotGeneration
    if (stillOurs && error === null && !fill.poisoned && core.cacheFailure === null && this.isUnknown(fill.block)) {
      if (core.index.putClean(fill.block, fill.slot, fill.hash)) this.stored += 1
      else core.readCache.release(fill.slot)
    } else if (stillOurs) core.readCache.release(fill.slot)
    this.drop(fill)
  }

  /** Neither the index nor a dirty zero range knows the block: the backing alone has its newest data. */
  private isUnknown(block: BlockNumber): boolean {
    const start = block * SECTORS_PER_BLOCK
    return this.core.index.find(block) === 0 && !this.core.zeros.overlaps(start, start + SECTORS_PER_BLOCK)
  }

  private take(): Fill | null {
    const fill = this.free.pop()
    if (fill !== undefined) return fill
    if (this.made >= FILLS_MAX) return null
    this.made += 1
    return new Fill(this.core.ports.memory.allocate(BLOCK_BYTES), (f, error) => this.onStored(f, error))
  }
}
