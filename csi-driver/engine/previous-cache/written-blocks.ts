// Which blocks of the volume have been written since it was opened: what the cache of the owner before holds of them is old
// (rule 9). One bit a block, in memory only; a piece of the volume that nobody writes costs nothing. A bit never falls.
import type { BlockNumber, Bytes } from '../../../base/units.ts'
import { BLOCK_BYTES } from '../../../base/units.ts'

/** Blocks of one piece of the bitmap: 1 GiB of the volume, 32 KiB of memory. */
const PIECE_BLOCKS = 2 ** 18
const WORD_BITS = 32

export class WrittenBlocks {
  private readonly pieces = new Map<number, Uint32Array>()

  /** Every block that [position, position+length) touches. */
  add(position: Bytes, length: Bytes): void {
    const end = Math.ceil((position + length) / BLOCK_BYTES)
    for (let block = Math.floor(position / BLOCK_BYTES); block < end; ) {
      const number = Math.floor(block / PIECE_BLOCKS)
      const pieceEnd = Math.min(end, (number + 1) * PIECE_BLOCKS)
      setBits(this.pieceOf(number), block - number * PIECE_BLOCKS, pieceEnd - number * PIECE_BLOCKS)
      block = pieceEnd
    }
  }

  /** Whether any of the blocks first … last has been written. */
  hasAny(first: BlockNumber, last: BlockNumber): boolean {
    for (let block = first; block <= last; block += 1) {
      const piece = this.pieces.get(Math.floor(block / PIECE_BLOCKS))
      if (piece === undefined) continue
      const bit = block % PIECE_BLOCKS
      if (((piece[bit >>> 5] as number) & (1 << (bit & 31))) !== 0) return true
    }
    return false
  }

  private pieceOf(number: number): Uint32Array {
    const known = this.pieces.get(number)
    if (known !== undefined) return known
    const piece = new Uint32Array(PIECE_BLOCKS / WORD_BITS)
    this.pieces.set(number, piece)
    return piece
  }
}

/** Bits first … end - 1; whole words at once, since a discard may be as long as the volume. */
function setBits(words: Uint32Array, first: number, end: number): void {
  let bit = first
  for (; bit < end && (bit & 31) !== 0; bit += 1) words[bit >>> 5] = (words[bit >>> 5] as number) | (1 << (bit & 31))
  const wholeEnd = Math.max(bit, end - (end & 31))
  words.fill(0xffff_ffff, bit >>> 5, wholeEnd >>> 5)
  for (bit = wholeEnd; bit < end; bit += 1) words[bit >>> 5] = (words[bit >>> 5] as number) | (1 << (bit & 31))
}
