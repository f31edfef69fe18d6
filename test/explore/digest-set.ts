// The states that a search has seen, as 64-bit digests with the state each was reached from: 16 bytes a state, and the
// table grows by doubling up to a limit that the caller names. Two states of one digest would be taken for one; with n
// states that happens with probability n²/2^65, one in 3,700 at a hundred million.

const FIRST_SLOTS = 1 << 16
/** Slots that may be full, of a hundred. */
const LOAD_MAX = 60

export class DigestSet {
  #low: Uint32Array
  #high: Uint32Array
  #parent: Uint32Array
  /** Slot → number of the state + 1. */
  #slots: Uint32Array
  #count = 0

  constructor() {
    const first = Math.floor((FIRST_SLOTS * LOAD_MAX) / 100)
    this.#slots = new Uint32Array(FIRST_SLOTS)
    this.#low = new Uint32Array(first)
    this.#high = new Uint32Array(first)
    this.#parent = new Uint32Array(first)
  }

  get size(): number {
    return this.#count
  }

  /** The number of the state that was added, or -1 where it was there. Numbers count from 0. */
  add(low: number, high: number, parent: number): number {
    if (this.#count === this.#low.length) this.#grow()
    const mask = this.#slots.length - 1
    let slot = low & mask
    for (;;) {
      const found = this.#slots[slot] as number
      if (found === 0) break
      if (this.#low[found - 1] === low && this.#high[found - 1] === high) return -1
      slot = (slot + 1) & mask
    }
    const number = this.#count
    this.#low[number] = low
    this.#high[number] = high
    this.#parent[number] = parent
    this.#slots[slot] = number + 1
    this.#count++
    return number
  }

  /** Digests of the states from the first one to state `number`. */
  path(number: number): { low: number; high: number }[] {
    const path: { low: number; high: number }[] = []
    for (let at = number; ; at = this.#parent[at] as number) {
      path.push({ low: this.#low[at] as number, high: this.#high[at] as number })
      if (at === 0) return path.reverse()
    }
  }

  #grow(): void {
    const slots = this.#slots.length * 2
    const room = Math.floor((slots * LOAD_MAX) / 100)
    this.#low = enlarged(this.#low, room)
    this.#high = enlarged(this.#high, room)
    this.#parent = enlarged(this.#parent, room)
    this.#slots = new Uint32Array(slots)
    const mask = slots - 1
    for (let number = 0; number < this.#count; number++) {
      let slot = (this.#low[number] as number) & mask
      while (this.#slots[slot] !== 0) slot = (slot + 1) & mask
      this.#slots[slot] = number + 1
    }
  }
}

function enlarged(array: Uint32Array, length: number): Uint32Array {
  const larger = new Uint32Array(length)
  larger.set(array)
  return larger
}
