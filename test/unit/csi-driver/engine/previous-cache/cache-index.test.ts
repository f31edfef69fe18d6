// Proves: an index comes back as it was written; no damage and no random bytes are taken for one, nor cost more than their
// length; every block of it is found, no other is; the document shows the declared tables.
import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { crc32 } from '../../../../../base/crc32.ts'
import { xxhash64 } from '../../../../../base/xxhash64.ts'
import {
  CACHE_INDEX_ENTRY,
  CACHE_INDEX_HEADER,
  type CacheIndex,
  decodeCacheIndex,
  encodeCacheIndex,
  findBlock,
} from '../../../../../csi-driver/engine/previous-cache/cache-index.ts'
import { SAMPLE_INDEX } from '../../../../golden/cache-index-sample.ts'

const u32 = fc.nat(2 ** 32 - 1)
const SLOTS = 1000

const indexes: fc.Arbitrary<CacheIndex> = fc
  .uniqueArray(fc.tuple(u32, fc.nat(SLOTS - 1), u32), { selector: ([block]) => block, maxLength: 50 })
  .map((entries) => {
    const sorted = entries.toSorted((a, b) => a[0] - b[0])
    return {
      ...SAMPLE_INDEX,
      slotCount: SLOTS,
      blocks: Uint32Array.from(sorted, ([block]) => block),
      slots: Uint32Array.from(sorted, ([, slot]) => slot),
      hashes: Uint32Array.from(sorted, ([, , hash]) => hash),
    }
  })

/** Changed, and sealed again: what no accident leaves. */
function forged(change: (file: Buffer) => void): Buffer {
  const file = encodeCacheIndex(SAMPLE_INDEX)
  change(file)
  const { size, offsets } = CACHE_INDEX_HEADER
  file.writeBigUInt64LE(xxhash64(file, size, file.length), offsets.entriesHash)
  file.writeUInt32LE(0, offsets.crc32)
  file.writeUInt32LE(crc32(file, 0, size), offsets.crc32)
  return file
}

test('round trip, and every block is found', () => {
  fc.assert(
    fc.property(indexes, u32, (index, other) => {
      const read = decodeCacheIndex(encodeCacheIndex(index))
      expect(read).toMatchObject(index)
      index.blocks.forEach((block, i) => expect(findBlock(read, block)).toBe(i))
      expect(findBlock(read, other)).toBe(index.blocks.indexOf(other))
    }),
  )
})

test('any one changed byte, and any cut, is seen', () => {
  const file = encodeCacheIndex(SAMPLE_INDEX)
  fc.assert(
    fc.property(fc.nat(file.length - 1), fc.integer({ min: 1, max: 255 }), (at, flip) => {
      const damaged = Buffer.from(file)
      damaged[at] = (damaged[at] as number) ^ flip
      expect(() => decodeCacheIndex(damaged)).toThrow(expect.objectContaining({ kind: 'corrupt' }))
      expect(() => decodeCacheIndex(file.subarray(0, at))).toThrow(expect.objectContaining({ kind: 'corrupt' }))
    }),
  )
})

test('random bytes are no index', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 1200 }), (bytes) => {
      expect(() => decodeCacheIndex(Buffer.from(bytes))).toThrow(expect.objectContaining({ kind: 'corrupt' }))
    }),
  )
})

const { size, offsets } = CACHE_INDEX_HEADER
test.each([
  ['order of blocks', (file: Buffer) => file.writeUInt32LE(0, size + CACHE_INDEX_ENTRY.size)],
  ['slot', (file: Buffer) => file.writeUInt32LE(1000, size + 4)],
  ['its length', (file: Buffer) => file.writeUInt32LE(4, offsets.blockCount)],
  ['its length', (file: Buffer) => file.writeUInt32LE(0xffff_ffff, offsets.blockCount)],
  ['version=2', (file: Buffer) => file.writeUInt32LE(2, offsets.version)],
  ['slotsStart=1', (file: Buffer) => file.writeUInt32LE(1, offsets.slotsStart)],
  ['name of the volume', (file: Buffer) => file.write('../x', offsets.volume, 'latin1')],
  ['name of the node', (file: Buffer) => file.writeUInt8(0x41, offsets.movedTo + 200)],
  ['begins at 1', (file: Buffer) => file.writeUInt32LE(0, offsets.epochLeft)],
])('forged: %s', (words, change) => {
  expect(() => decodeCacheIndex(forged((file) => void change(file)))).toThrow(words)
})

test('the document shows the declared tables', () => {
  const page = readFileSync('docs/formats/cache-index.md', 'utf8')
  for (const layout of [CACHE_INDEX_HEADER, CACHE_INDEX_ENTRY]) expect(page).toContain(layout.dump())
})
