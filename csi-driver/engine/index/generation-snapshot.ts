// What one generation writes back: every dirty fragment and every dirty zero range at the moment of the freeze. It is a
// copy: later writes change the index and not the snapshot, whose log locations stay intact until the checkpoint that
// ends the generation. Fragments are sorted by block and, inside a block, by first valid sector; the valid masks of one
// block's fragments are disjoint. Where a zero range and a fragment overlap, the fragment is newer.
import { SECTORS_PER_BLOCK } from '../../../base/units.ts'
import { blockOrder } from './block-order.ts'
import { SECTORS_OF_MASK } from './sector-mask.ts'
import type { ZeroRanges } from './zero-ranges.ts'

/** The result arrays of ExtentIndex.find. */
export interface FoundFragments {
  readonly fragmentBase: Uint32Array
  readonly fragmentHash: Uint32Array
  readonly fragmentValid: Uint8Array
  readonly fragmentOrig: Uint8Array
}

export class GenerationSnapshot {
  /** Number of fragments. The arrays belong to the snapshot: readers never write to them. */
  count = 0
  /** Sum of the valid sectors of all fragments. Zero ranges are not counted. */
  dirtySectorsTotal = 0
  block: Uint32Array
  /** Cache-storage sector where sector 0 of the block would be: sector i of the valid mask is at base + i. */
  base: Uint32Array
  /** Low 32 bits of xxh64 of the sectors of `orig`. */
  hash: Uint32Array
  valid: Uint8Array
  orig: Uint8Array
  /** Dirty zero ranges [start, end) in sectors, ascending and disjoint, and the seq of the newest record of each. */
  readonly zeroCount: number
  readonly zeroStart: Float64Array
  readonly zeroEnd: Float64Array
  readonly zeroSeq: Float64Array

  constructor(fragmentsMax: number, zeroRanges: ZeroRanges) {
    this.block = new Uint32Array(fragmentsMax)
    this.base = new Uint32Array(fragmentsMax)
    this.hash = new Uint32Array(fragmentsMax)
    this.valid = new Uint8Array(fragmentsMax)
    this.orig = new Uint8Array(fragmentsMax)
    this.zeroCount = zeroRanges.count
    this.zeroStart = zeroRanges.startSector.slice(0, zeroRanges.count)
    this.zeroEnd = zeroRanges.endSector.slice(0, zeroRanges.count)
    this.zeroSeq = zeroRanges.seq.slice(0, zeroRanges.count)
  }

  /** Puts fragment `i` of the index's find result at `place`. Only for the index while it freezes. */
  set(place: number, block: number, found: FoundFragments, i: number): void {
    const valid = found.fragmentValid[i] as number
    this.block[place] = block
    this.base[place] = found.fragmentBase[i] as number
    this.hash[place] = found.fragmentHash[i] as number
    this.valid[place] = valid
    this.orig[place] = found.fragmentOrig[i] as number
    this.dirtySectorsTotal += SECTORS_OF_MASK[valid] as number
  }

  /** Copies the fragment at `from` over the one at `to`. Only for the index while it freezes. */
  move(from: number, to: number): void {
    this.block[to] = this.block[from] as number
    this.base[to] = this.base[from] as number
    this.hash[to] = this.hash[from] as number
    this.valid[to] = this.valid[from] as number
    this.orig[to] = this.orig[from] as number
  }

  /** Brings the fragments, appended in any order of blocks, into theirs. Only for the index while it freezes. */
  sortByBlock(): void {
    const order = blockOrder(this.block, this.count)
    const { block, base, hash, valid, orig, count } = this
    this.block = new Uint32Array(count)
    this.base = new Uint32Array(count)
    this.hash = new Uint32Array(count)
    this.valid = new Uint8Array(count)
    this.orig = new Uint8Array(count)
    for (let place = 0; place < count; place++) {
      const i = order[place] as number
      this.block[place] = block[i] as number
      this.base[place] = base[i] as number
      this.hash[place] = hash[i] as number
      this.valid[place] = valid[i] as number
      this.orig[place] = orig[i] as number
    }
  }

  get isEmpty(): boolean {
    return this.count === 0 && this.zeroCount === 0
  }

  /** Index of the first fragment whose block is ≥ `block`; `count` when there is none. */
  lowerBound(block: number): number {
    let low = 0
    let high = this.count
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((this.block[middle] as number) < block) low = middle + 1
      else high = middle
    }
    return low
  }

  /** Whether the generation writes or zeroes anything in blocks firstBlock … lastBlock (both included). */
  overlaps(firstBlock: number, lastBlock: number): boolean {
    const fragment = this.lowerBound(firstBlock)
    if (fragment < this.count && (this.block[fragment] as number) <= lastBlock) return true
    const startSector = firstBlock * SECTORS_PER_BLOCK
    let low = 0
    let high = this.zeroCount
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((this.zeroEnd[middle] as number) <= startSector) low = middle + 1
      else high = middle
    }
    return low < this.zeroCount && (this.zeroStart[low] as number) < (lastBlock + 1) * SECTORS_PER_BLOCK
  }
}
