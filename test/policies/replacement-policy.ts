// What all the policies under comparison have in common: a trace of block numbers is run through a cache of so many
// blocks that takes in every block it misses, as the read cache does.

/** Blocks that are read, in order; numbers below 2^24, since the policies keep arrays over all of them. */
export type Trace = Uint32Array

/** For each read of the trace 1 where it missed, 0 where it hit. `slots` ≥ 1: the blocks that the cache holds. */
export type ReplacementPolicy = (trace: Trace, slots: number) => Uint8Array

/** One more than the greatest block. */
export function universeOf(trace: Trace): number {
  return trace.reduce((greatest, block) => Math.max(greatest, block), 0) + 1
}

export function missCount(misses: Uint8Array): number {
  return misses.reduce((sum, miss) => sum + miss, 0)
}
