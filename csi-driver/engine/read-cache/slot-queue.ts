// A FIFO of slots as a singly linked list through an array that all queues and the free list of a cache share (a slot
// is in one of them at a time), so a slot costs 4 bytes whatever queue it is in. Slots that died inside a queue stay
// linked until they reach its head or until the sweep cursor meets them.

export const NO_SLOT = -1

export class SlotQueue {
  /** Linked slots, dead ones included. */
  count = 0
  /** Dead slots still linked; kept by the owner. */
  dead = 0
  private head = NO_SLOT
  private tail = NO_SLOT
  /** The sweep looks next at the slot behind this one; NO_SLOT = at the head. */
  private cursor = NO_SLOT
  private readonly next: Int32Array

  constructor(next: Int32Array) {
    this.next = next
  }

  push(slot: number): void {
    this.next[slot] = NO_SLOT
    if (this.tail === NO_SLOT) this.head = slot
    else this.next[this.tail] = slot
    this.tail = slot
    this.count++
  }

  /** The oldest slot; NO_SLOT when empty. */
  pop(): number {
    const slot = this.head
    if (slot === NO_SLOT) return NO_SLOT
    this.head = this.next[slot] as number
    if (this.head === NO_SLOT) this.tail = NO_SLOT
    if (this.cursor === slot) this.cursor = NO_SLOT
    this.count--
    return slot
  }

  /** The slot under the sweep cursor; NO_SLOT at the end, after which the sweep begins again at the head. */
  sweepSlot(): number {
    const slot = this.cursor === NO_SLOT ? this.head : (this.next[this.cursor] as number)
    if (slot === NO_SLOT) this.cursor = NO_SLOT
    return slot
  }

  /** Moves the cursor past `slot`, which sweepSlot has just returned. */
  sweepKeep(slot: number): void {
    this.cursor = slot
  }

  /** Unlinks `slot`, which sweepSlot has just returned. */
  sweepRemove(slot: number): void {
    const after = this.next[slot] as number
    if (this.cursor === NO_SLOT) this.head = after
    else this.next[this.cursor] = after
    if (this.tail === slot) this.tail = this.cursor
    this.count--
  }
}
