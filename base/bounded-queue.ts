// A first-in-first-out queue with a limit (invariant 10: every queue is bounded). Full is an answer, never growth.
// A ring of fixed slots: O(1) in both directions, no allocation after construction, no element kept alive once taken.
import { assert } from './assert.ts'

export class BoundedQueue<T> {
  readonly limit: number
  private readonly slots: (T | undefined)[]
  private head = 0
  private count = 0

  /** `limit` is the largest number of elements, at least 1; the ring is allocated at once. */
  constructor(limit: number) {
    assert(Number.isInteger(limit) && limit >= 1, `queue limit must be a positive integer limit=${limit}`)
    this.limit = limit
    this.slots = Array.from({ length: limit }, () => undefined)
  }

  get size(): number {
    return this.count
  }

  get isEmpty(): boolean {
    return this.count === 0
  }

  get isFull(): boolean {
    return this.count === this.limit
  }

  /** Appends; false and unchanged when full. */
  push(element: T): boolean {
    if (this.count === this.limit) return false
    this.slots[this.slotOf(this.count)] = element
    this.count++
    return true
  }

  /** Removes and returns the oldest element; undefined when empty. */
  take(): T | undefined {
    if (this.count === 0) return undefined
    const element = this.slots[this.head]
    this.slots[this.head] = undefined
    this.head = this.head + 1 === this.limit ? 0 : this.head + 1
    this.count--
    return element
  }

  /** The oldest element without removing it. */
  peek(): T | undefined {
    return this.count === 0 ? undefined : this.slots[this.head]
  }

  /** The element `index` places behind the oldest one; undefined beyond the end. */
  at(index: number): T | undefined {
    return index < 0 || index >= this.count ? undefined : this.slots[this.slotOf(index)]
  }

  clear(): void {
    this.slots.fill(undefined)
    this.head = 0
    this.count = 0
  }

  private slotOf(index: number): number {
    const slot = this.head + index
    return slot >= this.limit ? slot - this.limit : slot
  }
}
