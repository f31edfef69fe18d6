// What the oracle writes: each sector of each write differs from every other, and says by itself which write it comes
// from, where it belongs and whether it is whole.
//
//   0   u32  low half of the sequence number of the write, from 1    8   u32  sector number
//   4   u32  high half                                              12   u32  check value of the three
//   16…512   a stream that follows from them
import type { Bytes } from '../../../base/units.ts'

export const SECTOR_BYTES: Bytes = 512
const SECTOR_WORDS = SECTOR_BYTES / 4
const TWO_32 = 2 ** 32

function mix(value: number): number {
  let x = Math.imul(value ^ (value >>> 16), 0x45d9f3b)
  x = Math.imul(x ^ (x >>> 16), 0x45d9f3b)
  return (x ^ (x >>> 16)) >>> 0
}

function checkValue(low: number, high: number, sector: number): number {
  return (mix(low ^ mix(high ^ mix(sector ^ 0x5bd1e995))) | 1) >>> 0
}

/** Fills the words of one sector. */
export function fillSector(words: Uint32Array, start: number, sequence: number, sector: number): void {
  const low = (sequence % TWO_32) >>> 0
  const high = Math.floor(sequence / TWO_32)
  const check = checkValue(low, high, sector)
  words[start] = low
  words[start + 1] = high
  words[start + 2] = sector
  words[start + 3] = check
  let state = check
  for (let i = 4; i < SECTOR_WORDS; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    words[start + i] = state
  }
}

/** Sequence number of the write that a sector comes from: 0 for zeros, −1 for what no write has ever put there. */
export function readSector(words: Uint32Array, start: number, sector: number): number {
  const low = words[start] as number
  const high = words[start + 1] as number
  const check = words[start + 3] as number
  if (check === 0) return isZero(words, start) ? 0 : -1
  if (words[start + 2] !== sector || check !== checkValue(low, high, sector)) return -1
  let state = check
  for (let i = 4; i < SECTOR_WORDS; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    if (words[start + i] !== state) return -1
  }
  return high * TWO_32 + low
}

function isZero(words: Uint32Array, start: number): boolean {
  for (let i = 0; i < SECTOR_WORDS; i++) if (words[start + i] !== 0) return false
  return true
}

/** The same memory as words. `buffer` begins on a page. */
export function wordsOf(buffer: Buffer): Uint32Array {
  return new Uint32Array(buffer.buffer, buffer.byteOffset, buffer.length / 4)
}
