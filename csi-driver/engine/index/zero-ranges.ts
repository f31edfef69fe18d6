// Dirty zeroes: ranges that ZERO records made read as zeros and that are not yet destaged. Sorted, disjoint intervals
// of sectors in typed arrays; a newer record cuts older intervals. An index entry always wins over an interval: a ZERO
// removes the index fragments of its range, so whatever the index holds there was written later.
//
// Intervals of different records are never joined, not even neighbours: joined under the newer seq, the older part
// would outlive the destage of a write that lies over it and would hide that write from readers.
// For the same reason the end of a generation calls `removeThrough` before (or in the same turn as) it settles the
// fragments of the index.
import type { Sectors, Seq } from '../../../base/units.ts'

/** Intervals at which new ZERO requests must wait for a destage. */
export const ZERO_RANGES_MAX = 65_536
/** Of records that were in batches already when the limit was reached. */
const ZERO_RANGES_SLACK = 4096
/** Replay may meet intervals that were already destaged but not yet trimmed: twice the limit holds both generations. */
export const ZERO_RANGES_HARD_MAX = 2 * ZERO_RANGES_MAX + ZERO_RANGES_SLACK
/** An add may split one interval in two and put itself between. */
const INTERVALS_PER_ADD = 2
const FIRST_CAPACITY = 64

export class ZeroRanges {
  count = 0
  /** Sectors covered by all intervals. */
  sectors: Sectors = 0
  startSector = new Float64Array(FIRST_CAPACITY)
  /** Exclusive. */
  endSector = new Float64Array(FIRST_CAPACITY)
  seq = new Float64Array(FIRST_CAPACITY)

  /** Admission: no new ZERO request should be taken until a generation has ended. */
  get isFull(): boolean {
    return this.count + INTERVALS_PER_ADD > ZERO_RANGES_MAX
  }

  get bytes(): number {
    return this.startSector.length * 3 * 8
  }

  /**
   * Makes [start, end) a dirty zero of record `seq`, which is newer than all records added before. False, and nothing
   * is changed, when the hard limit would be passed.
   */
  add(start: Sectors, end: Sectors, seq: Seq): boolean {
    if (end <= start) return true
    if (this.count + INTERVALS_PER_ADD > ZERO_RANGES_HARD_MAX) return false
    if (this.count + INTERVALS_PER_ADD > this.startSector.length) this.grow()
    // [first, last) are the intervals that share a sector with the new one; what sticks out of it stays.
    const first = this.firstEndingAfter(start)
    let last = first
    while (last < this.count && (this.startSector[last] as number) < end) {
      this.sectors -= (this.endSector[last] as number) - (this.startSector[last] as number)
      last++
    }
    const leftStart = first < last ? Math.min(this.startSector[first] as number, start) : start
    const leftSeq = this.seq[first] as number
    const rightEnd = first < last ? Math.max(this.endSector[last - 1] as number, end) : end
    const rightSeq = this.seq[last - 1] as number
    let place = first
    this.shiftTail(last, first + 1 + (leftStart < start ? 1 : 0) + (rightEnd > end ? 1 : 0))
    if (leftStart < start) this.set(place++, leftStart, start, leftSeq)
    this.set(place++, start, end, seq)
    if (rightEnd > end) this.set(place, end, rightEnd, rightSeq)
    return true
  }

  covers(sector: Sectors): boolean {
    const place = this.firstEndingAfter(sector)
    return place < this.count && (this.startSector[place] as number) <= sector
  }

  /**
   * First sector behind `sector` where an interval begins or ends: `covers` has one answer for [sector, boundary).
   * Number.MAX_SAFE_INTEGER when there is none.
   */
  nextBoundary(sector: Sectors): Sectors {
    const place = this.firstEndingAfter(sector)
    if (place === this.count) return Number.MAX_SAFE_INTEGER
    const start = this.startSector[place] as number
    return start > sector ? start : (this.endSector[place] as number)
  }

  /** Whether any sector of [start, end) is covered. */
  overlaps(start: Sectors, end: Sectors): boolean {
    const place = this.firstEndingAfter(start)
    return place < this.count && (this.startSector[place] as number) < end
  }

  /** Forgets the intervals of all records ≤ `seq`: the backing has them, durably. */
  removeThrough(seq: Seq): void {
    let kept = 0
    this.sectors = 0
    for (let place = 0; place < this.count; place++) {
      const intervalSeq = this.seq[place] as number
      if (intervalSeq <= seq) continue
      this.set(kept++, this.startSector[place] as number, this.endSector[place] as number, intervalSeq)
    }
    this.count = kept
  }

  clear(): void {
    this.count = 0
    this.sectors = 0
  }

  /** Index of the first interval whose end is > sector. */
  private firstEndingAfter(sector: Sectors): number {
    let low = 0
    let high = this.count
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((this.endSector[middle] as number) <= sector) low = middle + 1
      else high = middle
    }
    return low
  }

  /** Moves the intervals from `from` on to `to` and corrects the count. */
  private shiftTail(from: number, to: number): void {
    if (from !== to) {
      this.startSector.copyWithin(to, from, this.count)
      this.endSector.copyWithin(to, from, this.count)
      this.seq.copyWithin(to, from, this.count)
    }
    this.count += to - from
  }

  private set(place: number, start: Sectors, end: Sectors, seq: Seq): void {
    this.startSector[place] = start
    this.endSector[place] = end
    this.seq[place] = seq
    this.sectors += end - start
  }

  private grow(): void {
    const capacity = this.startSector.length * 2
    this.startSector = doubled(this.startSector, capacity)
    this.endSector = doubled(this.endSector, capacity)
    this.seq = doubled(this.seq, capacity)
  }
}

function doubled(from: Float64Array<ArrayBuffer>, capacity: number): Float64Array<ArrayBuffer> {
  const to = new Float64Array(capacity)
  to.set(from)
  return to
}
