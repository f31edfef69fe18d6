// Proves: every fragment that a record leaves in the index has the hash of exactly its own bytes, whether the record lies
// in one block, which brings its hash along, or in several.
import { BLOCK_BYTES, SECTOR_BYTES } from '../../../../base/units.ts'
import { xxhash64Low32 } from '../../../../base/xxhash64.ts'
import { applyWrite } from '../../../../csi-driver/engine/apply-record.ts'
import { makeCore, TestMachine } from './harness.ts'

const DATA = Buffer.from(Array.from({ length: 3 * BLOCK_BYTES }, (_, i) => (i * 7 + (i >> 8)) % 251))

test.each([
  ['a sector', 3, 1, [[0, 3, 1]]],
  ['a block', 8, 8, [[1, 8, 8]]],
  [
    'sectors of two blocks',
    6,
    4,
    [
      [0, 6, 2],
      [1, 8, 2],
    ],
  ],
  [
    'a block and its neighbours',
    7,
    10,
    [
      [0, 7, 1],
      [1, 8, 8],
      [2, 16, 1],
    ],
  ],
])('%s', async (_, sector, sectors, fragments) => {
  const core = await makeCore(new TestMachine())
  const length = sectors * SECTOR_BYTES
  applyWrite(core, sector, 1000, DATA, SECTOR_BYTES, length, xxhash64Low32(DATA, SECTOR_BYTES, SECTOR_BYTES + length))
  for (const [block = 0, first = 0, count = 0] of fragments) {
    expect(core.index.find(block)).toBe(1)
    const from = SECTOR_BYTES + (first - sector) * SECTOR_BYTES
    expect(core.index.fragmentHash[0]).toBe(xxhash64Low32(DATA, from, from + count * SECTOR_BYTES))
  }
})
