// A plain model beside an ExtentIndex: a map from sector to {base, orig, hash, dirty}. Every action is applied to both;
// `check` compares all they can be asked.
import { ExtentIndex } from '../../csi-driver/engine/index/extent-index.ts'
import type { GenerationSnapshot } from '../../csi-driver/engine/index/generation-snapshot.ts'
import { extentIndexProblems } from '../../csi-driver/engine/index/invariants.ts'
import { ZeroRanges } from '../../csi-driver/engine/index/zero-ranges.ts'

export type Action =
  | { kind: 'write'; sector: number; sectors: number }
  | { kind: 'rewrite'; block: number; first: number; sectors: number }
  | { kind: 'fill'; block: number }
  | { kind: 'evict'; block: number }
  | { kind: 'zero'; sector: number; sectors: number }
  | { kind: 'freeze' }
  | { kind: 'settle'; fill: boolean }
  | { kind: 'fail' }

interface Place {
  readonly base: number
  readonly orig: number
  readonly hash: number
  readonly dirty: boolean
}

const LOG_END = 1 << 20

export function createExtentIndexModel(blocks: number, capacityBlocks: number) {
  const sectors = new Map<number, Place>()
  const slotsInUse = new Set<number>()
  const zeroRanges = new ZeroRanges()
  let nextLogSector = 64
  let nextSlot = 0
  let snapshot: GenerationSnapshot | null = null
  let frozen = new Map<number, Place>()
  const index = new ExtentIndex({
    capacityBlocks,
    logEndSector: LOG_END,
    fragmentsMax: blocks * 8,
    onCleanGone: (slot) => expect(slotsInUse.delete(slot)).toBe(true),
    dirtyListBlocks: 6,
  })

  function write(sector: number, end: number): void {
    for (let at = sector; at < end; ) {
      const block = Math.floor(at / 8)
      const first = at - block * 8
      const count = Math.min(8 - first, end - at)
      const orig = ((1 << count) - 1) << first
      const hash = (nextLogSector * 2654435761) >>> 0
      const base = nextLogSector - first
      index.putDirty(block, orig, base, hash)
      for (let i = 0; i < count; i++) sectors.set(at + i, { base, orig, hash, dirty: true })
      nextLogSector += count
      at += count
    }
  }

  function blockIsEmpty(block: number): boolean {
    for (let i = 0; i < 8; i++) if (sectors.has(block * 8 + i)) return false
    return true
  }

  function takeSlot(): number {
    slotsInUse.add(nextSlot)
    return nextSlot++
  }

  function fill(block: number): void {
    const slot = takeSlot()
    const base = index.sectorOfSlot(slot)
    const taken = index.putClean(block, slot, slot)
    expect(taken).toBe(blockIsEmpty(block))
    if (!taken) slotsInUse.delete(slot)
    else for (let i = 0; i < 8; i++) sectors.set(block * 8 + i, { base, orig: 255, hash: slot, dirty: false })
  }

  function evict(block: number): void {
    const clean = places(block).find((place) => !place.dirty)
    const slot = clean === undefined ? 0 : index.slotOfBase(clean.base)
    expect(index.dropClean(block, slot)).toBe(clean !== undefined)
    if (clean === undefined) return
    slotsInUse.delete(slot)
    for (let i = 0; i < 8; i++) if (sectors.get(block * 8 + i)?.base === clean.base) sectors.delete(block * 8 + i)
  }

  function places(block: number): Place[] {
    const found: Place[] = []
    for (let i = 0; i < 8; i++) {
      const place = sectors.get(block * 8 + i)
      if (place !== undefined) found.push(place)
    }
    return found
  }

  function freeze(): void {
    if (snapshot !== null) return
    snapshot = index.freeze(zeroRanges)
    frozen = new Map([...sectors].filter(([, place]) => place.dirty))
    const seen = new Map<number, Place>()
    let previous = -1
    for (let i = 0; i < snapshot.count; i++) {
      const block = snapshot.block[i] as number
      const valid = snapshot.valid[i] as number
      const key = block * 8 + 31 - Math.clz32(valid & -valid)
      expect(key).toBeGreaterThan(previous)
      previous = key
      for (let bit = 0; bit < 8; bit++) {
        if (((valid >>> bit) & 1) === 0) continue
        seen.set(block * 8 + bit, {
          base: snapshot.base[i] as number,
          orig: snapshot.orig[i] as number,
          hash: snapshot.hash[i] as number,
          dirty: true,
        })
      }
    }
    expect(seen).toEqual(frozen)
    expect(snapshot.dirtySectorsTotal).toBe(frozen.size)
    for (let block = 0; block < blocks; block++) {
      expect(snapshot.overlaps(block, block)).toBe([...frozen.keys()].some((sector) => sector >>> 3 === block))
    }
  }

  function settle(withSlot: boolean): void {
    if (snapshot === null) return
    for (let i = 0; i < snapshot.count; i++) settleOne(snapshot, i, withSlot)
    snapshot = null
  }

  function settleOne(from: GenerationSnapshot, i: number, withSlot: boolean): void {
    const block = from.block[i] as number
    const slot = withSlot && from.valid[i] === 255 ? takeSlot() : -1
    const isFrozen = (place: Place | undefined) => place?.base === from.base[i] && place?.orig === from.orig[i]
    const left = places(block).filter(isFrozen).length
    const taken = index.settle(from, i, slot)
    expect(taken).toBe(slot >= 0 && left === 8)
    if (!taken && slot >= 0) slotsInUse.delete(slot)
    for (let sector = block * 8; sector < block * 8 + 8; sector++) {
      if (!isFrozen(sectors.get(sector))) continue
      if (!taken) sectors.delete(sector)
      else {
        sectors.set(sector, { base: index.sectorOfSlot(slot), orig: 255, hash: from.hash[i] as number, dirty: false })
      }
    }
  }

  function apply(action: Action): void {
    const volumeEnd = blocks * 8
    switch (action.kind) {
      case 'write':
        return write(action.sector, Math.min(action.sector + action.sectors, volumeEnd))
      case 'rewrite': {
        const sector = action.block * 8 + action.first
        return write(sector, Math.min(sector + action.sectors, action.block * 8 + 8))
      }
      case 'fill':
        return fill(action.block)
      case 'evict':
        return evict(action.block)
      case 'zero': {
        const end = Math.min(action.sector + action.sectors, volumeEnd)
        index.removeRange(action.sector, end)
        for (let sector = action.sector; sector < end; sector++) sectors.delete(sector)
        return
      }
      case 'freeze':
        return freeze()
      case 'settle':
        return settle(action.fill)
      case 'fail':
        if (snapshot !== null) index.relist(snapshot)
        snapshot = null
    }
  }

  function check(): void {
    expect(extentIndexProblems(index)).toEqual([])
    const found = new Map<number, Place>()
    const slots = new Set<number>()
    index.forEachFragment((fragment) => {
      if (!fragment.dirty) slots.add(index.slotOfBase(fragment.base))
      for (let bit = 0; bit < 8; bit++) {
        if (((fragment.valid >>> bit) & 1) === 0) continue
        const { base, orig, hash, dirty } = fragment
        found.set(fragment.block * 8 + bit, { base, orig, hash, dirty })
      }
    })
    expect(found).toEqual(sectors)
    expect(slots).toEqual(slotsInUse)
    let dirty = 0
    for (let block = 0; block < blocks; block++) {
      const mask = places(block).reduce((count, place) => count + (place.dirty ? 1 : 0), 0)
      dirty += mask
      expect(index.hasDirty(block, block)).toBe(mask > 0)
    }
    expect(index.hasDirty(0, blocks * 1000)).toBe(dirty > 0)
    expect(index.dirtySectors).toBe(dirty)
  }

  return { index, apply, check }
}
