// Proves: a layout's offsets, codec and table agree; padding and numbers of 2^53 or more from disk are refused; values
// that do not fit are a programmer's error.
import fc from 'fast-check'
import { CacheError } from '../../../base/errors.ts'
import { bytes, defineLayout, u16, u32, u48, u64, u64big, u8, zeros } from '../../../base/layout.ts'

const SAMPLE = defineLayout('sample', {
  a: u8('one'),
  b: u16('two'),
  pad: zeros(3),
  c: u32('three'),
  d: u48('four'),
  e: u64('five'),
  f: u64big('six'),
  g: bytes(5, 'seven'),
})

const VALUES = { a: 1, b: 2, c: 3, d: 4, e: 5, f: 6n, g: Buffer.from('hello') }

test('offsets follow the declaration', () => {
  expect(SAMPLE.offsets).toEqual({ a: 0, b: 1, pad: 3, c: 6, d: 10, e: 16, f: 24, g: 32 })
  expect(SAMPLE.size).toBe(37)
})

test('round trip', () => {
  fc.assert(
    fc.property(
      fc.record({
        a: fc.integer({ min: 0, max: 255 }),
        b: fc.integer({ min: 0, max: 65_535 }),
        c: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
        d: fc.integer({ min: 0, max: 2 ** 48 - 1 }),
        e: fc.maxSafeNat(),
        f: fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }),
        g: fc.uint8Array({ minLength: 5, maxLength: 5 }).map((array) => Buffer.from(array)),
      }),
      (values) => {
        const buffer = Buffer.alloc(50, 0xee)
        SAMPLE.encode(buffer, 7, values)
        expect(SAMPLE.decode(buffer, 7)).toEqual(values)
        expect(buffer[6]).toBe(0xee)
        expect(buffer[7 + SAMPLE.size]).toBe(0xee)
      },
    ),
  )
})

test('single fields', () => {
  const buffer = Buffer.alloc(SAMPLE.size)
  SAMPLE.encode(buffer, 0, VALUES)
  SAMPLE.set(buffer, 0, 'd', 99)
  SAMPLE.set(buffer, 0, 'f', 7n)
  expect(SAMPLE.get(buffer, 0, 'd')).toBe(99)
  expect(SAMPLE.decode(buffer, 0)).toEqual({ ...VALUES, d: 99, f: 7n })
})

test('refuses what is not legal on disk', () => {
  const buffer = Buffer.alloc(SAMPLE.size)
  SAMPLE.encode(buffer, 0, VALUES)
  expect(() => SAMPLE.decode(buffer, 1)).toThrow(CacheError)
  buffer[4] = 1
  expect(() => SAMPLE.decode(buffer, 0)).toThrow('field=pad')
  buffer[4] = 0
  buffer.writeBigUInt64LE(1n << 53n, SAMPLE.offsets.e)
  expect(() => SAMPLE.decode(buffer, 0)).toThrow('field=e')
})

test('asserts on values that do not fit', () => {
  const buffer = Buffer.alloc(SAMPLE.size)
  for (const wrong of [
    { a: 256 },
    { a: -1 },
    { b: 1.5 },
    { d: 2 ** 48 },
    { e: 2 ** 53 },
    { f: -1n },
    { g: Buffer.alloc(4) },
  ]) {
    expect(() => SAMPLE.encode(buffer, 0, { ...VALUES, ...wrong })).toThrow('value fits')
  }
  expect(() => SAMPLE.encode(buffer, 1, VALUES)).toThrow('inside buffer')
})

test('the table names every field', () => {
  expect(SAMPLE.dump().split('\n').slice(2, 5)).toEqual([
    '| 0 | 1 | a | u8 | one |',
    '| 1 | 2 | b | u16 | two |',
    '| 3 | 3 | pad | zeros | zero, checked |',
  ])
})
