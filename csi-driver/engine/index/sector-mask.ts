// Masks of the eight 512-byte sectors of a 4 KiB block: bit i stands for sector i. What a record wrote of a block is
// always one run of neighbouring sectors, of which there are 36; a run is stored as a 6-bit code so that an index entry
// keeps two bits for flags. What is still valid of a run may be any subset of it.
import { SECTORS_PER_BLOCK } from '../../../base/units.ts'

/** All sectors of a block. */
export const FULL_MASK = 0xff

/** Number of set bits of every 8-bit mask. */
export const SECTORS_OF_MASK = new Uint8Array(256)
/** Code 1–36 of every mask that is one run of neighbouring sectors; 0 for all others. */
export const CODE_OF_RUN = new Uint8Array(256)
/** The run that a code stands for; 0 for codes that stand for none. 64 entries, so that any six bits are an index. */
export const RUN_OF_CODE = new Uint8Array(64)

for (let mask = 1; mask < 256; mask++) {
  SECTORS_OF_MASK[mask] = (SECTORS_OF_MASK[mask >>> 1] as number) + (mask & 1)
}
let code = 0
for (let length = 1; length <= SECTORS_PER_BLOCK; length++) {
  for (let first = 0; first + length <= SECTORS_PER_BLOCK; first++) {
    code++
    const run = ((1 << length) - 1) << first
    CODE_OF_RUN[run] = code
    RUN_OF_CODE[code] = run
  }
}

/** The sectors of `block` inside [startSector, endSector); 0 when it lies outside. */
export function maskInside(block: number, startSector: number, endSector: number): number {
  const blockStart = block * SECTORS_PER_BLOCK
  const first = Math.max(startSector - blockStart, 0)
  const end = Math.min(endSector - blockStart, SECTORS_PER_BLOCK)
  if (first >= end) return 0
  return ((1 << end) - 1) & ~((1 << first) - 1)
}

/** Number (0–7) of the lowest sector of a mask that is not empty. */
export function firstSectorOf(mask: number): number {
  return 31 - Math.clz32(mask & -mask)
}

/** Number of neighbouring sectors of the mask from sector `first` on, which must be in it. */
export function runLengthAt(mask: number, first: number): number {
  const clear = ~(mask >>> first)
  return 31 - Math.clz32(clear & -clear)
}
