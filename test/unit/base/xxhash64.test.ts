// Proves: xxhash64 gives the published values of xxHash64 with seed 0, over ranges of a buffer that is itself a slice.
import { xxhash64, xxhash64Low32 } from '../../../base/xxhash64.ts'

const VECTORS: readonly (readonly [string, bigint])[] = [
  ['', 0xef46db3751d8e999n],
  ['a', 0xd24ec4f1a98c6e5bn],
  ['abc', 0x44bc2cf5ad770999n],
]

test.each(VECTORS)('%j', (text, expected) => {
  const inside = Buffer.from(`xx${text}yy`).subarray(1)
  expect(xxhash64(inside, 1, 1 + text.length)).toBe(expected)
  expect(xxhash64Low32(inside, 1, 1 + text.length)).toBe(Number(expected & 0xffff_ffffn))
})

test('refuses a range outside the buffer', () => {
  expect(() => xxhash64(Buffer.alloc(4), 0, 5)).toThrow(RangeError)
  expect(() => xxhash64(Buffer.alloc(4), -1, 2)).toThrow(RangeError)
})
