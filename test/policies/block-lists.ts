// Lists of blocks from the least to the most recently used, several over the same arrays: a block is in one of them at
// a time or in none. Every operation takes the same few steps however long a list is; a Map used as a queue does not,
// since it walks over the places of what was deleted.

const NONE = -1

export class BlockLists {
  private readonly before: Int32Array
  private readonly after: Int32Array
  /** Which list a block is in, counted from 1; 0: none. */
  private readonly member: Uint8Array
  private readonly oldestOf: Int32Array
  private readonly newestOf: Int32Array
  private readonly countOf: Int32Array

  constructor(universe: number, lists: number) {
    this.before = new Int32Array(universe)
    this.after = new Int32Array(universe)
    this.member = new Uint8Array(universe)
    this.oldestOf = new Int32Array(lists + 1).fill(NONE)
    this.newestOf = new Int32Array(lists + 1).fill(NONE)
    this.countOf = new Int32Array(lists + 1)
  }

  /** The list that the block is in, 0 for none. */
  listOf(block: number): number {
    return this.member[block] as number
  }

  count(list: number): number {
    return this.countOf[list] as number
  }

  /** Takes the block, from wherever it is, to the most recent end of a list. */
  moveTo(list: number, block: number): void {
    this.remove(block)
    const newest = this.newestOf[list] as number
    this.before[block] = newest
    this.after[block] = NONE
    if (newest === NONE) this.oldestOf[list] = block
    else this.after[newest] = block
    this.newestOf[list] = block
    this.member[block] = list
    this.countOf[list] = this.count(list) + 1
  }

  /** The least recent block of a list, which must not be empty. */
  oldest(list: number): number {
    const block = this.oldestOf[list] as number
    if (block === NONE) throw new RangeError(`list is empty list=${list}`)
    return block
  }

  /** Takes the block out of its list, if it is in one. */
  remove(block: number): void {
    const list = this.listOf(block)
    if (list === 0) return
    const [before, after] = [this.before[block] as number, this.after[block] as number]
    if (before === NONE) this.oldestOf[list] = after
    else this.after[before] = after
    if (after === NONE) this.newestOf[list] = before
    else this.before[after] = before
    this.member[block] = 0
    this.countOf[list] = this.count(list) - 1
  }
}
