// The offline optimum (Belady's MIN): it knows the whole trace and gives up the block whose next read is farthest away. No
// policy that takes in what it misses has fewer misses.
//
// A cached block is named by the position of its next read, which no other block shares; one that is never read again by
// the length of the trace plus the position of its last read. What to give up is then the greatest number of a heap. A
// number that lies in the past (its block was hit there) stays in the heap, below all that matter.
import { type Trace, universeOf } from './replacement-policy.ts'

const NEVER = -1

export function minMisses(trace: Trace, slots: number): Uint8Array {
  const nextRead = nextReadOf(trace)
  const cached = new Uint8Array(universeOf(trace))
  const heap = new GreatestFirst(trace.length)
  let used = 0
  return Uint8Array.from(trace, (block, position) => {
    const isMiss = cached[block] === 0
    if (isMiss && used === slots) {
      const farthest = heap.pop()
      cached[trace[farthest % trace.length] as number] = 0
    } else if (isMiss) used++
    cached[block] = 1
    heap.push(nextRead[position] as number)
    return isMiss ? 1 : 0
  })
}

/** For each position that of the next read of its block, or one beyond the trace. */
function nextReadOf(trace: Trace): Float64Array {
  const next = new Float64Array(trace.length)
  const later = new Int32Array(universeOf(trace)).fill(NEVER)
  for (let position = trace.length - 1; position >= 0; position--) {
    const block = trace[position] as number
    const found = later[block] as number
    next[position] = found === NEVER ? trace.length + position : found
    later[block] = position
  }
  return next
}

/** A binary heap of numbers with a fixed capacity. */
class GreatestFirst {
  private readonly numbers: Float64Array
  private count = 0

  constructor(capacity: number) {
    this.numbers = new Float64Array(capacity)
  }

  push(number: number): void {
    const { numbers } = this
    let place = this.count++
    while (place > 0) {
      const parent = (place - 1) >>> 1
      if ((numbers[parent] as number) >= number) break
      numbers[place] = numbers[parent] as number
      place = parent
    }
    numbers[place] = number
  }

  /** The greatest; the heap must not be empty. */
  pop(): number {
    const { numbers } = this
    const greatest = numbers[0] as number
    const last = numbers[--this.count] as number
    let place = 0
    for (let child = 1; child < this.count; child = 2 * place + 1) {
      if (child + 1 < this.count && (numbers[child + 1] as number) > (numbers[child] as number)) child++
      if ((numbers[child] as number) <= last) break
      numbers[place] = numbers[child] as number
      place = child
    }
    numbers[place] = last
    return greatest
  }
}
