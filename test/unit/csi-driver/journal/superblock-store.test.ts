// Proves: probing tells empty, foreign, damaged and our own storages apart and never writes; the newest valid slot
// counts; a crash at any sector of any copy leaves the old or the new content, never less.
import {
  newestSuperblock,
  probeCache,
  readSlots,
  SuperblockWriter,
} from '../../../../csi-driver/journal/superblock-store.ts'
import { CACHE_BYTES, format, probed } from './journal-kit.ts'
import { heapMemory, MemoryStorage } from './memory-storage.ts'

const MIB = 1024 * 1024

async function kindOf(storage: MemoryStorage): Promise<string> {
  const before = Buffer.from(storage.bytes)
  const { kind } = await probeCache(storage, heapMemory)
  expect(storage.bytes.equals(before)).toBe(true)
  return kind
}

test.each([0, 4096, 32_768, CACHE_BYTES, 2 * MIB])('%i zero bytes are empty', async (bytes) => {
  expect(await kindOf(new MemoryStorage(bytes))).toBe('empty')
})

test.each([
  ['boot sector', 510],
  ['ext4', 1080],
  ['XFS', 0],
  ['Btrfs', 0x1_0040],
  ['RAID member at the end', 2 * MIB - 8192],
  ['GPT backup', 2 * MIB - 512],
])('one byte of %s is foreign', async (_what, position) => {
  const storage = new MemoryStorage(2 * MIB)
  storage.bytes[position] = 1
  expect(await kindOf(storage)).toBe('foreign')
})

test('a short storage with data is foreign', async () => {
  const storage = new MemoryStorage(8192)
  storage.bytes[100] = 1
  expect(await kindOf(storage)).toBe('foreign')
})

test('ours, with damaged slots counted; ours without any valid slot', async () => {
  const { storage } = await format()
  expect(await probeCache(storage, heapMemory)).toMatchObject({ kind: 'forebay', damagedSlots: 0 })
  for (const slot of [0, 1, 2]) {
    storage.bytes[slot * 8192 + 100] = 0xee
    expect(await probeCache(storage, heapMemory)).toMatchObject({ kind: 'forebay', damagedSlots: slot + 1 })
  }
  storage.bytes[3 * 8192 + 100] = 0xee
  expect(await probeCache(storage, heapMemory)).toEqual({ kind: 'damaged', damagedSlots: 4 })
})

test('a superblock in a wrong slot does not count', async () => {
  const { storage, superblock } = await format()
  const slot = superblock.generation % 4
  storage.bytes.copy(storage.bytes, ((slot + 1) % 4) * 8192, slot * 8192, slot * 8192 + 8192)
  const slots = await readSlots(storage, heapMemory)
  expect(slots.map(({ state }) => state).filter((state) => state === 'damaged')).toHaveLength(1)
  expect(newestSuperblock(slots)?.generation).toBe(superblock.generation)
})

test('a crash at any sector of any copy leaves the old or the new content', async () => {
  const { storage, superblock } = await format()
  for (let copy = 0; copy < 2; copy++) {
    for (let sectors = 0; sectors <= 16; sectors++) {
      const medium = new MemoryStorage(Buffer.from(storage.bytes))
      medium.holdWrites = true
      const writer = new SuperblockWriter(medium, heapMemory, superblock.generation)
      writer.write({ ...superblock, intent: 'new' }, 2, () => undefined)
      if (copy === 1) medium.complete()
      const after = await probed(medium.crash((sector) => sector < sectors))
      const isNew = copy === 1 || after.generation > superblock.generation
      expect(after.intent).toBe(isNew ? 'new' : '')
      if (copy === 0 && sectors === 16) expect(isNew).toBe(true)
    }
  }
})

test('one update at a time', async () => {
  const { storage, superblock } = await format()
  storage.holdWrites = true
  const writer = new SuperblockWriter(storage, heapMemory, superblock.generation)
  writer.write(superblock, 2, () => undefined)
  expect(() => writer.write(superblock, 2, () => undefined)).toThrow('one superblock update')
})

test('an unreadable storage rejects', async () => {
  const storage = new MemoryStorage(CACHE_BYTES)
  storage.failReads = true
  await expect(probeCache(storage, heapMemory)).rejects.toMatchObject({ code: 'EIO' })
})
