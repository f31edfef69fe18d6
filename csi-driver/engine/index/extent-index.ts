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
// listed or belongs to a snapshot that is not yet settled. Nothing here allocates except doubling of pool and dirty list
// and `freeze`. Memory: 14 bytes a place, 17.5 bytes a block of the capacity.
import { assert } from '../../../base/assert.ts'
import { SECTORS_PER_BLOCK } from '../../../base/units.ts'
import type { BlockNumber, Bytes, Sectors } from '../../../base/units.ts'
import { BLOCK_NUMBER_MAX, BlockTable } from './block-table.ts'
import { DirtyList } from './dirty-list.ts'
import { FragmentPool, NO_NODE } from './fragment-pool.ts'
import { GenerationSnapshot } from './generation-snapshot.ts'
import { CODE_OF_RUN, FULL_MASK, RUN_OF_CODE, SECTORS_OF_MASK, firstSectorOf, maskInside } from './sector-mask.ts'
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

const FRAGMENTS_PER_BLOCK_MAX = 8
/** A partial write turns an entry into a chain of two at worst. */
const NODES_PER_PARTIAL_PUT = 2
const LISTED = 0x4000
const CODE_MASK = 0x3f00
/** Ranges longer than 1/8 of the table are cheaper scanned than probed block by block. */
const SCAN_FACTOR = 8

export class ExtentIndex {
  readonly logEndSector: Sectors
  /** Unique sectors that only the cache holds in their newest version. */
  dirtySectors: Sectors = 0
  /** Filled by `find`: entries 0 … result - 1. Valid until the next call of any method. */
  readonly fragmentBase = new Uint32Array(FRAGMENTS_PER_BLOCK_MAX)
  readonly fragmentHash = new Uint32Array(FRAGMENTS_PER_BLOCK_MAX)
  readonly fragmentValid = new Uint8Array(FRAGMENTS_PER_BLOCK_MAX)
  readonly fragmentOrig = new Uint8Array(FRAGMENTS_PER_BLOCK_MAX)
  private readonly table: BlockTable
  private readonly pool: FragmentPool
  private readonly dirtyList = new DirtyList()
  private readonly onCleanGone: (slot: number) => void

  constructor(options: ExtentIndexOptions) {
    assert(options.logEndSector % SECTORS_PER_BLOCK === 0, `log end is no block border sector=${options.logEndSector}`)
    this.logEndSector = options.logEndSector
    this.onCleanGone = options.onCleanGone
    this.table = new BlockTable(options.capacityBlocks)
    this.pool = new FragmentPool(options.fragmentsMax)
  }

  /** Bytes taken at construction; the fragment pool and the dirty list grow with use (see `bytes`). */
  static bytesFor(capacityBlocks: number): Bytes {
    return BlockTable.bytesFor(capacityBlocks)
  }

  /** No log of this size can fill so many: each dirty fragment owns a sector of it, each chain has ≤ 1 clean one. */
  static fragmentsMaxFor(logBytes: Bytes): number {
    return 2 * Math.ceil(logBytes / 512) + NODES_PER_PARTIAL_PUT
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
    return position < 0 ? 0 : this.load(position)
  }

  /** Sectors of the block that have any fragment. */
  validMask(block: BlockNumber): number {
    const position = this.table.probe(block)
    return position < 0 ? 0 : (this.table.bits[position] as number) & FULL_MASK
  }

  /** Sectors of the block that have a dirty fragment. */
  dirtyMask(block: BlockNumber): number {
    const position = this.table.probe(block)
    return position < 0 ? 0 : this.dirtyMaskAt(position)
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
      this.setSingle(position, mask, base, hash)
    } else {
      this.subtract(position, mask)
      if (((this.table.bits[position] as number) & FULL_MASK) === 0) this.setSingle(position, mask, base, hash)
      else this.addToChain(position, mask, base, hash)
    }
    this.dirtySectors += SECTORS_OF_MASK[mask] as number
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
    this.setSingle(-1 - position, FULL_MASK, this.sectorOfSlot(slot), hash)
    return true
  }

  /**
   * The read cache takes the slot away (eviction, failed hash): removes the block's clean fragment if it is that slot,
   * without calling onCleanGone. False when the block does not use the slot.
   */
  dropClean(block: BlockNumber, slot: number): boolean {
    const position = this.table.probe(block)
    if (position < 0) return false
    return this.removeFragment(position, this.sectorOfSlot(slot), FULL_MASK)
  }

  /** Forgets every sector of [startSector, endSector), dirty or clean: a newer ZERO or through-write covers it. */
  removeRange(startSector: Sectors, endSector: Sectors): void {
    if (endSector <= startSector || this.table.count === 0) return
    const firstBlock = Math.floor(startSector / SECTORS_PER_BLOCK)
    const lastBlock = Math.floor((endSector - 1) / SECTORS_PER_BLOCK)
    if ((lastBlock - firstBlock + 1) * SCAN_FACTOR < this.table.places) {
      for (let block = firstBlock; block <= lastBlock; block++) {
        const position = this.table.probe(block)
        if (position >= 0) this.subtractOrRemove(position, maskInside(block, startSector, endSector))
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
      if (mask === 0 || !this.subtractOrRemove(position, mask)) position++
    }
  }

  /** Whether any sector of blocks firstBlock … lastBlock (both included) has a dirty fragment. Zero ranges are apart. */
  hasDirty(firstBlock: BlockNumber, lastBlock: BlockNumber): boolean {
    if (this.dirtySectors === 0) return false
    if ((lastBlock - firstBlock + 1) * SCAN_FACTOR < this.table.places) {
      for (let block = firstBlock; block <= lastBlock; block++) {
        const position = this.table.probe(block)
        if (position >= 0 && this.dirtyMaskAt(position) !== 0) return true
      }
      return false
    }
    for (let position = 0; position < this.table.places; position++) {
      if (this.table.isEmptyAt(position)) continue
      const block = this.table.blockAt(position)
      if (block >= firstBlock && block <= lastBlock && this.dirtyMaskAt(position) !== 0) return true
    }
    return false
  }

  /**
   * Copies all dirty fragments that were listed since the last freeze, and all zero ranges, into a snapshot, and starts
   * a new list. Call at a batch boundary with every earlier snapshot settled or relisted. Allocates; about 20 ms for
   * 262,144 blocks.
   */
  freeze(zeroRanges: ZeroRanges): GenerationSnapshot {
    const listed = this.dirtyList.takeSorted()
    const snapshot = new GenerationSnapshot(listed.length + this.pool.used, zeroRanges)
    const bits = this.table.bits
    for (let i = 0; i < listed.length; i++) {
      const position = this.table.probe(listed[i] as number)
      if (position < 0 || ((bits[position] as number) & LISTED) === 0) continue
      bits[position] = (bits[position] as number) & ~LISTED
      this.appendDirty(position, snapshot)
    }
    return snapshot
  }

  /**
   * The backing holds fragment i of the snapshot, durably, and the checkpoint is written: the log no longer has to. If
   * the block still has that fragment it is removed, or becomes the clean content of `slot` (pass -1 for none; the slot
   * must hold the whole block as the snapshot had it). True when the slot was taken; otherwise release it. All fragments
   * must be settled before their log space is written again.
   */
  settle(snapshot: GenerationSnapshot, i: number, slot: number): boolean {
    const position = this.table.probe(snapshot.block[i] as number)
    if (position < 0) return false
    const base = snapshot.base[i] as number
    const orig = snapshot.orig[i] as number
    if (slot >= 0 && orig === FULL_MASK && this.isWholeAndOnly(position, base)) {
      this.table.words[position * 3 + 1] = this.sectorOfSlot(slot)
      this.table.bits[position] = (this.table.bits[position] as number) & ~LISTED
      this.dirtySectors -= SECTORS_PER_BLOCK
      return true
    }
    this.removeFragment(position, base, orig)
    return false
  }

  /** The generation failed: what of the snapshot is still newest belongs to the next freeze. */
  relist(snapshot: GenerationSnapshot): void {
    for (let i = 0; i < snapshot.count; i++) {
      const block = snapshot.block[i] as number
      const position = this.table.probe(block)
      if (position >= 0 && this.dirtyMaskAt(position) !== 0) this.list(position, block)
    }
  }

  /** Every fragment, in table order. For checks and dumps: allocates. The index must not be changed meanwhile. */
  forEachFragment(visit: (fragment: FragmentView) => void): void {
    for (let position = 0; position < this.table.places; position++) {
      if (this.table.isEmptyAt(position)) continue
      const block = this.table.blockAt(position)
      const count = this.load(position)
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

  private load(position: number): number {
    const { words, bits } = this.table
    const entry = bits[position] as number
    const code = (entry & CODE_MASK) >>> 8
    if (code !== 0) {
      this.fragmentBase[0] = words[position * 3 + 1] as number
      this.fragmentHash[0] = words[position * 3 + 2] as number
      this.fragmentValid[0] = entry & FULL_MASK
      this.fragmentOrig[0] = RUN_OF_CODE[code] as number
      return 1
    }
    const pool = this.pool
    let count = 0
    for (let node = words[position * 3 + 1] as number; node !== NO_NODE; node = pool.next[node] as number) {
      const nodeBits = pool.bits[node] as number
      this.fragmentBase[count] = pool.base[node] as number
      this.fragmentHash[count] = pool.hash[node] as number
      this.fragmentValid[count] = nodeBits & FULL_MASK
      this.fragmentOrig[count] = nodeBits >>> 8
      count++
    }
    return count
  }

  private dirtyMaskAt(position: number): number {
    const entry = this.table.bits[position] as number
    if ((entry & CODE_MASK) !== 0) {
      return (this.table.words[position * 3 + 1] as number) < this.logEndSector ? entry & FULL_MASK : 0
    }
    const pool = this.pool
    let mask = 0
    let node = this.table.words[position * 3 + 1] as number
    while (node !== NO_NODE) {
      if ((pool.base[node] as number) < this.logEndSector) mask |= (pool.bits[node] as number) & FULL_MASK
      node = pool.next[node] as number
    }
    return mask
  }

  private isWholeAndOnly(position: number, base: Sectors): boolean {
    const entry = this.table.bits[position] as number
    const whole = ((CODE_OF_RUN[FULL_MASK] as number) << 8) | FULL_MASK
    return (entry & ~LISTED) === whole && this.table.words[position * 3 + 1] === base
  }

  /** Makes the fragment the entry's only one; keeps the listed flag. */
  private setSingle(position: number, mask: number, base: Sectors, hash: number): void {
    const { words, bits } = this.table
    words[position * 3 + 1] = base
    words[position * 3 + 2] = hash
    bits[position] = ((bits[position] as number) & LISTED) | ((CODE_OF_RUN[mask] as number) << 8) | mask
  }

  /** Adds a fragment whose sectors no other one has to an entry that has at least one. */
  private addToChain(position: number, mask: number, base: Sectors, hash: number): void {
    const { words, bits } = this.table
    const pool = this.pool
    const entry = bits[position] as number
    const code = (entry & CODE_MASK) >>> 8
    if (code !== 0) {
      const moved = pool.take()
      pool.base[moved] = words[position * 3 + 1] as number
      pool.hash[moved] = words[position * 3 + 2] as number
      pool.bits[moved] = ((RUN_OF_CODE[code] as number) << 8) | (entry & FULL_MASK)
      pool.next[moved] = NO_NODE
      words[position * 3 + 1] = moved
    }
    const node = pool.take()
    pool.base[node] = base
    pool.hash[node] = hash
    pool.bits[node] = (mask << 8) | mask
    pool.next[node] = words[position * 3 + 1] as number
    words[position * 3 + 1] = node
    bits[position] = (entry & (LISTED | FULL_MASK)) | mask
  }

  /** True when the entry is gone. */
  private subtractOrRemove(position: number, mask: number): boolean {
    this.subtract(position, mask)
    if (((this.table.bits[position] as number) & FULL_MASK) !== 0) return false
    this.table.removeAt(position)
    return true
  }

  /** Takes the sectors away from all fragments of the entry, which may be left without any (valid byte 0, no chain). */
  private subtract(position: number, mask: number): void {
    const { words, bits } = this.table
    const entry = bits[position] as number
    if ((entry & mask) === 0) return
    if ((entry & CODE_MASK) !== 0) {
      this.account(words[position * 3 + 1] as number, entry & mask, entry & FULL_MASK & ~mask)
      bits[position] = entry & ~mask
      return
    }
    const pool = this.pool
    let previous = NO_NODE
    let node = words[position * 3 + 1] as number
    while (node !== NO_NODE) {
      const next = pool.next[node] as number
      const nodeBits = pool.bits[node] as number
      this.account(pool.base[node] as number, nodeBits & mask, nodeBits & FULL_MASK & ~mask)
      pool.bits[node] = nodeBits & ~mask
      if ((nodeBits & FULL_MASK & ~mask) === 0) this.unlink(position, previous, node)
      else previous = node
      node = next
    }
    this.collapse(position)
  }

  /** Counts the loss of the sectors `lost` by a fragment that keeps the sectors `kept`. */
  private account(base: Sectors, lost: number, kept: number): void {
    if (base < this.logEndSector) this.dirtySectors -= SECTORS_OF_MASK[lost] as number
    else if (lost !== 0 && kept === 0) this.onCleanGone(this.slotOfBase(base))
  }

  /** Removes the fragment (base, orig) from the entry, and the entry with its last fragment; no callback. */
  private removeFragment(position: number, base: Sectors, orig: number): boolean {
    const { words, bits } = this.table
    const entry = bits[position] as number
    const code = (entry & CODE_MASK) >>> 8
    if (code !== 0) {
      if (words[position * 3 + 1] !== base || RUN_OF_CODE[code] !== orig) return false
      if (base < this.logEndSector) this.dirtySectors -= SECTORS_OF_MASK[entry & FULL_MASK] as number
      this.table.removeAt(position)
      return true
    }
    const pool = this.pool
    let previous = NO_NODE
    let node = words[position * 3 + 1] as number
    while (node !== NO_NODE && (pool.base[node] !== base || (pool.bits[node] as number) >>> 8 !== orig)) {
      previous = node
      node = pool.next[node] as number
    }
    if (node === NO_NODE) return false
    const valid = (pool.bits[node] as number) & FULL_MASK
    if (base < this.logEndSector) this.dirtySectors -= SECTORS_OF_MASK[valid] as number
    this.unlink(position, previous, node)
    this.collapse(position)
    return true
  }

  private unlink(position: number, previous: number, node: number): void {
    const pool = this.pool
    const next = pool.next[node] as number
    if (previous === NO_NODE) this.table.words[position * 3 + 1] = next
    else pool.next[previous] = next
    pool.give(node)
  }

  /** After unlinking: brings the valid byte up to date, and a chain of one or none back into the entry. */
  private collapse(position: number): void {
    const { words, bits } = this.table
    const pool = this.pool
    const listed = (bits[position] as number) & LISTED
    const head = words[position * 3 + 1] as number
    if (head === NO_NODE) {
      // Any code but 0 says "no chain"; the caller removes or refills the entry at once.
      bits[position] = listed | ((CODE_OF_RUN[FULL_MASK] as number) << 8)
      return
    }
    if (pool.next[head] === NO_NODE) {
      const nodeBits = pool.bits[head] as number
      words[position * 3 + 1] = pool.base[head] as number
      words[position * 3 + 2] = pool.hash[head] as number
      bits[position] = listed | ((CODE_OF_RUN[nodeBits >>> 8] as number) << 8) | (nodeBits & FULL_MASK)
      pool.give(head)
      return
    }
    let valid = 0
    for (let node = head; node !== NO_NODE; node = pool.next[node] as number) {
      valid |= (pool.bits[node] as number) & FULL_MASK
    }
    bits[position] = listed | valid
  }

  private list(position: number, block: BlockNumber): void {
    const bits = this.table.bits
    if (((bits[position] as number) & LISTED) !== 0) return
    if (this.dirtyList.isFull) this.filterDirtyList()
    bits[position] = (bits[position] as number) | LISTED
    this.dirtyList.push(block)
  }

  /** Drops duplicates and blocks that are no longer listed, so that the list never outgrows twice the table. */
  private filterDirtyList(): void {
    const { table, dirtyList } = this
    let kept = 0
    for (let i = 0; i < dirtyList.count; i++) {
      const block = dirtyList.blocks[i] as number
      const position = table.probe(block)
      if (position < 0 || ((table.bits[position] as number) & LISTED) === 0) continue
      // The flag is taken off for the rest of this pass, so that a second occurrence is dropped.
      table.bits[position] = (table.bits[position] as number) & ~LISTED
      dirtyList.blocks[kept++] = block
    }
    dirtyList.count = kept
    for (let i = 0; i < kept; i++) {
      const position = table.probe(dirtyList.blocks[i] as number)
      table.bits[position] = (table.bits[position] as number) | LISTED
    }
    dirtyList.makeRoom()
  }

  /** Appends the entry's dirty fragments in the order of their first valid sector. */
  private appendDirty(position: number, snapshot: GenerationSnapshot): void {
    const block = this.table.blockAt(position)
    const count = this.load(position)
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
