// Proves: memory per cached block, index included, stays within 32 bytes (counted from the real arrays); slots,
// generations and counters are consistent through eviction, release, pinning and clear. How good the choice of blocks is
// stands in test/policies.
import { createPrng } from '../../../../../base/prng.ts'
import { ExtentIndex } from '../../../../../csi-driver/engine/index/extent-index.ts'
import { ReadCache } from '../../../../../csi-driver/engine/read-cache/read-cache.ts'

/** Bytes of all typed arrays reachable from an object. */
function typedArrayBytes(root: object, seen = new Set<object>()): number {
  if (seen.has(root)) return 0
  seen.add(root)
  if (ArrayBuffer.isView(root)) return root.byteLength
  let bytes = 0
  for (const value of Object.values(root)) {
    if (typeof value === 'object' && value !== null) bytes += typedArrayBytes(value, seen)
  }
  return bytes
}

describe('memory', () => {
  test('cache and index take at most 32 bytes for each cached block', () => {
    const slots = 1 << 16
    const dirtyBlocks = 1 << 14
    const cache = new ReadCache({ slots, onEvict: () => undefined })
    const index = new ExtentIndex({
      capacityBlocks: slots + dirtyBlocks,
      logEndSector: 1 << 20,
      fragmentsMax: ExtentIndex.fragmentsMaxFor(1 << 26),
      onCleanGone: () => undefined,
    })
    const cacheBytes = typedArrayBytes(cache)
    const indexBytes = typedArrayBytes(index)
    expect(cacheBytes).toBe(ReadCache.bytesFor(slots))
    expect(cacheBytes / slots + indexBytes / (slots + dirtyBlocks)).toBeLessThanOrEqual(32)
    expect(indexBytes).toBeGreaterThanOrEqual(ExtentIndex.bytesFor(slots + dirtyBlocks))
  })
})

describe('slots', () => {
  test('a cache without slots refuses everything', () => {
    const cache = new ReadCache({ slots: 0, onEvict: () => undefined })
    expect(cache.insert(1)).toBe(-1)
    expect(cache.refusals).toBe(1)
  })

  test('the generation changes when the slot stops holding the block', () => {
    const evicted: number[] = []
    const cache = new ReadCache({ slots: 2, onEvict: (block) => evicted.push(block) })
    const first = cache.insert(10)
    cache.insert(11)
    const generation = cache.generationOf(first)
    expect(cache.insert(12)).toBe(first)
    expect(evicted).toEqual([10])
    expect(cache.generationOf(first)).not.toBe(generation)
    const held = cache.generationOf(first)
    cache.release(first)
    expect(cache.generationOf(first)).not.toBe(held)
    expect(cache.blockOf(first)).toBe(-1)
    expect(cache.used).toBe(1)
  })

  test('a block that comes back soon after its eviction counts as a ghost hit', () => {
    const cache = new ReadCache({ slots: 20, onEvict: () => undefined })
    for (let block = 0; block < 21; block++) cache.insert(block)
    cache.insert(0)
    expect([cache.inserts, cache.evictions, cache.ghostHits]).toEqual([22, 2, 1])
  })

  test('clear gives up every block once', () => {
    const evicted: number[] = []
    const cache = new ReadCache({ slots: 8, onEvict: (block) => evicted.push(block) })
    for (let block = 0; block < 8; block++) cache.insert(block)
    cache.clear()
    expect(evicted).toEqual([0, 1, 2, 3, 4, 5, 6, 7])
    expect(cache.used).toBe(0)
    for (let block = 0; block < 8; block++) expect(cache.insert(block)).toBeGreaterThanOrEqual(0)
    expect(cache.evictions).toBe(0)
  })

  test('dead slots stay few when as many blocks die as are inserted', () => {
    const slots = 10_000
    const prng = createPrng('dead')
    const cache = new ReadCache({ slots, onEvict: () => undefined })
    let deadMax = 0
    for (let block = 0; block < 10 * slots; block++) {
      cache.insert(block)
      const slot = prng.below(slots)
      if (cache.used === slots && cache.blockOf(slot) >= 0) cache.touch(slot)
      const victim = prng.below(slots)
      if (block > slots && cache.blockOf(victim) >= 0) cache.release(victim)
      deadMax = Math.max(deadMax, cache.deadSlots)
    }
    expect(deadMax).toBeLessThan(slots / 8)
  })
})
