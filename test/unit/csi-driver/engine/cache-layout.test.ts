// What stands where on the cache storage, and that the tables over it are large enough for any log that fits.
import { KIB, MIB } from '../../../../base/units.ts'
import { makeTables, newGeometry } from '../../../../csi-driver/engine/cache-layout.ts'
import { SUPERBLOCK_AREA_BYTES } from '../../../../csi-driver/journal/journal.ts'

test('superblocks, log, slots, without gaps', () => {
  const geometry = newGeometry(64 * MIB + 100, 16 * MIB + 100, undefined)
  expect(geometry).toMatchObject({ logStart: SUPERBLOCK_AREA_BYTES, logBytes: 16 * MIB, cacheBytes: 64 * MIB })
  const tables = makeTables(geometry)
  expect(tables.slotsStart).toBe(SUPERBLOCK_AREA_BYTES + 16 * MIB)
  expect(tables.readCache.slots).toBe((48 * MIB - SUPERBLOCK_AREA_BYTES) / 4096)
  expect(tables.index.logEndSector).toBe(tables.slotsStart / 512)
})

test('a batch limit makes frames shorter', () => {
  const long = newGeometry(64 * MIB, 16 * MIB, undefined).frameBytesMax
  const short = newGeometry(64 * MIB, 16 * MIB, { recordsMax: 4, payloadBytesMax: 32 * KIB }).frameBytesMax
  expect(short).toBeLessThan(long)
  expect(short % 4096).toBe(0)
})

test('a cache that is all log has no slots', () => {
  const tables = makeTables(newGeometry(SUPERBLOCK_AREA_BYTES + 16 * MIB, 16 * MIB, undefined))
  expect(tables.readCache.slots).toBe(0)
  expect(tables.readCache.insert(1)).toBe(-1)
})

test('the index has room for every slot and every block that a log can touch', () => {
  const tables = makeTables(newGeometry(64 * MIB, 16 * MIB, undefined))
  expect(tables.index.capacityBlocks).toBeGreaterThan(tables.readCache.slots + tables.recordBlocksMax)
  expect(tables.recordBlocksMax).toBeGreaterThanOrEqual((16 * MIB) / 4096)
})

test('index and read cache tell each other what they give up', () => {
  const { index, readCache } = makeTables(newGeometry(SUPERBLOCK_AREA_BYTES + 16 * MIB + 4 * 4096, 16 * MIB, undefined))
  for (let block = 0; block < 4; block += 1) index.putClean(block, readCache.insert(block), 0)
  index.putDirty(2, 0xff, 64, 0)
  expect(readCache.used).toBe(3)
  for (let block = 10; block < 20; block += 1) index.putClean(block, readCache.insert(block), 0)
  expect(readCache.used).toBe(4)
  expect(index.blocks).toBe(5)
  readCache.clear()
  expect(index.blocks).toBe(1)
})
