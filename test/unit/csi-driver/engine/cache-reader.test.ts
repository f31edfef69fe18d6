// Pieces of cached fragments come into one buffer, each verified; whatever is wrong is named by its piece.
import { xxhash64Low32 } from '../../../../base/xxhash64.ts'
import { type CacheReadResult, CacheReader, ScratchPool } from '../../../../csi-driver/engine/cache-reader.ts'
import { heapMemory, TestStorage } from './harness.ts'

function make(alignment = 512) {
  const storage = new TestStorage('cache', 64 * 4096, alignment)
  for (let i = 0; i < storage.sizeBytes; i += 512) storage.bytes.fill((i / 512) % 251, i, i + 512)
  const results: CacheReadResult[] = []
  const reader = new CacheReader(storage, new ScratchPool(heapMemory), (result) => results.push(result))
  const target = Buffer.alloc(64 * 4096)
  const hash = (sector: number, sectors: number): number =>
    xxhash64Low32(storage.bytes, sector * 512, (sector + sectors) * 512)
  /** Wants sectors [from, from+count) of the fragment at [sector, sector+sectors). */
  const want = (sector: number, sectors: number, from: number, count: number, destination: number): void =>
    reader.add(sector, sectors, hash(sector, sectors), from * 512, count * 512, destination)
  return { storage, reader, results, target, want }
}

test('whole fragments that follow each other on both sides are one transfer', () => {
  const { storage, reader, results, target, want } = make()
  want(0, 8, 0, 8, 0)
  want(8, 8, 0, 8, 4096)
  want(16, 3, 0, 3, 8192)
  want(100, 8, 0, 8, 20_480)
  reader.start(target)
  expect(results).toEqual(['ok'])
  expect(storage.begun).toEqual(['read 0+9728', 'read 51200+4096'])
  expect(target.subarray(0, 9728)).toEqual(storage.bytes.subarray(0, 9728))
  expect(target.subarray(20_480, 24_576)).toEqual(storage.bytes.subarray(51_200, 55_296))
})

test.each([512, 4096])('a part of a fragment is verified as a whole, alignment %i', (alignment) => {
  const { storage, reader, results, target, want } = make(alignment)
  want(11, 5, 2, 1, 512)
  want(3, 8, 1, 3, 4096)
  reader.start(target)
  expect(results).toEqual(['ok'])
  expect(target.subarray(512, 1024)).toEqual(storage.bytes.subarray(13 * 512, 14 * 512))
  expect(target.subarray(4096, 5632)).toEqual(storage.bytes.subarray(4 * 512, 7 * 512))
})

test('a changed sector anywhere in a fragment is a mismatch, named by its piece', () => {
  const { storage, reader, results, target, want } = make()
  want(0, 8, 0, 8, 0)
  want(8, 8, 0, 8, 4096)
  want(40, 8, 7, 1, 8192)
  storage.bytes[8 * 512 + 5] = 0xff
  reader.start(target)
  expect([results, reader.failedPiece]).toEqual([['mismatch'], 1])
  reader.clear()
  want(0, 8, 0, 8, 0)
  reader.add(40, 8, 12_345, 7 * 512, 512, 8192)
  reader.start(target)
  expect([results, reader.failedPiece]).toEqual([['mismatch', 'mismatch'], 1])
})

test('an error ends the reading and is told once, after everything under way has ended', () => {
  const { storage, reader, results, target, want } = make()
  for (let i = 0; i < 40; i += 1) want(i * 10, 8, 0, 8, i * 4096)
  storage.hold('read')
  storage.fail('read', 1, { from: 51_200, to: 51_300 })
  reader.start(target)
  expect(storage.held).toHaveLength(32)
  storage.letGo()
  expect([results, reader.failedPiece]).toEqual([['error'], 10])
  expect(reader.lastError?.code).toBe('EIO')
  expect(storage.begun.length).toBeLessThanOrEqual(40)
})

test('is used again after each end', () => {
  const { reader, results, target, want } = make()
  for (let round = 0; round < 3; round += 1) {
    reader.clear()
    want(round, 3, 1, 1, 0)
    expect(reader.pieces).toBe(1)
    reader.start(target)
  }
  expect(results).toEqual(['ok', 'ok', 'ok'])
})
