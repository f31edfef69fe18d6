// Proves: copied batches stand in the new log as they stood in the old one, also where it is longer than both buffers, and
// count only when a superblock vouches for them; runs share a write, of a log that counts each batch has its own; one
// write is in flight at a time; after a failed write nothing is written and no room given; what does not follow is
// refused.
import { BatchView, PAYLOAD_OK } from '../../../../../csi-driver/batch/batch-view.ts'
import { CopiedBatches, RUN_BYTES_MAX } from '../../../../../csi-driver/engine/opening/copied-batches.ts'
import type { Journal, LogGeometry } from '../../../../../csi-driver/journal/journal.ts'
import {
  appendBytes,
  format,
  LOG_START,
  NEW_JOURNAL,
  open,
  type Opened,
  openOwned,
  update,
} from '../../journal/journal-kit.ts'
import { heapMemory, MemoryStorage } from '../../journal/memory-storage.ts'

const LONG_LOG_BYTES = 4 * RUN_BYTES_MAX
const LONG = {
  ...NEW_JOURNAL.geometry,
  logBytes: LONG_LOG_BYTES,
  cacheBytes: LOG_START + LONG_LOG_BYTES,
}

function storageFor({ cacheBytes }: LogGeometry): MemoryStorage {
  return new MemoryStorage(cacheBytes)
}

async function source(batches: number, geometry = NEW_JOURNAL.geometry) {
  const { storage, journal } = await openOwned((await format({ geometry }, storageFor(geometry))).storage)
  const frames: Buffer[] = []
  for (let i = 1; i <= batches; i += 1) {
    appendBytes(journal, i % 3 === 0 ? 512 : 4096, (i % 200) + 1)
    const { position } = journal.lastAppend
    frames.push(storage.bytes.subarray(position, position + 8192))
  }
  return { journal, frames }
}

/** An empty log that begins where `journal` begins, as a takeover makes it: what is copied into it is void. */
async function emptyCopy({ superblock }: Journal) {
  const { tail, lineage, geometry } = superblock
  const fields = { geometry, begin: tail, lineage, epoch: superblock.epoch, run: 2 ** 32 - 1 }
  return open((await format(fields, storageFor(geometry))).storage)
}

async function found({ storage, journal }: Opened): Promise<number[]> {
  expect((await open(storage)).found).toEqual([])
  await update(journal, { epoch: 2, run: 0 })
  const again = await open(storage)
  expect(again.journal.lastHash).toBe(journal.lastHash)
  return again.found.map(({ batchSeq }) => batchSeq)
}

async function copy(copied: CopiedBatches, frame: Buffer): Promise<void> {
  const { buffer, start } = await copied.room(frame.length)
  frame.copy(buffer, start)
  const view = new BatchView()
  expect(view.parse(buffer, start, frame.length)).toBe('ok')
  expect(view.checkPayload()).toBe(PAYLOAD_OK)
  copied.take(view)
}

test.each([
  ['runs', 1],
  ['one', 6],
] as const)('%s: as they stood, in as few writes as allowed', async (writes, count) => {
  const { journal, frames } = await source(6)
  const opened = await emptyCopy(journal)
  const { storage, journal: own } = opened
  const placed: number[] = []
  storage.writes = []
  const copied = new CopiedBatches(own, heapMemory, { writes, onPlaced: (view) => placed.push(view.batchSeq) })
  // oxlint-disable-next-line eslint/no-await-in-loop -- one after the other
  for (const frame of frames) await copy(copied, frame)
  expect(placed).toEqual([1, 2, 3, 4, 5, 6])
  expect(await copied.settled()).toBeNull()
  expect(storage.writes).toHaveLength(count)
  expect([own.lastCompleteBatchSeq, own.lastHash]).toEqual([6, journal.lastHash])
  expect(await found(opened)).toEqual([1, 2, 3, 4, 5, 6])
})

test('a log that is longer than both buffers', async () => {
  const { journal, frames } = await source(Math.ceil((2.5 * RUN_BYTES_MAX) / 8192), LONG)
  const opened = await emptyCopy(journal)
  const { storage, journal: own } = opened
  const copied = new CopiedBatches(own, heapMemory, { writes: 'runs', onPlaced: () => {} })
  storage.writes = []
  // oxlint-disable-next-line eslint/no-await-in-loop -- one after the other
  for (const frame of frames) await copy(copied, frame)
  expect(await copied.settled()).toBeNull()
  expect(storage.writes.map(({ length }) => length)).toEqual([RUN_BYTES_MAX, RUN_BYTES_MAX, RUN_BYTES_MAX / 2])
  expect(own.lastCompleteBatchSeq).toBe(frames.length)
  expect(await found(opened)).toEqual(frames.map((_, i) => i + 1))
})

test('one write is in flight at a time, and what fills a buffer waits for what is written from it', async () => {
  const { journal, frames } = await source(4)
  const { storage, journal: own } = await emptyCopy(journal)
  storage.holdWrites = true
  const copied = new CopiedBatches(own, heapMemory, { writes: 'one', onPlaced: () => {} })
  // oxlint-disable-next-line eslint/no-await-in-loop -- one after the other
  for (const frame of frames) await copy(copied, frame)
  const settled = copied.settled()
  for (let i = 1; i <= 4; i += 1) {
    expect(storage.heldWrites).toBe(1)
    expect(own.lastCompleteBatchSeq).toBe(i - 1)
    storage.complete()
    // oxlint-disable-next-line eslint/no-await-in-loop -- the next write begins
    await new Promise<void>((resolve) => void setImmediate(resolve))
  }
  expect(await settled).toBeNull()
  expect(own.lastCompleteBatchSeq).toBe(4)
})

test('after a write that failed nothing is written, and there is no room', async () => {
  const { journal, frames } = await source(3)
  const { storage, journal: own } = await emptyCopy(journal)
  const copied = new CopiedBatches(own, heapMemory, { writes: 'one', onPlaced: () => {} })
  storage.writes = []
  storage.failNextWrite = true
  await copy(copied, frames[0] as Buffer)
  expect(await copied.settled()).toMatchObject({ code: 'EIO' })
  await expect(copied.room(8192)).rejects.toMatchObject({ code: 'EIO' })
  expect(await copied.settled()).toMatchObject({ code: 'EIO' })
  expect(storage.writes).toEqual([])
})

test('a batch that does not follow is refused, and those before it stand', async () => {
  const { journal, frames } = await source(3)
  const opened = await emptyCopy(journal)
  const copied = new CopiedBatches(opened.journal, heapMemory, { writes: 'runs', onPlaced: () => {} })
  await copy(copied, frames[0] as Buffer)
  await expect(copy(copied, frames[2] as Buffer)).rejects.toMatchObject({ code: 'CACHE_LOG_DIFFERS' })
  expect(await copied.settled()).toBeNull()
  expect(await found(opened)).toEqual([1])
})
