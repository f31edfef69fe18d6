// Proves, case by case on a tiny ring: what a crash can leave is cut and never mistaken for a batch later; what a crash
// cannot leave is reported as damage with the last good record and the largest acknowledged one; recovery never writes.
import { BATCH_HEADER } from '../../../../csi-driver/batch/batch-format.ts'
import { BatchView } from '../../../../csi-driver/batch/batch-view.ts'
import { LogCorruptError } from '../../../../csi-driver/journal/journal.ts'
import { forge } from '../batch/batch-kit.ts'
import {
  appendBytes,
  batchOf,
  CACHE_BYTES,
  checkpoint,
  FRAME_BYTES_MAX,
  filled,
  format,
  LOG_BYTES,
  LOG_START,
  open,
  type Opened,
  openOwned,
  tinyBuilder,
} from './journal-kit.ts'
import { MemoryStorage } from './memory-storage.ts'

const LOG_END = LOG_START + LOG_BYTES

async function fresh(): Promise<Opened> {
  return openOwned((await format()).storage)
}

/** A medium with the same bytes: what the next process finds. */
function reborn(storage: MemoryStorage): MemoryStorage {
  return new MemoryStorage(Buffer.from(storage.bytes))
}

async function damageOf(storage: MemoryStorage, ackedSeqKnown = 0): Promise<LogCorruptError> {
  const error: unknown = await open(storage, { ackedSeqKnown }).then(
    () => null,
    (reason: unknown) => reason,
  )
  if (!(error instanceof LogCorruptError)) throw new Error(`not refused: ${String(error)}`)
  return error
}

function flip(storage: MemoryStorage, position: number): void {
  storage.bytes[position] = (storage.bytes[position] as number) ^ 0x10
}

/** Fills and trims until the head stands `bytes` before the ring's end and the log is empty. */
async function headBeforeEnd(opened: Opened, bytes: number): Promise<void> {
  const { journal } = opened
  for (;;) {
    const head = LOG_START + ((journal.lastAppend.position - LOG_START + 4096) % LOG_BYTES)
    if (journal.lastAppend.position >= LOG_START && head === LOG_END - bytes) return
    appendBytes(journal, 0)
    await checkpoint(journal, journal.lastBatchSeq)
  }
}

describe('what a crash leaves', () => {
  test('each single sector of the batch in flight, missing or alone', async () => {
    const base = await fresh()
    // What stands there before differs from the batch everywhere, also where the batch is zero.
    base.storage.bytes.fill(0xee, LOG_START)
    appendBytes(base.journal, 512, 1)
    const sectors = 16
    for (let chosen = 0; chosen < sectors; chosen++) {
      for (const alone of [true, false]) {
        const { storage, journal } = await openOwned(reborn(base.storage))
        storage.holdWrites = true
        appendBytes(journal, 4096, 2)
        const after = await open(storage.crash((sector) => (sector === chosen) === alone))
        expect(after.found.map((batch) => batch.batchSeq)).toEqual([1])
        expect(after.journal.lastSeq).toBe(1)
        // Only the first sector says that a batch was begun.
        const isSeen = (chosen === 0) === alone
        expect(after.journal.recovery.label).toBe(isSeen ? 'torn_here' : 'log_end')
        expect(after.journal.recovery.torn?.batchSeq).toBe(isSeen ? 2 : undefined)
      }
    }
  })

  test('all sectors: the batch counts although nobody was told', async () => {
    const { storage, journal } = await fresh()
    storage.holdWrites = true
    appendBytes(journal, 4096, 2)
    const after = await open(storage.crash(() => true))
    expect(after.journal.recovery).toMatchObject({
      label: 'log_end',
      lastBatchSeq: 1,
      lastSeq: 1,
      records: 1,
      torn: null,
    })
  })

  test('a long torn batch whose payload looks like headers is replaced by a short one', async () => {
    const first = await fresh()
    appendBytes(first.journal, 512, 1)
    const imageOfBatch1 = Buffer.from(first.storage.bytes.subarray(LOG_START, LOG_START + 4096))
    first.storage.holdWrites = true
    first.journal.append(
      batchOf([{ sector: 0, data: imageOfBatch1 }]),
      { ackedSeq: 1, session: 1n, wallMs: 1 },
      () => {},
    )
    const second = await openOwned(first.storage.crash((sector) => sector > 0))
    appendBytes(second.journal, 0)
    const third = await openOwned(reborn(second.storage))
    expect(third.found.map((batch) => [batch.batchSeq, batch.run])).toEqual([
      [1, 1],
      [2, 2],
    ])
    appendBytes(third.journal, 512, 3)
    const fourth = await open(reborn(third.storage))
    expect(fourth.found.map((batch) => [batch.batchSeq, batch.run])).toEqual([
      [1, 1],
      [2, 2],
      [3, 3],
    ])
  })

  test('a torn batch is not completed by the torn one that replaces it with the same data', async () => {
    // Run 1 leaves the header of batch 1 without its data; run 2 leaves the same data without the header.
    const first = await fresh()
    first.storage.holdWrites = true
    appendBytes(first.journal, 512, 7)
    const second = await openOwned(first.storage.crash((sector) => sector < 8))
    expect(second.journal.recovery.label).toBe('torn_here')
    second.storage.holdWrites = true
    appendBytes(second.journal, 512, 7)
    const medium = second.storage.crash((sector) => sector >= 8)
    // The frame of run 1 is whole now, on the medium and for a view …
    const view = new BatchView()
    expect(view.parse(medium.bytes, LOG_START, 8192)).toBe('ok')
    expect([view.run, view.checkPayload()]).toEqual([1, -1])
    // … and void for recovery.
    const third = await open(medium)
    expect(third.found).toEqual([])
    expect(third.journal.recovery.label).toBe('log_end')
  })

  test('a torn batch at the ring start', async () => {
    const opened = await fresh()
    await headBeforeEnd(opened, 4096)
    opened.storage.holdWrites = true
    appendBytes(opened.journal, 512, 4)
    expect(opened.journal.lastAppend.position).toBe(LOG_START)
    const after = await openOwned(opened.storage.crash((sector) => sector < 8))
    expect(after.journal.recovery.label).toBe('torn_at_start')
    // The next batch is short enough for the gap; the torn one stays where it is and is never taken.
    appendBytes(after.journal, 0)
    expect(after.journal.lastAppend.position).toBe(LOG_END - 4096)
    const again = await open(reborn(after.storage))
    expect(again.found.map((batch) => batch.position)).toEqual([LOG_END - 4096])
  })
})

describe('the ring', () => {
  test('the next batch is found at the start where it did not fit', async () => {
    const opened = await fresh()
    await headBeforeEnd(opened, 4096)
    appendBytes(opened.journal, 512, 4)
    appendBytes(opened.journal, 512, 5)
    const after = await open(reborn(opened.storage))
    expect(after.found.map((batch) => batch.position)).toEqual([LOG_START, LOG_START + 8192])
    expect(after.journal.usedBytes).toBe(opened.journal.usedBytes)
    expect(after.journal.usedBytes).toBe(4096 + 2 * 8192)
  })

  test('of two whole frames of one number, that of the later run counts', async () => {
    const opened = await fresh()
    await headBeforeEnd(opened, 4096)
    opened.storage.holdWrites = true
    appendBytes(opened.journal, 0)
    const readAsTorn = new MemoryStorage(Buffer.from(opened.storage.bytes))
    opened.storage.completeAll()
    const healed = opened.storage.bytes.subarray(LOG_END - 4096, LOG_END)
    // The disk gave the frame back damaged once, so run 2 wrote its own batch, too long for the gap …
    const second = await openOwned(readAsTorn)
    appendBytes(second.journal, 512, 2)
    expect(second.journal.lastAppend.position).toBe(LOG_START)
    // … and later, when run 2 is not the newest any more either, the first frame is readable again.
    const third = await openOwned(reborn(second.storage))
    healed.copy(third.storage.bytes, LOG_END - 4096)
    const found = (await open(third.storage)).found
    expect(found.map((batch) => [batch.position, batch.run])).toEqual([[LOG_START, 2]])
  })

  test('an older lap never passes', async () => {
    const opened = await fresh()
    for (let round = 0; round < 60; round++) {
      appendBytes(opened.journal, round % 3 === 0 ? 4096 : 512, round % 250)
      await checkpoint(opened.journal, opened.journal.lastBatchSeq)
      const after = await open(reborn(opened.storage))
      expect(after.found).toEqual([])
      expect(after.journal.lastBatchSeq).toBe(round + 1)
      expect(after.journal.recovery.label).toBe('log_end')
    }
  })
})

describe('damage', () => {
  async function threeBatches(): Promise<Opened> {
    const opened = await fresh()
    appendBytes(opened.journal, 1024, 1, 0)
    appendBytes(opened.journal, 512, 2, 1)
    appendBytes(opened.journal, 512, 3, 2)
    return opened
  }

  test.each([
    ['header', LOG_START + 40],
    ['data', LOG_START + 4096 + 700],
    ['padding', LOG_START + 4096 + 2000],
    ['magic', LOG_START],
  ])('in the %s of a batch before the last', async (_part, position) => {
    const { storage } = await threeBatches()
    flip(storage, position)
    const error = await damageOf(storage)
    expect(error).toMatchObject({ kind: 'corrupt', code: 'CACHE_LOG_CORRUPT' })
    expect(error.remedy).toContain('replica')
    expect(error.damage).toMatchObject({
      label: 'damaged_before_later',
      batchSeq: 1,
      position: LOG_START,
      lastGoodSeq: 0,
      ackedSeqMax: 2,
      lastSeqSeen: 3,
    })
  })

  test('of the last batch is a torn tail, unless somebody knows it as acknowledged', async () => {
    const { storage } = await threeBatches()
    flip(storage, LOG_START + 2 * 8192 + 4096)
    const cut = await open(reborn(storage), { ackedSeqKnown: 2 })
    expect(cut.journal.recovery).toMatchObject({ label: 'torn_here', lastSeq: 2, torn: { batchSeq: 3 } })
    const error = await damageOf(storage, 3)
    expect(error.damage).toMatchObject({ label: 'damaged_acked', lastGoodSeq: 2, ackedSeqMax: 3, lastSeqSeen: 3 })
  })

  test('of the last batch, when a superblock was written behind it', async () => {
    const { storage, journal } = await threeBatches()
    await checkpoint(journal, 1)
    flip(storage, LOG_START + 2 * 8192 + 4096)
    expect((await damageOf(storage)).damage).toMatchObject({
      label: 'damaged_before_later',
      batchSeq: 3,
      lastGoodSeq: 2,
    })
  })

  test('of several batches in a row', async () => {
    const { storage } = await threeBatches()
    storage.bytes.fill(0, LOG_START, LOG_START + 2 * 8192)
    expect((await damageOf(storage)).damage).toMatchObject({
      label: 'damaged_before_later',
      batchSeq: 1,
      lastSeqSeen: 3,
    })
  })

  test('when the later batch stands at the ring start', async () => {
    const opened = await fresh()
    await headBeforeEnd(opened, 8192)
    appendBytes(opened.journal, 512, 1)
    appendBytes(opened.journal, 512, 2)
    expect(opened.journal.lastAppend.position).toBe(LOG_START)
    flip(opened.storage, LOG_END - 4096)
    expect((await damageOf(opened.storage)).damage.label).toBe('damaged_before_later')
  })

  test('a batch that names another predecessor contradicts the log', async () => {
    const { storage } = await threeBatches()
    const at = LOG_START + 2 * 8192
    const forged = forge(Buffer.from(storage.bytes.subarray(at, at + 8192)), (frame) =>
      frame.writeBigUInt64LE(5n, BATCH_HEADER.offsets.previousHash),
    )
    forged.copy(storage.bytes, at)
    expect((await damageOf(storage)).damage).toMatchObject({ label: 'contradiction_here', lastGoodSeq: 2 })
  })

  test.each([
    ['a run that the superblock does not know', (frame: Buffer) => frame.writeUInt32LE(9, BATCH_HEADER.offsets.run)],
    [
      'a trim that the superblock does not know',
      (frame: Buffer) => frame.writeUInt32LE(1, BATCH_HEADER.offsets.trimSeq),
    ],
    ['a record number that is not the next', (frame: Buffer) => frame.writeUInt32LE(9, BATCH_HEADER.offsets.firstSeq)],
  ])('%s contradicts the log', async (_what, change) => {
    const { storage } = await threeBatches()
    const at = LOG_START + 2 * 8192
    forge(Buffer.from(storage.bytes.subarray(at, at + 8192)), change).copy(storage.bytes, at)
    expect((await damageOf(storage)).damage.label).toBe('contradiction_here')
  })

  test('accepted on purpose: the log goes on behind the last good batch, and what was lost stays lost', async () => {
    const { storage } = await threeBatches()
    flip(storage, LOG_START + 8192 + 4096)
    const accepted = await openOwned(storage, { acceptDataLoss: true })
    expect(accepted.found.map((batch) => batch.batchSeq)).toEqual([1])
    expect(accepted.journal.recovery.lost).toMatchObject({ lastGoodSeq: 1, ackedSeqMax: 2, lastSeqSeen: 3 })
    // The new batch 2 is as long as the damaged one, so the old batch 3 stands exactly behind it.
    appendBytes(accepted.journal, 512, 9)
    const after = await openOwned(reborn(storage))
    expect(after.found.map((batch) => [batch.batchSeq, batch.run])).toEqual([
      [1, 1],
      [2, 2],
    ])
    appendBytes(after.journal, 512, 9)
    expect((await open(reborn(after.storage))).found.map((batch) => batch.run)).toEqual([1, 2, 3])
  })
})

describe('the storage', () => {
  test('an unreadable sector is an error, nothing is cut', async () => {
    const { storage } = await fresh()
    const { superblock } = (await open(storage)).journal
    storage.failReads = true
    await expect(open(storage, { superblock })).rejects.toMatchObject({ code: 'EIO' })
  })

  test('a cache that was cut off is refused', async () => {
    const { storage } = await format()
    const { superblock } = (await open(storage)).journal
    const short = new MemoryStorage(Buffer.from(storage.bytes.subarray(0, CACHE_BYTES - 4096)))
    await expect(open(short, { superblock })).rejects.toMatchObject({ kind: 'corrupt', code: 'CACHE_TRUNCATED' })
  })

  test('the log is read in large pieces, about once', async () => {
    const opened = await fresh()
    while (opened.journal.canAppend(4096)) appendBytes(opened.journal, 0)
    const after = reborn(opened.storage)
    const { superblock } = opened.journal
    await open(after, { superblock })
    const probeBytes = 1024 * 1024
    expect(after.readBytes).toBeLessThanOrEqual(probeBytes + 3 * LOG_BYTES)
  })

  test('a batch of the greatest length fits the ring at every position', async () => {
    const opened = await fresh()
    for (let step = 0; step < LOG_BYTES / 4096; step++) {
      const builder = tinyBuilder()
      for (let record = 0; record < 125; record++) {
        builder.addZero({ sector: record, sectors: 1, mayUnmap: false, uniqueLow: 0, uniqueHigh: 0 })
      }
      for (let sector = 0; sector < 8; sector++) {
        builder.addWrite({ sector, buffer: filled(512, 1), start: 0, length: 512, uniqueLow: 0, uniqueHigh: 0 })
      }
      expect(builder.frameBytes).toBe(FRAME_BYTES_MAX)
      opened.journal.append(builder, { ackedSeq: 0, session: 0n, wallMs: 0 }, () => {})
      expect((await open(reborn(opened.storage))).found).toHaveLength(1)
      await checkpoint(opened.journal, opened.journal.lastBatchSeq)
      appendBytes(opened.journal, 0)
      await checkpoint(opened.journal, opened.journal.lastBatchSeq)
    }
  })
})
