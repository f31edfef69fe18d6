// The hash table of the extent index: block number → one entry of 14 bytes. Open addressing with linear probing, at
// most 80 % full, backward-shift deletion (no tombstones, so lookups never get slower with age). All memory is taken
// at construction: three 32-bit words and one 16-bit word per place.
//
//   words[3p]    block number + 1; 0 = empty place. Hence blocks are < 2^32 - 1 (volumes up to 16 TiB less a block).
//   words[3p+1]  and words[3p+2], bits[p]: the owner's (extent-index.ts).
//
// Positions are valid until the next insert or remove. The size is not a power of two: the mixed block number is
// scaled to it by one multiplication, so that the bytes follow the cache size exactly.
import { assert } from '../../../base/assert.ts'

/** Fullest allowed: at 0.8 a hit costs about 3 probes and a miss about 13, five of which share a cache line. */
const LOAD_MAX = 0.8
const WORDS_PER_ENTRY = 3
const BYTES_PER_ENTRY = WORDS_PER_ENTRY * 4 + 2
const PLACES_MAX = 2 ** 30
const TWO_TO_32 = 2 ** 32

/** Largest block number that can be stored. */
export const BLOCK_NUMBER_MAX = 2 ** 32 - 2

export class BlockTable {
  /** Most entries that may be stored. */
  readonly capacity: number
  /** Number of places; positions are 0 … places - 1. */
  readonly places: number
  readonly words: Uint32Array
  readonly bits: Uint16Array
  /** Entries stored now. */
  count = 0
  private readonly scale: number

  constructor(capacity: number) {
    this.capacity = capacity
    this.places = BlockTable.placesFor(capacity)
    assert(this.places <= PLACES_MAX, `index table too large capacity=${capacity}`)
    this.words = new Uint32Array(this.places * WORDS_PER_ENTRY)
    this.bits = new Uint16Array(this.places)
    this.scale = this.places / TWO_TO_32
  }

  static bytesFor(capacity: number): number {
    return BlockTable.placesFor(capacity) * BYTES_PER_ENTRY
  }

  private static placesFor(capacity: number): number {
    // One place is always empty: it ends every probe.
    return Math.max(Math.ceil(capacity / LOAD_MAX), capacity + 1, 2)
  }

  /** Position of the block's entry, or -1 - (the empty place where it belongs). */
  probe(block: number): number {
    const words = this.words
    const key = block + 1
    let position = this.home(block)
    for (;;) {
      const found = words[position * 3] as number
      if (found === key) return position
      if (found === 0) return -1 - position
      position++
      if (position === this.places) position = 0
    }
  }

  blockAt(position: number): number {
    return (this.words[position * 3] as number) - 1
  }

  isEmptyAt(position: number): boolean {
    return this.words[position * 3] === 0
  }

  /** Takes the empty place that a failed probe named. The caller fills the rest. */
  insertAt(position: number, block: number): void {
    assert(this.count < this.capacity, `index table is full capacity=${this.capacity}`)
    this.words[position * 3] = block + 1
    this.count++
  }

  /** Removes an entry; entries behind it may move one or more places towards it. */
  removeAt(position: number): void {
    const { words, bits, places } = this
    let hole = position
    let next = position
    for (;;) {
      next = next + 1 === places ? 0 : next + 1
      const key = words[next * 3] as number
      if (key === 0) break
      let fromHome = next - this.home(key - 1)
      if (fromHome < 0) fromHome += places
      let fromHole = next - hole
      if (fromHole < 0) fromHole += places
      // An entry may not move in front of its home place: a probe would no longer pass it.
      if (fromHome < fromHole) continue
      words[hole * 3] = key
      words[hole * 3 + 1] = words[next * 3 + 1] as number
      words[hole * 3 + 2] = words[next * 3 + 2] as number
      bits[hole] = bits[next] as number
      hole = next
    }
    words[hole * 3] = 0
    bits[hole] = 0
    this.count--
  }

  /** Two multiply-and-fold rounds, then the high bits scaled to the table: strided and dense ranges spread alike. */
  private home(block: number): number {
    let mixed = Math.imul(block ^ (block >>> 16), 0x7feb352d)
    mixed = Math.imul(mixed ^ (mixed >>> 15), 0x846ca68b)
    return ((mixed >>> 0) * this.scale) | 0
  }
}
