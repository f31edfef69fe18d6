// Fragments of blocks whose sectors live in more than one place: nodes of 14 bytes in typed arrays, chained through
// `next`, with a free list. Blocks with a single fragment keep it in their index entry and use no node. The pool starts
// small and doubles up to a limit that follows from the log's size: every dirty fragment owns at least one sector of
// the log, and a chain has at most one clean one.
import { assert } from '../../../base/assert.ts'

/** End of a chain. */
export const NO_NODE = 0xffffffff

const FIRST_CAPACITY = 256
const BYTES_PER_NODE = 14

export class FragmentPool {
  readonly nodesMax: number
  /** Nodes in chains now. */
  used = 0
  base: Uint32Array
  hash: Uint32Array
  next: Uint32Array
  /** Valid mask in the low byte, original run in the high byte. */
  bits: Uint16Array
  private freeHead = NO_NODE
  /** Nodes from here on were never used and are in no list. */
  private fresh = 0

  constructor(nodesMax: number) {
    this.nodesMax = nodesMax
    const capacity = Math.min(FIRST_CAPACITY, nodesMax)
    this.base = new Uint32Array(capacity)
    this.hash = new Uint32Array(capacity)
    this.next = new Uint32Array(capacity)
    this.bits = new Uint16Array(capacity)
  }

  /** Bytes taken now. */
  get bytes(): number {
    return this.base.length * BYTES_PER_NODE
  }

  get free(): number {
    return this.nodesMax - this.used
  }

  /** A node with undefined content. Asserts that the limit is not passed: admission looks at `free` before. */
  take(): number {
    assert(this.used < this.nodesMax, `fragment pool is full nodes=${this.nodesMax}`)
    this.used++
    if (this.freeHead !== NO_NODE) {
      const node = this.freeHead
      this.freeHead = this.next[node] as number
      return node
    }
    if (this.fresh === this.base.length) this.grow()
    return this.fresh++
  }

  give(node: number): void {
    this.next[node] = this.freeHead
    this.freeHead = node
    this.used--
  }

  private grow(): void {
    const capacity = Math.min(this.base.length * 2, this.nodesMax)
    const { base, hash, next, bits } = this
    this.base = new Uint32Array(capacity)
    this.hash = new Uint32Array(capacity)
    this.next = new Uint32Array(capacity)
    this.bits = new Uint16Array(capacity)
    this.base.set(base)
    this.hash.set(hash)
    this.next.set(next)
    this.bits.set(bits)
  }
}
