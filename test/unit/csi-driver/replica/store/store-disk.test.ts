// Proves that a store is made whatever memory held before: the volume table is zeros, so that no entry counts as damaged.
import { formatStore, readSlots } from '../../../../../csi-driver/replica/store/store-disk.ts'
import { heapMemory, TestStorage } from './store-kit.ts'

const SUPERBLOCK = {
  generation: 1,
  storeUuid: '2'.repeat(32),
  incarnation: 1,
  resource: 'flash',
  capacityBytes: 1024 * 1024,
  segmentBytes: 64 * 1024,
  slotCount: 3,
  madeWallMs: 0,
} as const

test('a new store has only unused entries, made with memory that was used before', async () => {
  const storage = new TestStorage(SUPERBLOCK.capacityBytes)
  const used = { allocate: (length: number) => Buffer.alloc(length, 0xdd) }
  await formatStore(storage, used, SUPERBLOCK)
  const slots = await readSlots(storage, heapMemory, SUPERBLOCK)
  expect(slots.map(({ state }) => state)).toEqual(['unused', 'unused', 'unused'])
})
