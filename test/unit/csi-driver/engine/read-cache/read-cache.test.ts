// Proves: memory per cached block, index included, stays within 32 bytes (counted from the real arrays); S3-FIFO misses
// less than LRU on the traces of the research; slots, generations and counters are consistent through eviction, release,
// pinning and clear. Miss ratios are compared, not asserted as figures.
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

/** Misses of a trace with S3-FIFO behind an index made of a map. */
function missesOfReadCache(trace: Uint32Array, slots: number): number {
  const slotOf = new Map<number, number>()
  const cache = new ReadCache({ slots, onEvict: (block) => slotOf.delete(block) })
  let misses = 0
  for (const block of trace) {
    const slot = slotOf.get(block)
    if (slot !== undefined) cache.touch(slot)
    else {
      misses++
      slotOf.set(block, cache.insert(block))
    }
  }
  return misses
}

function missesOfLru(trace: Uint32Array, slots: number): number {
  const blocks = new Map<number, true>()
  let misses = 0
  for (const block of trace) {
    if (!blocks.delete(block)) {
      misses++
      if (blocks.size === slots) blocks.delete(blocks.keys().next().value as number)
    }
    blocks.set(block, true)
  }
  return misses
}

function zipfTrace(exponent: number, length: number): Uint32Array {
  const universe = 100_000
  const prng = createPrng(`zipf ${exponent}`)
  const cumulative = new Float64Array(universe)
  let sum = 0
  for (let i = 0; i < universe; i++) cumulative[i] = sum += 1 / (i + 1) ** exponent
  return Uint32Array.from({ length }, () => {
    const drawn = prng.float() * sum
    let low = 0
    let high = universe - 1
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((cumulative[middle] as number) < drawn) low = middle + 1
      else high = middle
    }
    return low
  })
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

describe('miss ratio against LRU', () => {
  test.each([0.7, 0.9, 1.1])('zipf %f, 10,000 blocks', (exponent) => {
    const trace = zipfTrace(exponent, 300_000)
    expect(missesOfReadCache(trace, 10_000)).toBeLessThan(missesOfLru(trace, 10_000))
  })

  test('zipf 0.9 with a scan mixed in', () => {
    const trace = zipfTrace(0.9, 300_000).map((block, i) => (i % 5 === 0 ? 1_000_000 + i : block))
    expect(missesOfReadCache(trace, 10_000)).toBeLessThan(missesOfLru(trace, 10_000))
  })

  test('a loop that is a little larger than the cache, where LRU always misses', () => {
    const trace = Uint32Array.from({ length: 300_000 }, (_, i) => i % 12_000)
    expect(missesOfLru(trace, 10_000)).toBe(300_000)
    expect(missesOfReadCache(trace, 10_000)).toBeLessThan(150_000)
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
