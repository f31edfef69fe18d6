// Proves: the sizes that the format promises, and that docs/formats/batch.md shows the tables that the code declares.
import { readFileSync } from 'node:fs'
import {
  BATCH_DESCRIPTOR,
  BATCH_FRAME_BYTES_MAX,
  BATCH_HEADER,
  BATCH_RECORDS_MAX,
  DESCRIPTORS_IN_ONE_BLOCK,
  frameBytesFor,
  headerBlocksFor,
} from '../../../../csi-driver/batch/batch-format.ts'

test('sizes', () => {
  expect(BATCH_HEADER.size).toBe(128)
  expect(BATCH_DESCRIPTOR.size).toBe(32)
  expect(DESCRIPTORS_IN_ONE_BLOCK).toBe(124)
  expect(BATCH_HEADER.size + BATCH_RECORDS_MAX * BATCH_DESCRIPTOR.size).toBeLessThanOrEqual(8192)
  expect(BATCH_FRAME_BYTES_MAX).toBe(8192 + 2 * 1024 * 1024)
  expect([headerBlocksFor(0), headerBlocksFor(124), headerBlocksFor(125)]).toEqual([1, 1, 2])
  expect([frameBytesFor(0, 0), frameBytesFor(1, 512), frameBytesFor(125, 4608)]).toEqual([4096, 8192, 16_384])
})

test('the document shows the declared tables', () => {
  const page = readFileSync('docs/formats/batch.md', 'utf8')
  expect(page).toContain(BATCH_HEADER.dump())
  expect(page).toContain(BATCH_DESCRIPTOR.dump())
})
