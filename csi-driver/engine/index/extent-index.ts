// Where the newest version of every 512-byte sector lives that the cache storage holds and the backing may not.
//
// A block (4 KiB) has up to eight fragments with disjoint valid masks. A fragment is what one record wrote of the block
// (or one read-cache slot): `base` is the cache-storage sector where sector 0 of the block would be, so that sector i is
// at base + i; `orig` the run of sectors as written, over which `hash` was taken; `valid` what of it is still newest.
// Dirty ⇔ base < logEndSector (it lies in the log ring); clean ⇔ it is slot (base - logEndSector) / 8 of the read cache.
// A fragment of a block is named by (base, orig): two records of neighbouring sectors may well share the base.
//
//   words[1]  base of the only fragment, or head of the chain in the fragment pool
//   words[2]  its hash
//   bits      low byte: valid sectors of all fragments together; high byte: 6-bit code of orig (0 = chain), bit 6 = listed
//
// Invariants (checked by invariants.ts): an entry has at least one valid sector; masks of a block are disjoint and inside
// their orig; a chain has two or more nodes; at most one fragment of a block is clean; a block with a dirty fragment is
// listed or belongs to a snapshot that is not yet settled. Nothing here allocates except the doubling of the pool and
// `freeze`. Memory: 14 bytes a place, 17.5 bytes a block of the capacity.
import { assert } from '../../../base/assert.ts'
import { SECTORS_PER_BLOCK } from '../../../base/units.ts'
import type { BlockNumber, Bytes, Sectors } from '../../../base/units.ts'
import { BlockEntries, LISTED } from './block-entries.ts'
import { BLOCK_NUMBER_MAX, BlockTable } from './block-table.ts'
import { DIRTY_LIST_BLOCKS, DirtyList } from './dirty-list.ts'
import type { FragmentPool } from './fragment-pool.ts'
import { GenerationSnapshot } from './generation-snapshot.ts'
import { CODE_OF_RUN, FULL_MASK, SECTORS_OF_MASK, firstSectorOf, maskInside } from './sector-mask.ts'
import type { ZeroRanges } from './zero-ranges.ts'

export interface ExtentIndexOptions {
  /** Most blocks with an entry: all read-cache slots plus all blocks that can be dirty at once. */
  readonly capacityBlocks: number
  /** End of the log ring and start of slot 0, in sectors of the cache storage; a multiple of 8. */
  readonly logEndSector: Sectors
  /** Limit of fragments of blocks that have several; `ExtentIndex.fragmentsMaxFor` gives one that is never reached. */
  readonly fragmentsMax: number
  /** A clean fragment lost its last valid sector to a write or a zero: its slot is free. Must not call the index. */
  readonly onCleanGone: (slot: number) => void
  /** Blocks that a freeze looks up one by one; with more of them it scans the table. Tests make it tiny. */
  readonly dirtyListBlocks?: number
}

/** One fragment, for dumps and checks. */
export interface FragmentView {
  readonly block: BlockNumber
  readonly base: Sectors
  readonly valid: number
  readonly orig: number
  readonly hash: number
  readonly dirty: boolean
}

/** A partial write turns an entry into a chain of two at worst. */
const NODES_PER_PARTIAL_PUT = 2
/** Ranges longer than 1/8 of the table are cheaper scanned than probed block by block. */
const SCAN_FACTOR = 8

export class ExtentIndex {
  readonly logEndSector: Sectors
  /** Filled by `find`: entries 0 … result - 1. Valid until the next call of any method. */
  readonly fragmentBase: Uint32Array
  readonly fragmentHash: Uint32Array
  readonly fragmentValid: Uint8Array
  readonly fragmentOrig: Uint8Array
  private readonly entries: BlockEntries
  private readonly table: BlockTable
  private readonly pool: FragmentPool
  private readonly dirtyList: DirtyList

  constructor(options: ExtentIndexOptions) {
    assert(options.logEndSector % SECTORS_PER_BLOCK === 0, `log end is no block border sector=${options.logEndSector}`)
    this.logEndSector = options.logEndSector
    this.entries = new BlockEntries(options)
    this.table = this.entries.table
    this.pool = this.entries.pool
    this.fragmentBase = this.entries.fragmentBase
    this.fragmentHash = this.entries.fragmentHash
    this.fragmentValid = this.entries.fragmentValid
    this.fragmentOrig = this.entries.fragmentOrig
    this.dirtyList = new DirtyList(options.dirtyListBlocks ?? DIRTY_LIST_BLOCKS)
  }

  /** Bytes taken at construction; the fragment pool grows with use (see `bytes`). */
  static bytesFor(capacityBlocks: number): Bytes {
    return BlockTable.bytesFor(capacityBlocks)
  }

  /** No log of this size can fill so many: each dirty fragment owns a sector of it, each chain has ≤ 1 clean one. */
  static fragmentsMaxFor(logBytes: Bytes): number {
    return 2 * Math.ceil(logBytes / 512) + NODES_PER_PARTIAL_PUT
  }

  /** Unique sectors that only the cache holds in their newest version. */
  get dirtySectors(): Sectors {
    return this.entries.dirtySectors
  }

  /** Bytes taken now by all tables. */
  get bytes(): Bytes {
    return ExtentIndex.bytesFor(this.table.capacity) + this.pool.bytes + this.dirtyList.blocks.byteLength
  }

  get blocks(): number {
    return this.table.count
  }

  get capacityBlocks(): number {
    return this.table.capacity
  }

  /** Room for blocks without an entry. Every put of such a block takes one; evicting a clean block gives one back. */
  get freeBlocks(): number {
    return this.table.capacity - this.table.count
  }

  get isFull(): boolean {
    return this.table.count >= this.table.capacity
  }

  /** Room in the fragment pool: a put with a partial mask takes at most two. */
  get freeFragments(): number {
    return this.pool.free
  }

  get usedFragments(): number {
    return this.pool.used
  }

  /** First sector of a read-cache slot. */
  sectorOfSlot(slot: number): Sectors {
    return this.logEndSector + slot * SECTORS_PER_BLOCK
  }

  /** The slot of a clean fragment; -1 for a dirty one. */
  slotOfBase(base: Sectors): number {
    return base < this.logEndSector ? -1 : (base - this.logEndSector) / SECTORS_PER_BLOCK
  }

  isDirtyBase(base: Sectors): boolean {
    return base < this.logEndSector
  }

  /** Number of fragments of the block (0 = the index knows nothing); they stand in the fragment arrays. */
  find(block: BlockNumber): number {
    const position = this.table.probe(block)
    return position < 0 ? 0 : this.entries.load(position)
  }

  /** Sectors of the block that have any fragment. */
  validMask(block: BlockNumber): number {
    const position = this.table.probe(block)
    return position < 0 ? 0 : (this.table.bits[position] as number) & FULL_MASK
  }

  /** Sectors of the block that have a dirty fragment. */
  dirtyMask(block: BlockNumber): number {
    const position = this.table.probe(block)
    return position < 0 ? 0 : this.entries.dirtyMaskAt(position)
  }

  /**
   * A record wrote the sectors `mask` (one run) of the block to the log; the newest wins for each sector. `base` < log
   * end. Always succeeds while there is room (`freeBlocks`, `freeFragments`), which is asserted.
   */
  putDirty(block: BlockNumber, mask: number, base: Sectors, hash: number): void {
    assert(base < this.logEndSector, `dirty base outside the log base=${base}`)
    assert(CODE_OF_RUN[mask] !== 0, `mask is no run of sectors mask=${mask}`)
    let position = this.table.probe(block)
    if (position < 0) {
      assert(block <= BLOCK_NUMBER_MAX, `block out of range block=${block}`)
      position = -1 - position
      this.table.insertAt(position, block)
      this.entries.setSingle(position, mask, base, hash)
    } else {
      this.entries.subtract(position, mask)
      if (((this.table.bits[position] as number) & FULL_MASK) === 0) this.entries.setSingle(position, mask, base, hash)
      else this.entries.addToChain(position, mask, base, hash)
    }
    this.entries.dirtySectors += SECTORS_OF_MASK[mask] as number
    this.list(position, block)
  }

  /**
   * The slot holds the whole block as the backing has it. False, and nothing is changed, when the block has any fragment
   * already or the index is full. That no newer zero range and no write since the fill began make the content stale is
   * the caller's to know.
   */
  putClean(block: BlockNumber, slot: number, hash: number): boolean {
    const position = this.table.probe(block)
    if (position >= 0 || this.isFull) return false
    assert(block <= BLOCK_NUMBER_MAX, `block out of range block=${block}`)
    this.table.insertAt(-1 - position, block)
    this.entries.setSingle(-1 - position, FULL_MASK, this.sectorOfSlot(slot), hash)
    return true
  }

  /**
   * The read cache takes the slot away (eviction, failed hash): removes the block's clean fragment if it is that slot,
   * without calling onCleanGone. False when the block does not use the slot.
   */
  dropClean(block: BlockNumber, slot: number): boolean {
    const position = this.table.probe(block)
    if (position < 0) return false
    return this.entries.removeFragment(position, this.sectorOfSlot(slot), FULL_MASK)
  }

  /** Forgets every sector of [startSector, endSector), dirty or clean: a newer ZERO or through-write covers it. */
  removeRange(startSector: Sectors, endSector: Sectors): void {
    if (endSector <= startSector || this.table.count === 0) return
    const firstBlock = Math.floor(startSector / SECTORS_PER_BLOCK)
    const lastBlock = Math.floor((endSector - 1) / SECTORS_PER_BLOCK)
    if ((lastBlock - firstBlock + 1) * SCAN_FACTOR < this.table.places) {
      for (let block = firstBlock; block <= lastBlock; block++) {
        const position = this.table.probe(block)
        if (position >= 0) this.entries.subtractOrRemove(position, maskInside(block, startSector, endSector))
      }
      return
    }
    let position = 0
    while (position < this.table.places) {
      if (this.table.isEmptyAt(position)) {
        position++
        continue
      }
      const mask = maskInside(this.table.blockAt(position), startSector, endSector)
      // A removal may have pulled another entry into this place: look at it again.
      if (mask === 0 || !this.entries.subtractOrRemove(position, mask)) position++
    }
  }

  /** Whether any sector of blocks firstBlock … lastBlock (both included) has a dirty fragment. Zero ranges are apart. */
  hasDirty(firstBlock: BlockNumber, lastBlock: BlockNumber): boolean {
    if (this.dirtySectors === 0) return false
    if ((lastBlock - firstBlock + 1) * SCAN_FACTOR < this.table.places) {
      for (let block = firstBlock; block <= lastBlock; block++) {
        const position = this.table.probe(block)
        if (position >= 0 && this.entries.dirtyMaskAt(position) !== 0) return true
      }
      return false
    }
    for (let position = 0; position < this.table.places; position++) {
      if (this.table.isEmptyAt(position)) continue
      const block = this.table.blockAt(position)
      if (block >= firstBlock && block <= lastBlock && this.entries.dirtyMaskAt(position) !== 0) return true
    }
    return false
  }

  /**
   * Copies all dirty fragments that were listed since the last freeze, and all zero ranges, into a snapshot, and starts
   * a new list. Call at a batch boundary with every earlier snapshot settled or relisted. Allocates. Its time is that of
   * one pass over 2 bytes a place (or of one probe a block, for few blocks) and of a radix sort.
   */
  freeze(zeroRanges: ZeroRanges): GenerationSnapshot {
    const { dirtyList, table } = this
    const listedMax = dirtyList.overflowed ? this.countListed() : dirtyList.count
    const snapshot = new GenerationSnapshot(listedMax + this.pool.used, zeroRanges)
    if (dirtyList.overflowed) {
      for (let position = 0; position < table.places; position++) this.freezeAt(position, snapshot)
    } else {
      for (let i = 0; i < dirtyList.count; i++) {
        const position = table.probe(dirtyList.blocks[i] as number)
        if (position >= 0) this.freezeAt(position, snapshot)
      }
    }
    dirtyList.clear()
    snapshot.sortByBlock()
    return snapshot
  }

  /**
   * The backing holds fragment i of the snapshot, durably. If the block still has that fragment it is removed, or becomes
   * the clean content of `slot` (-1 for none; the slot must hold the whole block as the snapshot had it). True when the
   * slot was taken; otherwise release it. To be called before the log space of the fragment can be written again. Until
   * the checkpoint the log still replays the record: ask `snapshot.overlaps` beside `hasDirty` before bypassing the log.
   */
  settle(snapshot: GenerationSnapshot, i: number, slot: number): boolean {
    const position = this.table.probe(snapshot.block[i] as number)
    if (position < 0) return false
    const base = snapshot.base[i] as number
    const orig = snapshot.orig[i] as number
    if (slot >= 0 && orig === FULL_MASK && this.entries.isWholeAndOnly(position, base)) {
      this.table.words[position * 3 + 1] = this.sectorOfSlot(slot)
      this.table.bits[position] = (this.table.bits[position] as number) & ~LISTED
      this.entries.dirtySectors -= SECTORS_PER_BLOCK
      return true
    }
    this.entries.removeFragment(position, base, orig)
    return false
  }

  /** The generation failed: what of the snapshot is still newest belongs to the next freeze. */
  relist(snapshot: GenerationSnapshot): void {
    for (let i = 0; i < snapshot.count; i++) {
      const block = snapshot.block[i] as number
      const position = this.table.probe(block)
      if (position >= 0 && this.entries.dirtyMaskAt(position) !== 0) this.list(position, block)
    }
  }

  /** Every fragment, in table order. For checks and dumps: allocates. The index must not be changed meanwhile. */
  forEachFragment(visit: (fragment: FragmentView) => void): void {
    for (let position = 0; position < this.table.places; position++) {
      if (this.table.isEmptyAt(position)) continue
      const block = this.table.blockAt(position)
      const count = this.entries.load(position)
      for (let i = 0; i < count; i++) {
        const base = this.fragmentBase[i] as number
        visit({
          block,
          base,
          valid: this.fragmentValid[i] as number,
          orig: this.fragmentOrig[i] as number,
          hash: this.fragmentHash[i] as number,
          dirty: base < this.logEndSector,
        })
      }
    }
  }

  /** Whether the block's entry waits for the next freeze. For checks. */
  isListed(block: BlockNumber): boolean {
    const position = this.table.probe(block)
    return position >= 0 && ((this.table.bits[position] as number) & LISTED) !== 0
  }

  private list(position: number, block: BlockNumber): void {
    const bits = this.table.bits
    if (((bits[position] as number) & LISTED) !== 0) return
    bits[position] = (bits[position] as number) | LISTED
    this.dirtyList.push(block)
  }

  private countListed(): number {
    const { bits, places } = this.table
    let listed = 0
    for (let position = 0; position < places; position++) if (((bits[position] as number) & LISTED) !== 0) listed++
    return listed
  }

  /** Takes the flag off a listed entry and copies its dirty fragments. */
  private freezeAt(position: number, snapshot: GenerationSnapshot): void {
    const bits = this.table.bits
    if (((bits[position] as number) & LISTED) === 0) return
    bits[position] = (bits[position] as number) & ~LISTED
    this.appendDirty(position, snapshot)
  }

  /** Appends the entry's dirty fragments in the order of their first valid sector. */
  private appendDirty(position: number, snapshot: GenerationSnapshot): void {
    const block = this.table.blockAt(position)
    const count = this.entries.load(position)
    const start = snapshot.count
    for (let i = 0; i < count; i++) {
      const base = this.fragmentBase[i] as number
      if (base >= this.logEndSector) continue
      const valid = this.fragmentValid[i] as number
      let place = snapshot.count++
      while (place > start && firstSectorOf(snapshot.valid[place - 1] as number) > firstSectorOf(valid)) {
        snapshot.move(place - 1, place)
        place--
      }
      snapshot.set(place, block, this, i)
    }
  }
}
