// Proves: a log can be read batch by batch and copied into another journal byte for byte, across the ring's end and
// under several names; the copy opens as the same chain, goes on under a new owner, and refuses what does not follow.
import { BatchView } from '../../csi-driver/batch/batch-view.ts'
import { currentLogUuid, type Journal, promotePending } from '../../csi-driver/journal/journal.ts'
import { heapMemory } from '../unit/csi-driver/journal/memory-storage.ts'
import {
  batchOf,
  checkpoint,
  FRAME_BYTES_MAX,
  filled,
  format,
  LOG_UUID,
  open,
  openOwned,
  OTHER_LOG_UUID,
  update,
} from '../unit/csi-driver/journal/journal-kit.ts'

const FIELDS = { ackedSeq: 0, session: 9n, wallMs: 5 }

function append(journal: Journal, sector: number, bytes = 4096): Promise<void> {
  return new Promise((resolve, reject) => {
    journal.append(batchOf([{ sector, data: filled(bytes, sector) }]), FIELDS, (error) =>
      error === null ? resolve() : reject(error),
    )
  })
}

function read(journal: Journal, batchSeq: number): Promise<Buffer> {
  const buffer = heapMemory.allocate(FRAME_BYTES_MAX)
  return new Promise((resolve, reject) => {
    journal.readBatch(batchSeq, buffer, (error, length) =>
      error === null ? resolve(buffer.subarray(0, length)) : reject(error),
    )
  })
}

function viewOf(frame: Buffer): BatchView {
  const buffer = heapMemory.allocate(FRAME_BYTES_MAX)
  frame.copy(buffer)
  const view = new BatchView()
  expect(view.parse(buffer, 0, frame.length)).toBe('ok')
  return view
}

function adopt(journal: Journal, frame: Buffer): Promise<void> {
  return new Promise((resolve, reject) => {
    const view = viewOf(frame)
    const { buffer, start, frameBytes: length, batchSeq: lastBatchSeq } = view
    journal.writeCopied({ buffer, start, length, position: journal.place(view), lastBatchSeq }, (error) =>
      error === null ? resolve() : reject(error),
    )
  })
}

/** A log whose tail has moved, that has wrapped, and that goes on under a second name. */
async function source() {
  const opened = await openOwned((await format()).storage)
  const { journal } = opened
  for (let i = 1; i <= 9; i += 1) {
    // oxlint-disable-next-line eslint/no-await-in-loop -- one append at a time
    await append(journal, i * 8, i % 2 === 0 ? 4096 : 512)
    // oxlint-disable-next-line eslint/no-await-in-loop -- one append at a time
    if (i > 4) await checkpoint(journal, i - 4)
  }
  return opened
}

async function copyOf(journal: Journal) {
  const { superblock } = journal
  const { tail, lineage, epoch, run } = superblock
  const { storage } = await format({
    begin: tail,
    lineage,
    epoch,
    run,
    storeUuid: '99999999999999999999999999999999',
  })
  const copy = await open(storage)
  for (let batchSeq = tail.batchSeq; batchSeq <= journal.lastBatchSeq; batchSeq += 1) {
    // oxlint-disable-next-line eslint/no-await-in-loop -- one after another
    await adopt(copy.journal, await read(journal, batchSeq))
  }
  return copy
}

test('every un-trimmed batch can be read back; a trimmed one is told as such', async () => {
  const { journal } = await source()
  for (let batchSeq = 6; batchSeq <= 9; batchSeq += 1) {
    // oxlint-disable-next-line eslint/no-await-in-loop -- one after another
    const view = viewOf(await read(journal, batchSeq))
    expect(view.batchSeq).toBe(batchSeq)
    expect(view.frameBytes).toBeGreaterThan(0)
    expect(view.checkPayload()).toBe(-1)
  }
  expect(await read(journal, 5)).toHaveLength(0)
})

test('a trim that passes while the frame is read is told', async () => {
  const { storage, journal } = await source()
  storage.holdReads = true
  const reading = read(journal, 6)
  await checkpoint(journal, 6)
  storage.completeReads()
  expect(await reading).toHaveLength(0)
})

test('a copy is the same chain, and goes on under a new owner', async () => {
  const { journal } = await source()
  const { storage, journal: copy } = await copyOf(journal)
  expect(copy.lastBatchSeq).toBe(9)
  expect(copy.lastHash).toBe(journal.lastHash)
  expect(copy.ackedSeq).toBe(journal.ackedSeq)
  const again = await open(storage)
  expect(again.found.map((batch) => batch.batchSeq)).toEqual([6, 7, 8, 9])
  await update(again.journal, { pendingLineage: { logUuid: OTHER_LOG_UUID, firstBatchSeq: 10 } })
  await update(again.journal, { ...promotePending(again.journal.superblock), epoch: 2, run: 1 })
  again.journal.setOwnership({ epoch: 2, run: 1, logUuid: currentLogUuid(again.journal.superblock.lineage) })
  await append(again.journal, 100)
  const last = await open(storage)
  expect(last.found.map((batch) => batch.batchSeq)).toEqual([6, 7, 8, 9, 10])
  expect(last.journal.superblock.lineage.map((entry) => entry.logUuid)).toEqual([LOG_UUID, OTHER_LOG_UUID])
})

test('a batch that does not follow is refused, and nothing is written', async () => {
  const { journal } = await source()
  const { storage } = await format({
    begin: journal.superblock.tail,
    lineage: journal.superblock.lineage,
    epoch: 1,
    run: 1,
  })
  const { journal: copy } = await open(storage)
  const before = Buffer.from(storage.bytes)
  await expect(adopt(copy, await read(journal, 7))).rejects.toMatchObject({ code: 'CACHE_LOG_DIFFERS' })
  expect(storage.bytes.equals(before)).toBe(true)
})

test.each([
  ['of another log', { lineage: [{ logUuid: OTHER_LOG_UUID, firstBatchSeq: 1 }] }],
  ['of another volume', { volumeUuid: '33333333333333333333333333333333' }],
  ['whose records have other numbers', { begin: { batchSeq: 1, seq: 2, previousHash: 0n } }],
  ['of another chain', { begin: { batchSeq: 1, seq: 1, previousHash: 5n } }],
  ['of a later epoch than the log can hold', { epoch: 0, run: 2 ** 32 - 1 }],
])('a batch %s is refused', async (_what, fields) => {
  const { journal } = await openOwned((await format()).storage)
  await append(journal, 8)
  const asIs = { lineage: journal.superblock.lineage, epoch: 1, run: 1 }
  const frame = await read(journal, 1)
  await adopt((await open((await format(asIs)).storage)).journal, frame)
  const { journal: copy } = await open((await format({ ...asIs, ...fields })).storage)
  await expect(adopt(copy, frame)).rejects.toMatchObject({ code: 'CACHE_LOG_DIFFERS' })
})

test('the batch at a byte of the ring is found, wherever the ring wraps', async () => {
  const { journal } = await source()
  const frames = new Map<number, { position: number; bytes: Buffer }>()
  for (let batchSeq = 6; batchSeq <= 9; batchSeq += 1) {
    // oxlint-disable-next-line eslint/no-await-in-loop -- one after another
    const bytes = Buffer.from(await read(journal, batchSeq))
    const { logStart, logBytes } = journal.superblock.geometry
    for (let position = logStart; position < logStart + logBytes; position += 512) {
      const found = journal.batchAt(position)
      if (found?.batchSeq !== batchSeq) continue
      frames.set(batchSeq, { position: found.position, bytes })
      expect(position).toBeGreaterThanOrEqual(found.position)
      expect(position).toBeLessThan(found.position + bytes.length)
    }
  }
  expect([...frames.keys()]).toEqual([6, 7, 8, 9])
})
