// Hashes of the whole blocks that a read has brought, in the places of the question that asked for them.
import { BLOCK_BYTES } from '../../../base/units.ts'
import { xxhash64Low32 } from '../../../base/xxhash64.ts'
import type { BlockNumber } from '../../../base/units.ts'
import type { MissRead } from './asks.ts'

/** Null where the read holds only a part of the block. */
export function hashesOfRead(read: MissRead, firstBlock: BlockNumber, count: number): (number | null)[] {
  return Array.from({ length: count }, (_, i) => {
    const at = read.start + (firstBlock + i) * BLOCK_BYTES - read.position
    if (at < read.start || at + BLOCK_BYTES > read.start + read.length) return null
    return xxhash64Low32(read.buffer, at, at + BLOCK_BYTES)
  })
}

/** Number of the first block whose two hashes are known and differ; -1: none. `equal`: some are known in both. */
export function compareHashes(
  one: readonly (number | null)[],
  other: readonly (number | null)[],
): { readonly differs: number; readonly equal: boolean } {
  let equal = false
  for (const [i, hash] of one.entries()) {
    const said = other[i] ?? null
    if (hash === null || said === null) continue
    if (hash !== said) return { differs: i, equal }
    equal = true
  }
  return { differs: -1, equal }
}

/** What an answer says, block by block: the hash where the block is there and is what its hash says, else null. */
export function hashesOfAnswer(
  answer: {
    readonly held: number
    readonly hashes: readonly number[]
    readonly data: Buffer
  },
  count: number,
): (number | null)[] {
  let next = 0
  return Array.from({ length: count }, (_, i) => {
    if ((answer.held & (1 << i)) === 0) return null
    const at = next * BLOCK_BYTES
    const hash = answer.hashes[next] as number
    next += 1
    return xxhash64Low32(answer.data, at, at + BLOCK_BYTES) === hash ? hash : null
  })
}
