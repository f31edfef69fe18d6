// Block numbers that became dirty since the last freeze, so that freezing a small generation does not have to look at
// the whole table. Fixed in size: once it overflows it only says so, and the freeze scans the table for listed flags
// instead (2 bytes a place in order, which for many blocks is faster than a probe for each).
// A block that lost its entry in between (zeroed) and came back is in the list twice; the taker goes by the flags.

/** 16,384 probes take about 3 ms. */
export const DIRTY_LIST_BLOCKS = 16_384

export class DirtyList {
  readonly blocks: Uint32Array
  count = 0
  overflowed = false

  constructor(limit: number) {
    this.blocks = new Uint32Array(limit)
  }

  push(block: number): void {
    if (this.count === this.blocks.length) this.overflowed = true
    else this.blocks[this.count++] = block
  }

  clear(): void {
    this.count = 0
    this.overflowed = false
  }
}
