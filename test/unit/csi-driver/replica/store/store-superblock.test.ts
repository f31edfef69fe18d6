// Proves: a store's superblock survives its codec with every field; flipped bits, random bytes and illegal values (also
// with a right checksum) are refused; the document shows the declared table.
import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { crc32 } from '../../../../../base/crc32.ts'
import {
  decodeStoreSuperblock,
  encodeStoreSuperblock,
  STORE_SUPERBLOCK,
  STORE_SUPERBLOCK_BYTES,
  type StoreSuperblock,
} from '../../../../../csi-driver/replica/store/store-superblock.ts'

const SAMPLE: StoreSuperblock = {
  generation: 3,
  storeUuid: 'ab'.repeat(16),
  incarnation: 2,
  resource: 'memory',
  capacityBytes: 1 << 30,
  segmentBytes: 8 << 20,
  slotCount: 256,
  madeWallMs: 1_700_000_000_000,
}

function encoded(superblock: StoreSuperblock): Buffer {
  const buffer = Buffer.alloc(STORE_SUPERBLOCK_BYTES, 0xff)
  encodeStoreSuperblock(buffer, 0, superblock)
  return buffer
}

function withCrc(buffer: Buffer): Buffer {
  buffer.writeUInt32LE(0, STORE_SUPERBLOCK.offsets.crc32)
  buffer.writeUInt32LE(crc32(buffer, 0, STORE_SUPERBLOCK_BYTES), STORE_SUPERBLOCK.offsets.crc32)
  return buffer
}

test('round trip', () => {
  for (const superblock of [SAMPLE, { ...SAMPLE, resource: 'flash', slotCount: 1 } as const]) {
    expect(decodeStoreSuperblock(encoded(superblock), 0)).toEqual(superblock)
  }
})

test('a flipped bit anywhere is detected', () => {
  const buffer = encoded(SAMPLE)
  fc.assert(
    fc.property(fc.nat({ max: STORE_SUPERBLOCK_BYTES * 8 - 1 }), (bit) => {
      const damaged = Buffer.from(buffer)
      damaged[bit >>> 3] = (damaged[bit >>> 3] as number) ^ (1 << (bit & 7))
      expect(decodeStoreSuperblock(damaged, 0)).toBeNull()
    }),
    { numRuns: 300 },
  )
})

test('random bytes, also behind the right magic and checksum, never pass and never throw', () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ minLength: STORE_SUPERBLOCK_BYTES, maxLength: STORE_SUPERBLOCK_BYTES, size: 'max' }),
      fc.boolean(),
      (bytes, plausible) => {
        const buffer = Buffer.from(bytes)
        if (plausible) encoded(SAMPLE).copy(buffer, 0, 0, 8)
        expect(decodeStoreSuperblock(plausible ? withCrc(buffer) : buffer, 0)).toBeNull()
      },
    ),
    { numRuns: 30 },
  )
  expect(decodeStoreSuperblock(Buffer.alloc(100), 0)).toBeNull()
})

test.each([
  ['version', 2],
  ['resource', 3],
  ['slotCount', 257],
  ['segmentBytes', 4097],
  ['segmentBytes', 8192],
] as const)('a right checksum does not excuse %s = %i', (field, value) => {
  const buffer = encoded(SAMPLE)
  STORE_SUPERBLOCK.set(buffer, 0, field, value)
  expect(decodeStoreSuperblock(withCrc(buffer), 0)).toBeNull()
})

test.each([
  ['hexadecimal', { storeUuid: 'x' }],
  ['begin at 1', { incarnation: 0 }],
  ['begin at 1', { generation: 0 }],
  ['in blocks', { capacityBytes: 1000 }],
  ['slots', { slotCount: 0 }],
  ['number of segments', { capacityBytes: 1 << 20 }],
])('is never written: %s', (words, change) => {
  expect(() => encoded({ ...SAMPLE, ...change })).toThrow(words)
})

test('the document shows the declared table', () => {
  expect(readFileSync('docs/formats/replica-store.md', 'utf8')).toContain(STORE_SUPERBLOCK.dump())
})
