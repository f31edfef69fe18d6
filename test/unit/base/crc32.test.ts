// Proves: crc32 is the CRC-32 of zlib: check value, agreement with zlib on random ranges, continuation over pieces.
import { crc32 as zlibCrc32 } from 'node:zlib'
import { crc32 } from '../../../base/crc32.ts'
import { createPrng } from '../../../base/prng.ts'

test('check value', () => {
  const digits = Buffer.from('123456789')
  expect(crc32(digits, 0, digits.length)).toBe(0xcb_f4_39_26)
  expect(crc32(digits, 4, 4)).toBe(0)
})

test('agrees with zlib on random ranges, also in two pieces', () => {
  const prng = createPrng('crc32')
  const bytes = Buffer.from(Array.from({ length: 5000 }, () => prng.below(256)))
  for (let round = 0; round < 300; round++) {
    const start = prng.below(bytes.length)
    const end = start + prng.below(bytes.length - start + 1)
    const middle = start + prng.below(end - start + 1)
    const expected = zlibCrc32(bytes.subarray(start, end))
    expect(crc32(bytes, start, end)).toBe(expected)
    expect(crc32(bytes, middle, end, crc32(bytes, start, middle))).toBe(expected)
  }
})

test('refuses a range outside the buffer', () => {
  expect(() => crc32(Buffer.alloc(4), 0, 5)).toThrow(RangeError)
  expect(() => crc32(Buffer.alloc(4), -1, 2)).toThrow(RangeError)
  expect(() => crc32(Buffer.alloc(4), 3, 2)).toThrow(RangeError)
})
