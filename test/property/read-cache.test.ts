// Proves: whatever is inserted, touched, released, pinned and cleared in any order, a slot never holds two blocks, a
// pinned slot is never handed out, every block leaves by exactly one callback or release, and the index in front of the
// cache stays consistent with it. How: read cache and extent index together, against a map from slot to block.
import * as fc from 'fast-check'
import { ExtentIndex } from '../../csi-driver/engine/index/extent-index.ts'
import { extentIndexProblems } from '../../csi-driver/engine/index/invariants.ts'
import { ReadCache } from '../../csi-driver/engine/read-cache/read-cache.ts'

const BLOCKS = 64

const step = fc.record({
  kind: fc.constantFrom('read', 'read', 'read', 'read', 'write', 'partial', 'zero', 'pin', 'unpin', 'clear' as const),
  block: fc.oneof(fc.nat({ max: 7 }), fc.nat({ max: BLOCKS - 1 })),
})

function createPair(slots: number) {
  const blockOf = new Map<number, number>()
  const pinned = new Map<number, number>()
  let logSector = 0
  const cache = new ReadCache({
    slots,
    onEvict: (block, slot) => {
      expect(blockOf.get(slot)).toBe(block)
      blockOf.delete(slot)
      expect(index.dropClean(block, slot)).toBe(true)
    },
  })
  const index = new ExtentIndex({
    capacityBlocks: BLOCKS + slots,
    logEndSector: 1 << 20,
    fragmentsMax: 16 * BLOCKS,
    onCleanGone: (slot) => {
      expect(blockOf.delete(slot)).toBe(true)
      cache.release(slot)
    },
  })

  function read(block: number): void {
    if (index.find(block) > 0) {
      const slot = index.slotOfBase(index.fragmentBase[0] as number)
      if (slot >= 0) cache.touch(slot)
      return
    }
    const slot = cache.insert(block)
    if (slot < 0) return expect(pinned.size).toBeGreaterThan(0)
    expect(blockOf.has(slot)).toBe(false)
    expect(pinned.has(slot)).toBe(false)
    blockOf.set(slot, block)
    expect(index.putClean(block, slot, block)).toBe(true)
  }

  function apply(kind: string, block: number): void {
    const slot = [...blockOf].find(([, held]) => held === block)?.[0]
    if (kind === 'read') read(block)
    else if (kind === 'write') index.putDirty(block, 255, (logSector += 8), 0)
    else if (kind === 'partial') index.putDirty(block, 1 << (block % 8), (logSector += 8), 0)
    else if (kind === 'zero') index.removeRange(block * 8 + 3, block * 8 + 40)
    else if (kind === 'clear') cache.clear()
    else if (kind === 'pin' && slot !== undefined && pinned.size < slots - 1) {
      pinned.set(slot, block)
      cache.pin(slot)
    } else if (kind === 'unpin') {
      for (const [held] of [...pinned].filter(([, pinnedBlock]) => pinnedBlock <= block)) {
        pinned.delete(held)
        cache.unpin(held)
      }
    }
  }

  function check(): void {
    expect(cache.used).toBe(blockOf.size)
    expect(cache.used + cache.deadSlots).toBeLessThanOrEqual(slots)
    for (let slot = 0; slot < slots; slot++) expect(cache.blockOf(slot)).toBe(blockOf.get(slot) ?? -1)
    expect(extentIndexProblems(index)).toEqual([])
    const clean = new Map<number, number>()
    index.forEachFragment((fragment) => {
      if (!fragment.dirty) clean.set(index.slotOfBase(fragment.base), fragment.block)
    })
    expect(clean).toEqual(blockOf)
  }
  return { apply, check }
}

describe('read cache and extent index', () => {
  test('agree on the life of every slot', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 24 }), fc.array(step, { maxLength: 300 }), (slots, steps) => {
        const pair = createPair(slots)
        for (const [i, { kind, block }] of steps.entries()) {
          pair.apply(kind, block)
          if (i % 16 === 0) pair.check()
        }
        pair.check()
      }),
      { numRuns: 200 },
    )
  })
})
