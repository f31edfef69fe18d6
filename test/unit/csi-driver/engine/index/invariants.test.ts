// Proves that the checks look: each damage done to the inside of an index is reported.
import { ExtentIndex } from '../../../../../csi-driver/engine/index/extent-index.ts'
import type { BlockEntries } from '../../../../../csi-driver/engine/index/block-entries.ts'
import { extentIndexProblems } from '../../../../../csi-driver/engine/index/invariants.ts'

const LOG_END = 1 << 20

function createIndex() {
  const index = new ExtentIndex({
    capacityBlocks: 16,
    logEndSector: LOG_END,
    fragmentsMax: 64,
    onCleanGone: () => undefined,
  })
  index.putClean(1, 0, 11)
  index.putDirty(2, 255, 64, 22)
  index.putDirty(3, 0b1110, 128, 33)
  index.putDirty(3, 0b1000, 256, 34)
  const entries = (index as unknown as { entries: BlockEntries }).entries
  return { index, entries, position: (block: number) => entries.table.probe(block) }
}

describe('invariants of the extent index', () => {
  test('a healthy index has no problem', () => {
    expect(extentIndexProblems(createIndex().index)).toEqual([])
  })

  test.each<[string, (damaged: ReturnType<typeof createIndex>) => void]>([
    ['dirty sectors miscounted', ({ entries }) => entries.dirtySectors++],
    ['blocks miscounted', ({ entries }) => entries.table.count++],
    ['pool nodes miscounted', ({ entries }) => entries.pool.take()],
    ['valid mask of the entry is stale', ({ entries, position }) => (entries.table.bits[position(3)] = 0b0010)],
    ['sector with two newest versions', ({ entries }) => entries.pool.bits.fill((255 << 8) | 255)],
    ['valid sector that was never written', ({ entries }) => entries.pool.bits.fill((1 << 8) | 2)],
    ['fragment was not written as one run', ({ entries }) => entries.pool.bits.fill((5 << 8) | 5)],
    ['fragment without a valid sector', ({ entries }) => entries.pool.bits.fill(1 << 8)],
    ['slot off its border', ({ entries, position }) => (entries.table.words[position(1) * 3 + 1] = LOG_END + 3)],
    ['block with several clean fragments', ({ entries }) => entries.pool.base.fill(LOG_END + 8)],
    ['block is not found from its home', ({ entries, position }) => (entries.table.words[position(2) * 3] = 12)],
  ])('%s', (problem, damage) => {
    const damaged = createIndex()
    damage(damaged)
    expect(extentIndexProblems(damaged.index).join('\n')).toContain(problem)
  })
})
