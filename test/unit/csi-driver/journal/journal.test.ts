// Proves: the journal's promises to the engine: where a batch goes and what it is numbered, what fits and what is kept
// back, when space is free again, who may append, that superblock updates are serialised, merged and written twice, and
// that a failed write ends appends for good.
import { IoError } from '../../../../base/errors.ts'
import { promotePending } from '../../../../csi-driver/journal/journal.ts'
import { RESERVED_FRAMES } from '../../../../csi-driver/journal/log-ring.ts'
import {
  appendBytes,
  batchOf,
  checkpoint,
  FRAME_BYTES_MAX,
  filled,
  format,
  LOG_BYTES,
  LOG_START,
  LOG_UUID,
  NEW_JOURNAL,
  open,
  openOwned,
  OTHER_LOG_UUID,
  own,
  probed,
  tinyBuilder,
  update,
} from './journal-kit.ts'
import { MemoryStorage } from './memory-storage.ts'

const FIELDS = { ackedSeq: 0, session: 9n, wallMs: 5 }
const ignore = (): void => undefined

async function fresh() {
  return openOwned((await format()).storage)
}

describe('append', () => {
  test('numbers records and batches, and says where they stand while the write is in flight', async () => {
    const { storage, journal } = await fresh()
    storage.holdWrites = true
    const writes = [1, 2, 3].map((sector) => ({ sector, data: filled(512, sector) }))
    let ended = 0
    journal.append(batchOf(writes), FIELDS, () => ended++)
    expect(journal.lastAppend).toEqual({
      position: LOG_START,
      payloadPosition: LOG_START + 4096,
      firstSeq: 1,
      batchSeq: 1,
    })
    expect(journal).toMatchObject({ appendInFlight: true, lastSeq: 3, lastBatchSeq: 1, lastCompleteBatchSeq: 0 })
    expect(() => journal.append(tinyBuilder(), FIELDS, ignore)).toThrow('in flight')
    storage.complete()
    expect(ended).toBe(1)
    expect(journal).toMatchObject({ appendInFlight: false, lastCompleteBatchSeq: 1, usedBytes: 8192, isEmpty: false })
    expect(storage.bytes.subarray(LOG_START + 4096, LOG_START + 4608).equals(filled(512, 1))).toBe(true)
  })

  test('a storage that completes at once calls back before append returns', async () => {
    const { journal } = await fresh()
    let order = ''
    journal.append(tinyBuilder(), FIELDS, () => {
      order += `done ${journal.lastAppend.batchSeq} `
    })
    expect(`${order}returned`).toBe('done 1 returned')
  })

  test('acknowledged numbers never fall', async () => {
    const { storage, journal } = await fresh()
    appendBytes(journal, 512, 1, 0)
    appendBytes(journal, 512, 2, 1)
    appendBytes(journal, 512, 3, 0)
    expect(journal.ackedSeq).toBe(1)
    expect((await open(storage)).journal.recovery.ackedSeq).toBe(1)
  })

  test('an empty batch takes one block and no record number', async () => {
    const { storage, journal } = await fresh()
    appendBytes(journal, 512, 1)
    appendBytes(journal, 0, 1, 1)
    appendBytes(journal, 512, 2)
    expect(journal).toMatchObject({ lastSeq: 2, lastBatchSeq: 3, usedBytes: 8192 + 4096 + 8192 })
    expect((await open(storage)).found.map((batch) => batch.records.length)).toEqual([1, 0, 1])
  })

  test('a failed write ends appends for good', async () => {
    const { storage, journal } = await fresh()
    storage.failNextWrite = true
    let failure: IoError | null = null
    journal.append(tinyBuilder(), FIELDS, (error) => {
      failure = error
    })
    expect(failure).toMatchObject({ code: 'EIO' })
    expect(journal.failed).toBe(failure)
    expect(journal.appendInFlight).toBe(false)
    expect(() => journal.append(tinyBuilder(), FIELDS, ignore)).toThrow('failed')
    expect(journal.lastCompleteBatchSeq).toBe(0)
  })
})

describe('space', () => {
  test('ordinary batches leave room for two of the longest, and a full log frees itself', async () => {
    const { journal } = await fresh()
    while (journal.canAppend(8192)) appendBytes(journal, 512)
    expect(journal.freeBytes).toBeLessThan(8192)
    expect(journal.usedBytes).toBeGreaterThan(LOG_BYTES - RESERVED_FRAMES * FRAME_BYTES_MAX - 8192)
    for (let extra = 0; extra < 2; extra++) {
      expect(journal.canAppendReserved(FRAME_BYTES_MAX)).toBe(true)
      appendBytes(journal, 4096)
    }
    await checkpoint(journal, journal.lastBatchSeq)
    expect(journal).toMatchObject({ usedBytes: 0, isEmpty: true })
    expect(journal.canAppend(FRAME_BYTES_MAX)).toBe(true)
  })

  test('space is free when the checkpoint is durable in both slots, not before', async () => {
    const { storage, journal } = await fresh()
    for (let round = 0; round < 3; round++) appendBytes(journal, 512)
    storage.holdWrites = true
    let ended = false
    journal.checkpoint(2, {}, () => {
      ended = true
    })
    storage.complete()
    expect([ended, journal.usedBytes, journal.trimSeq]).toEqual([false, 3 * 8192, 0])
    storage.complete()
    expect([ended, journal.usedBytes, journal.trimSeq]).toEqual([true, 8192, 2])
    expect(journal.superblock.tail).toMatchObject({ batchSeq: 3, seq: 3, position: LOG_START + 2 * 8192 })
  })

  test('a checkpoint behind the tail changes nothing; one ahead of the complete batches is a bug', async () => {
    const { storage, journal } = await fresh()
    appendBytes(journal, 512)
    appendBytes(journal, 512)
    await checkpoint(journal, 2)
    await checkpoint(journal, 1)
    expect(journal.trimSeq).toBe(2)
    storage.holdWrites = true
    appendBytes(journal, 512)
    expect(() => journal.checkpoint(3, {}, ignore)).toThrow('complete')
    storage.completeAll()
  })

  test('what was recovered can be trimmed batch by batch', async () => {
    const first = await fresh()
    for (let round = 0; round < 4; round++) appendBytes(first.journal, 512, round + 1)
    const second = await openOwned(first.storage)
    await checkpoint(second.journal, 3)
    const third = await open(second.storage)
    expect(third.found.map((batch) => batch.batchSeq)).toEqual([4])
    expect(third.journal).toMatchObject({ usedBytes: 8192, trimSeq: 3, lastSeq: 4 })
  })
})

describe('ownership', () => {
  test('nothing is appended before a new run is durable', async () => {
    const { journal } = await open((await format()).storage)
    expect(() => journal.append(tinyBuilder(), FIELDS, ignore)).toThrow('ownership')
    const { superblock } = journal
    expect(() => journal.setOwnership({ epoch: superblock.epoch, run: superblock.run, logUuid: LOG_UUID })).toThrow(
      'new',
    )
    expect(() => journal.setOwnership({ epoch: 1, run: 1, logUuid: LOG_UUID })).toThrow('names')
    await update(journal, { epoch: 1, run: 1 })
    expect(() => journal.setOwnership({ epoch: 1, run: 1, logUuid: OTHER_LOG_UUID })).toThrow('names the log')
    journal.setOwnership({ epoch: 1, run: 1, logUuid: LOG_UUID })
    appendBytes(journal, 512)
    expect(journal.superblock.runFirstBatchSeq).toBe(1)
  })

  test('a run never falls', async () => {
    const { journal } = await fresh()
    expect(() => journal.updateSuperblock({ run: 0 }, ignore)).toThrow('run only grows')
  })

  test('an owner that changes epoch, run or log must take ownership again', async () => {
    const { journal } = await fresh()
    await update(journal, { run: journal.superblock.run + 1 })
    expect(() => journal.append(tinyBuilder(), FIELDS, ignore)).toThrow('ownership')
  })

  test('a new epoch goes on in the same ring under a new log name', async () => {
    const first = await fresh()
    appendBytes(first.journal, 512, 1)
    appendBytes(first.journal, 512, 2)
    const second = await open(first.storage)
    const pendingLineage = { logUuid: OTHER_LOG_UUID, firstBatchSeq: 3 }
    await update(second.journal, { epoch: 2, run: 1, pendingLineage, intent: '{"claim":2}' })
    // A claim that was lost leaves the old log as it was.
    expect((await open(second.storage)).found.map((batch) => batch.batchSeq)).toEqual([1, 2])
    await update(second.journal, { ...promotePending(second.journal.superblock), intent: '' })
    second.journal.setOwnership({ epoch: 2, run: 1, logUuid: OTHER_LOG_UUID })
    appendBytes(second.journal, 512, 3)
    const third = await openOwned(second.storage)
    expect(third.found.map((batch) => batch.batchSeq)).toEqual([1, 2, 3])
    expect(third.journal.superblock.lineage).toEqual([{ logUuid: LOG_UUID, firstBatchSeq: 1 }, pendingLineage])
    await checkpoint(third.journal, 2)
    expect(third.journal.superblock.lineage).toEqual([pendingLineage])
    expect((await open(third.storage)).found.map((batch) => batch.batchSeq)).toEqual([3])
  })

  test('a log survives any number of takeovers without a checkpoint', async () => {
    let { storage } = await fresh()
    const takeOver = async (epoch: number) => {
      const opened = await open(storage)
      const { journal } = opened
      const logUuid = epoch.toString(16).padStart(32, '0')
      await update(journal, { pendingLineage: { logUuid, firstBatchSeq: journal.lastBatchSeq + 1 } })
      await update(journal, { epoch, run: 1, ...promotePending(journal.superblock) })
      journal.setOwnership({ epoch, run: 1, logUuid })
      return opened
    }
    // Epochs that write nothing cost nothing.
    for (let epoch = 2; epoch < 200; epoch++) storage = (await takeOver(epoch)).storage
    expect((await open(storage)).journal.superblock.lineage).toHaveLength(1)
    const wide = await format(
      { geometry: { ...NEW_JOURNAL.geometry, logBytes: 1 << 20, cacheBytes: 1 << 21 } },
      new MemoryStorage(1 << 21),
    )
    storage = wide.storage
    for (let epoch = 1; epoch <= 40; epoch++) {
      const { journal, found } = await takeOver(epoch)
      expect(found).toHaveLength(epoch - 1)
      appendBytes(journal, 512)
    }
    const { journal } = await open(storage)
    expect(journal.superblock.lineage).toHaveLength(16)
    await checkpoint(journal, 38)
    expect(journal.superblock.lineage).toHaveLength(2)
  })

  test('the lineage of existing batches cannot be changed', async () => {
    const { journal } = await fresh()
    appendBytes(journal, 512)
    const lineage = [{ logUuid: OTHER_LOG_UUID, firstBatchSeq: 1 }]
    expect(() => journal.updateSuperblock({ lineage }, ignore)).toThrow('lineage')
  })
})

describe('superblock updates', () => {
  test('are written twice, one after the other; those that wait are merged', async () => {
    const { storage, journal } = await fresh()
    const { generation } = journal.superblock
    storage.holdWrites = true
    storage.writes = []
    const answers: string[] = []
    journal.updateSuperblock({ intent: 'a' }, () => answers.push('a'))
    journal.updateSuperblock({ intent: 'b', registerRecord: 'r' }, () => answers.push('b'))
    journal.updateSuperblock({ intent: 'c' }, () => answers.push('c'))
    expect(storage.heldWrites).toBe(1)
    expect(journal.isUpdatingSuperblock).toBe(true)
    storage.complete()
    expect(storage.heldWrites).toBe(1)
    storage.complete()
    expect(answers).toEqual(['a'])
    expect(journal.superblock).toMatchObject({ intent: 'a', registerRecord: '' })
    storage.completeAll()
    expect(answers).toEqual(['a', 'b', 'c'])
    expect(journal.superblock).toMatchObject({ intent: 'c', registerRecord: 'r', generation: generation + 4 })
    expect(storage.writes.map((write) => write.position)).toEqual(
      [1, 2, 3, 4].map((step) => ((generation + step) % 4) * 8192),
    )
    expect(journal.isUpdatingSuperblock).toBe(false)
  })

  test('one asked for in an answer is written behind the waiting ones', async () => {
    const { storage, journal } = await fresh()
    const seen: string[] = []
    journal.updateSuperblock({ intent: 'a' }, () => {
      journal.updateSuperblock({ intent: 'b' }, () => seen.push(journal.superblock.intent))
    })
    expect(seen).toEqual(['b'])
    expect((await probed(storage)).intent).toBe('b')
  })

  test('run in parallel with an append', async () => {
    const { storage, journal } = await fresh()
    storage.holdWrites = true
    appendBytes(journal, 512)
    journal.updateSuperblock({ intent: 'x' }, ignore)
    expect(storage.heldWrites).toBe(2)
    storage.completeAll()
    // The batch was in flight when the update began: the superblock does not vouch for it.
    expect(journal.superblock).toMatchObject({ intent: 'x', headBatchSeq: 1 })
  })

  test('a failed one answers with the error and ends appends; the old content counts', async () => {
    const { storage, journal } = await fresh()
    storage.failNextWrite = true
    await expect(update(journal, { intent: 'x' })).rejects.toMatchObject({ code: 'EIO' })
    expect(journal.failed).toBeInstanceOf(IoError)
    expect(journal.superblock.intent).toBe('')
    expect(() => journal.append(tinyBuilder(), FIELDS, ignore)).toThrow('failed')
    await update(journal, { intent: 'y' })
    expect((await probed(storage)).intent).toBe('y')
  })

  test.each([0, 1, 2, 3])('slot %i lost after the answer: nothing is forgotten', async (slot) => {
    const opened = await fresh()
    for (let round = 0; round < 5; round++) {
      appendBytes(opened.journal, 512, round)
      await checkpoint(opened.journal, opened.journal.lastBatchSeq)
      await update(opened.journal, { intent: `intent ${round}` })
      const medium = new MemoryStorage(Buffer.from(opened.storage.bytes))
      medium.bytes.fill(0xa5, slot * 8192, slot * 8192 + 8192)
      const after = await open(medium)
      expect(after.found).toEqual([])
      expect(after.journal.superblock).toMatchObject({ intent: `intent ${round}`, tail: { batchSeq: round + 2 } })
    }
  })
})

describe('format', () => {
  test('makes an empty journal on top of an old one, whose batches and superblocks are void', async () => {
    const old = await fresh()
    for (let round = 0; round < 3; round++) appendBytes(old.journal, 512, round)
    const { superblock } = await format({ logUuid: OTHER_LOG_UUID }, old.storage)
    expect(superblock.generation).toBe(old.journal.superblock.generation + 4)
    const opened = await own(await open(old.storage))
    expect(opened.found).toEqual([])
    appendBytes(opened.journal, 512)
    expect((await open(old.storage)).found.map((batch) => batch.batchSeq)).toEqual([1])
  })

  test('can begin at any number, as a learner does', async () => {
    const begin = { batchSeq: 70, seq: 900, previousHash: 5n }
    const { storage } = await format({ begin, epoch: 4, run: 2 })
    const opened = await openOwned(storage)
    appendBytes(opened.journal, 512)
    expect(opened.journal.lastAppend).toMatchObject({ batchSeq: 70, firstSeq: 900 })
    expect((await open(storage)).found.map((batch) => batch.records[0]?.seq)).toEqual([900])
  })

  test('an error of the storage rejects', async () => {
    const storage = new MemoryStorage(LOG_START + LOG_BYTES)
    storage.failNextWrite = true
    await expect(format({}, storage)).rejects.toMatchObject({ code: 'EIO' })
  })
})
