// Proves: what ByteWriter writes ByteReader reads, little-endian; neither leaves its bounds; numbers that do not fit or
// cannot be held exactly are refused instead of rounded.
import fc from 'fast-check'
import { ByteReader, ByteWriter, isZero } from '../../../base/bytes.ts'
import { CacheError } from '../../../base/errors.ts'

test('round trip of every kind', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 0, max: 0xff }),
      fc.integer({ min: 0, max: 0xffff }),
      fc.integer({ min: 0, max: 0xffff_ffff }),
      fc.integer({ min: 0, max: 2 ** 48 - 1 }),
      fc.maxSafeNat(),
      fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }),
      fc.uint8Array({ maxLength: 20 }),
      (a, b, c, d, e, f, tail) => {
        const buffer = Buffer.alloc(40 + tail.length, 0xff)
        const writer = new ByteWriter(buffer, 3)
        writer.u8(a).u16(b).u32(c).u48(d).u64(e).u64big(f).bytes(Buffer.from(tail))
        const reader = new ByteReader(buffer, 3, writer.position)
        expect([reader.u8(), reader.u16(), reader.u32(), reader.u48(), reader.u64()]).toEqual([a, b, c, d, e])
        expect(reader.u64big()).toBe(f)
        expect(reader.bytes(tail.length).equals(Buffer.from(tail))).toBe(true)
        expect(reader.remaining).toBe(0)
      },
    ),
  )
})

test('little-endian', () => {
  const buffer = Buffer.alloc(14)
  new ByteWriter(buffer).u48(0x0102_0304_0506).u64(0x0a_0b_0c_0d_0e_0f)
  expect(buffer.toString('hex')).toBe('0605040302010f0e0d0c0b0a0000')
})

test('bounds', () => {
  const reader = new ByteReader(Buffer.alloc(8), 2, 6)
  reader.u8()
  expect(() => reader.u32()).toThrow(CacheError)
  expect(reader.bytes(3).length).toBe(3)
  expect(() => reader.bytes(-1)).toThrow(CacheError)
  expect(() => reader.u8()).toThrow(CacheError)
  const writer = new ByteWriter(Buffer.alloc(3))
  expect(() => writer.u32(1)).toThrow(CacheError)
  expect(() => writer.bytes(Buffer.alloc(4))).toThrow(CacheError)
  expect(() => new ByteReader(Buffer.alloc(3), 0, 4)).toThrow('inside buffer')
})

test('numbers that do not fit', () => {
  const writer = new ByteWriter(Buffer.alloc(64))
  for (const value of [-1, 1.5, Number.NaN, 256]) expect(() => writer.u8(value)).toThrow(CacheError)
  expect(() => writer.u48(2 ** 48)).toThrow(CacheError)
  expect(() => writer.u64(2 ** 53)).toThrow(CacheError)
  expect(() => writer.u64big(1n << 64n)).toThrow(CacheError)
  expect(() => writer.u64big(-1n)).toThrow(CacheError)
  expect(writer.position).toBe(0)
  const large = Buffer.alloc(8)
  large.writeBigUInt64LE(1n << 53n)
  expect(() => new ByteReader(large).u64()).toThrow(CacheError)
})

test('isZero', () => {
  const buffer = Buffer.from([1, 0, 0, 1])
  expect(isZero(buffer, 1, 3)).toBe(true)
  expect(isZero(buffer, 0, 3)).toBe(false)
  expect(isZero(buffer, 1, 4)).toBe(false)
  expect(isZero(buffer, 2, 2)).toBe(true)
})
