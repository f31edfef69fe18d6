// The entries of the extent index: what one place of the block table says about its block, whose format is described in
// extent-index.ts. Everything here works on positions of the table; which block is meant, and what is listed for the next
// generation, is the index's concern. Counts dirty sectors and reports lost read-cache slots as a side of every change.
import { SECTORS_PER_BLOCK } from '../../../base/units.ts'
import type { Sectors } from '../../../base/units.ts'
import { BlockTable } from './block-table.ts'
import { FragmentPool, NO_NODE } from './fragment-pool.ts'
import { CODE_OF_RUN, FULL_MASK, RUN_OF_CODE, SECTORS_OF_MASK } from './sector-mask.ts'

const FRAGMENTS_PER_BLOCK_MAX = 8
/** Flag in the high byte of an entry's bits: the block waits for the next freeze. */
export const LISTED = 0x4000
const CODE_MASK = 0x3f00

export interface BlockEntriesOptions {
  readonly capacityBlocks: number
  readonly logEndSector: Sectors
  readonly fragmentsMax: number
  readonly onCleanGone: (slot: number) => void
}

export class BlockEntries {
  readonly table: BlockTable
  readonly pool: FragmentPool
  dirtySectors: Sectors = 0
  /** Filled by `load`. */
  readonly fragmentBase = new Uint32Array(FRAGMENTS_PER_BLOCK_MAX)
  readonly fragmentHash = new Uint32Array(FRAGMENTS_PER_BLOCK_MAX)
  readonly fragmentValid = new Uint8Array(FRAGMENTS_PER_BLOCK_MAX)
  readonly fragmentOrig = new Uint8Array(FRAGMENTS_PER_BLOCK_MAX)
  private readonly logEndSector: Sectors
  private readonly onCleanGone: (slot: number) => void

  constructor(options: BlockEntriesOptions) {
    this.logEndSector = options.logEndSector
    this.onCleanGone = options.onCleanGone
    this.table = new BlockTable(options.capacityBlocks)
    this.pool = new FragmentPool(options.fragmentsMax)
  }

  /** Copies the entry's fragments into the fragment arrays and returns their number. */
  load(position: number): number {
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

  /** Sectors of the entry's dirty fragments. */
  dirtyMaskAt(position: number): number {
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

  /** Whether all of the block is valid in one fragment that is at `base` and was written as a whole. */
  isWholeAndOnly(position: number, base: Sectors): boolean {
    const entry = this.table.bits[position] as number
    const whole = ((CODE_OF_RUN[FULL_MASK] as number) << 8) | FULL_MASK
    return (entry & ~LISTED) === whole && this.table.words[position * 3 + 1] === base
  }

  /** Makes the fragment the entry's only one; keeps the listed flag. */
  setSingle(position: number, mask: number, base: Sectors, hash: number): void {
    const { words, bits } = this.table
    words[position * 3 + 1] = base
    words[position * 3 + 2] = hash
    bits[position] = ((bits[position] as number) & LISTED) | ((CODE_OF_RUN[mask] as number) << 8) | mask
  }

  /** Adds a fragment whose sectors no other one has to an entry that has at least one. */
  addToChain(position: number, mask: number, base: Sectors, hash: number): void {
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
  subtractOrRemove(position: number, mask: number): boolean {
    this.subtract(position, mask)
    if (((this.table.bits[position] as number) & FULL_MASK) !== 0) return false
    this.table.removeAt(position)
    return true
  }

  /** Takes the sectors away from all fragments of the entry, which may be left without any (valid byte 0, no chain). */
  subtract(position: number, mask: number): void {
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
    else if (lost !== 0 && kept === 0) this.onCleanGone((base - this.logEndSector) / SECTORS_PER_BLOCK)
  }

  /** Removes the fragment (base, orig) from the entry, and the entry with its last fragment; no callback. */
  removeFragment(position: number, base: Sectors, orig: number): boolean {
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
}
