// The policies once more, each so plain that it can be held against its description line by line: lists are arrays that
// are searched, the future is looked up by reading on. Far too slow for long traces; the tests hold the fast ones (and
// the product's own) against them read by read.
import type { Trace } from './replacement-policy.ts'

/** Answers whether the block was cached, and takes it in. */
type Read = (block: number, position: number) => boolean

function missesWith(trace: Trace, read: Read): Uint8Array {
  return Uint8Array.from(trace, (block, position) => (read(block, position) ? 0 : 1))
}

function without(list: number[], block: number): boolean {
  const at = list.indexOf(block)
  if (at >= 0) list.splice(at, 1)
  return at >= 0
}

export function plainLruMisses(trace: Trace, slots: number): Uint8Array {
  const cached: number[] = []
  return missesWith(trace, (block) => {
    const hit = without(cached, block)
    if (!hit && cached.length === slots) cached.shift()
    cached.push(block)
    return hit
  })
}

export function plainMinMisses(trace: Trace, slots: number): Uint8Array {
  const cached = new Set<number>()
  return missesWith(trace, (block, position) => {
    const hit = cached.has(block)
    if (!hit && cached.size === slots) cached.delete(farthest(cached, trace.subarray(position + 1)))
    cached.add(block)
    return hit
  })
}

function farthest(cached: ReadonlySet<number>, future: Trace): number {
  const distance = (block: number): number =>
    future.includes(block) ? future.indexOf(block) : Number.POSITIVE_INFINITY
  return [...cached].reduce((worst, block) => (distance(block) > distance(worst) ? block : worst))
}

/** Figure 4 of the paper, cases I to IV, with its names. */
export function plainArcMisses(trace: Trace, slots: number): Uint8Array {
  const t1: number[] = []
  const t2: number[] = []
  const b1: number[] = []
  const b2: number[] = []
  let p = 0
  function replace(isInB2: boolean): void {
    if (t1.length > 0 && (t1.length > p || (isInB2 && t1.length === p))) b1.push(t1.shift() as number)
    else b2.push(t2.shift() as number)
  }
  function caseFour(): void {
    const l1 = t1.length + b1.length
    const all = l1 + t2.length + b2.length
    if (l1 === slots) {
      if (t1.length < slots) {
        b1.shift()
        replace(false)
      } else t1.shift()
    } else if (all >= slots) {
      if (all === 2 * slots) b2.shift()
      replace(false)
    }
  }
  return missesWith(trace, (block) => {
    const hit = without(t1, block) || without(t2, block)
    if (hit) t2.push(block)
    else if (b1.includes(block)) {
      p = Math.min(slots, p + Math.max(1, b2.length / b1.length))
      replace(false)
      without(b1, block)
      t2.push(block)
    } else if (b2.includes(block)) {
      p = Math.max(0, p - Math.max(1, b1.length / b2.length))
      replace(true)
      without(b2, block)
      t2.push(block)
    } else {
      caseFour()
      t1.push(block)
    }
    return hit
  })
}

interface Entry {
  readonly block: number
  uses: number
}

/** What S3-FIFO as the product has it is bound by, apart from the number of slots. */
export interface S3FifoLimits {
  /** Moves of an eviction, after which the oldest block of the main queue goes whatever its uses. */
  readonly evictSteps: number
  /** Places of the ghost; the oldest place is written next, whether its block is still remembered or not. */
  readonly ghostPlaces: number
}

export function plainS3FifoMisses(trace: Trace, slots: number, limits: S3FifoLimits): Uint8Array {
  const small: Entry[] = []
  const main: Entry[] = []
  const ghost: (number | null)[] = []
  const smallTarget = Math.max(1, Math.floor(slots / 10))

  function remember(block: number): void {
    ghost.push(block)
    if (ghost.length > limits.ghostPlaces) ghost.shift()
  }
  /** Whether one block went. */
  function moved(): boolean {
    if (small.length > smallTarget || main.length === 0) {
      const { block, uses } = small.shift() as Entry
      if (uses >= 2) main.push({ block, uses: 0 })
      else remember(block)
      return uses < 2
    }
    const { block, uses } = main.shift() as Entry
    if (uses > 0) main.push({ block, uses: uses - 1 })
    return uses === 0
  }
  function evict(): void {
    for (let step = 0; step < limits.evictSteps; step++) if (moved()) return
    if (main.length > 0) main.shift()
    else small.shift()
  }

  return missesWith(trace, (block) => {
    const found = [...small, ...main].find((entry) => entry.block === block)
    if (found !== undefined) {
      found.uses = Math.min(3, found.uses + 1)
      return true
    }
    if (small.length + main.length === slots) evict()
    const remembered = ghost.indexOf(block)
    if (remembered >= 0) ghost[remembered] = null
    ;(remembered >= 0 ? main : small).push({ block, uses: 0 })
    return false
  })
}
