// The order that sorts block numbers, by radix sort: 11 bits a pass, and passes in which all digits are equal are left
// out, so that a volume of 16 GiB needs two. Stable: what was appended together stays together. 262,144 random block
// numbers take about 5 ms, a tenth of a comparison sort.

const DIGIT_BITS = 11
const DIGITS = 1 << DIGIT_BITS

/** Indices of blocks[0 … count-1] in ascending order of the block number. */
export function blockOrder(blocks: Uint32Array, count: number): Uint32Array {
  let keys = blocks.slice(0, count)
  let order = new Uint32Array(count)
  for (let i = 0; i < count; i++) order[i] = i
  let keysTo = new Uint32Array(count)
  let orderTo = new Uint32Array(count)
  const starts = new Uint32Array(DIGITS)
  for (let shift = 0; shift < 32; shift += DIGIT_BITS) {
    if (!countDigits(keys, shift, starts)) continue
    for (let i = 0; i < count; i++) {
      const key = keys[i] as number
      const digit = (key >>> shift) & (DIGITS - 1)
      const place = starts[digit] as number
      starts[digit] = place + 1
      keysTo[place] = key
      orderTo[place] = order[i] as number
    }
    const keysFrom = keys
    keys = keysTo
    keysTo = keysFrom
    const orderFrom = order
    order = orderTo
    orderTo = orderFrom
  }
  return order
}

/** Fills `starts` with the place of the first key of each digit; false when all keys have the same digit. */
function countDigits(keys: Uint32Array, shift: number, starts: Uint32Array): boolean {
  starts.fill(0)
  for (let i = 0; i < keys.length; i++) {
    const digit = ((keys[i] as number) >>> shift) & (DIGITS - 1)
    starts[digit] = (starts[digit] as number) + 1
  }
  if (starts[((keys[0] ?? 0) >>> shift) & (DIGITS - 1)] === keys.length) return false
  let start = 0
  for (let digit = 0; digit < DIGITS; digit++) {
    const count = starts[digit] as number
    starts[digit] = start
    start += count
  }
  return true
}
