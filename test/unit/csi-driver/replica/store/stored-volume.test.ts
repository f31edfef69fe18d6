// Proves, order by order: what a volume of a store does with promises, names, batches, trims, promotions, learning and
// removal, on a good disk, while writes are in flight, and after a write that failed.
import { CacheError } from '../../../../../base/errors.ts'
import { ReplicaStore } from '../../../../../csi-driver/replica/store/replica-store.ts'
import {
  append,
  BLOCK,
  bodyOf,
  bytesFor,
  createVolume,
  failure,
  freshLog,
  learn,
  logName,
  logOf,
  openStore,
  readBatch,
  SEGMENT_BYTES,
  settled,
  TestOwner,
  TestStorage,
  VOLUME_UUID,
  volumeIn,
} from './store-kit.ts'

function codeOf(error: Error): string {
  return error instanceof CacheError ? error.code : error.message
}

async function reopened(storage: TestStorage) {
  const found = await openStore(storage.reborn())
  return { ...found, volume: volumeIn(found.store) }
}

describe('promise and run', () => {
  test('only grow, and are there after a restart', async () => {
    const { volume, storage } = await freshLog()
    await settled((done) => volume.update({ promise: 5 }, done))
    await settled((done) => volume.update({ epoch: 4, run: 2 }, done))
    expect(volume.state).toMatchObject({ promise: 5, epoch: 4, run: 2 })
    for (const update of [{ promise: 4 }, { epoch: 3, run: 9 }, { epoch: 4, run: 1 }]) {
      expect(codeOf(await failure((done) => volume.update(update, done)))).toBe('CACHE_STORE_ORDER')
    }
    expect((await reopened(storage)).volume.state).toEqual(volume.state)
  })

  test('an update that changes nothing writes nothing', async () => {
    const { volume, storage } = await freshLog()
    let writes = 0
    storage.onWrite = () => (writes += 1)
    await settled((done) => volume.update({ promise: 1, epoch: 1, run: 1 }, done))
    await settled((done) => volume.trim(0, done))
    expect(writes).toBe(0)
    await settled((done) => volume.update({ promise: 2 }, done))
    expect(writes).toBe(2)
  })

  test('the state is replaced, and shows what is durable only', async () => {
    const { volume, storage } = await freshLog()
    const before = volume.state
    storage.holdWrites = true
    let answered = false
    volume.update({ promise: 7 }, () => (answered = true))
    storage.complete()
    expect([volume.state, answered]).toEqual([before, false])
    storage.complete()
    expect([volume.state.promise, before.promise, answered]).toEqual([7, 1, true])
  })

  test('changes that wait are written as one', async () => {
    const { volume, storage } = await freshLog()
    storage.holdWrites = true
    const promises = [2, 3, 4, 5].map((promise) => settled((done) => volume.update({ promise }, done)))
    expect(storage.held).toHaveLength(1)
    storage.complete()
    storage.complete()
    expect(volume.state.promise).toBe(2)
    storage.completeAll()
    await Promise.all(promises)
    expect(volume.state.promise).toBe(5)
  })
})

describe('append', () => {
  test('takes only the next batch of this log and volume', async () => {
    const { volume, owner } = await freshLog()
    await append(volume, owner.make(512))
    const again = new TestOwner()
    expect(codeOf(await failure((done) => volume.append(bodyOf(again.make(512)), done)))).toBe('CACHE_STORE_GAP')
    const third = new TestOwner({ ...owner.next, batchSeq: 3 })
    expect(codeOf(await failure((done) => volume.append(bodyOf(third.make(512)), done)))).toBe('CACHE_STORE_GAP')
    const unchained = new TestOwner({ ...owner.next, previousHash: 1n })
    expect(codeOf(await failure((done) => volume.append(bodyOf(unchained.make(512)), done)))).toBe('CACHE_STORE_GAP')
    const skipping = new TestOwner({ ...owner.next, seq: 9 })
    expect(codeOf(await failure((done) => volume.append(bodyOf(skipping.make(512)), done)))).toBe('CACHE_STORE_GAP')
    const renamed = new TestOwner(owner.next)
    renamed.name = logName(2)
    expect(codeOf(await failure((done) => volume.append(bodyOf(renamed.make(512)), done)))).toBe('CACHE_STORE_GAP')
    const other = new TestOwner(owner.next)
    other.volumeUuid = '2'.repeat(32)
    expect(codeOf(await failure((done) => volume.append(bodyOf(other.make(512)), done)))).toBe('CACHE_STORE_ORDER')
    expect(logOf(volume).lastBatchSeq).toBe(1)
    await append(volume, owner.make(512))
  })

  test('refuses what no segment can hold, and what is no batch', async () => {
    const { volume, owner } = await freshLog()
    const long = owner.make(SEGMENT_BYTES)
    expect(codeOf(await failure((done) => volume.append(bodyOf(long), done)))).toBe('CACHE_STORE_ORDER')
    const noise = { ...long, bytes: Buffer.alloc(600, 1) }
    expect(codeOf(await failure((done) => volume.append(bodyOf(noise), done)))).toBe('CACHE_STORE_ORDER')
  })

  test('is one write, and two where it begins a segment', async () => {
    const { volume, owner, storage } = await freshLog()
    const lengths: number[] = []
    storage.onWrite = (_, data) => lengths.push(data.length)
    for (let count = 0; count < 4; count++) await append(volume, owner.make(8192))
    expect(lengths).toEqual([BLOCK, 3 * BLOCK, 3 * BLOCK, BLOCK, 3 * BLOCK, 3 * BLOCK])
  })

  test('leaves nothing of the caller’s buffer behind the body', async () => {
    const { volume, owner, storage } = await freshLog()
    let written: Buffer = Buffer.alloc(0)
    storage.onWrite = (_, data) => (written = data)
    const batch = owner.make(512)
    await append(volume, batch)
    expect(written.subarray(64, 64 + batch.bytes.length).equals(batch.bytes)).toBe(true)
    expect(written.subarray(64 + batch.bytes.length).every((byte) => byte === 0)).toBe(true)
  })

  test('counts ackedSeq, records and bytes', async () => {
    const { volume, owner } = await freshLog()
    await append(volume, owner.make(512, 3))
    owner.ackedSeq = 3
    await append(volume, owner.make(8192, 2))
    expect(logOf(volume)).toMatchObject({ lastSeq: 5, ackedSeq: 3, storedBytes: BLOCK + 3 * BLOCK })
    expect(volume.headerHashOf(2)).toBe(owner.next.previousHash)
    expect(volume.headerHashOf(3)).toBeNull()
  })

  test('without a log there is nothing to append to', async () => {
    const { store } = await openStore(new TestStorage(bytesFor(4)))
    const volume = await createVolume(store)
    const error = await failure((done) => volume.append(bodyOf(new TestOwner().make(512)), done))
    expect(codeOf(error)).toBe('CACHE_STORE_NOT_HELD')
  })
})

describe('space', () => {
  test('a reservation that does not fit is refused and changes nothing', async () => {
    const { volume, owner, store } = await freshLog(8)
    await append(volume, owner.make(512))
    const second = await createVolume(store, '2'.repeat(32), 'second')
    const { freeBytes } = store
    const before = second.state
    const error = await failure((done) => {
      second.learn(
        {
          lineage: [logName(1)],
          begin: { batchSeq: 1, seq: 1, previousHash: 0n },
          logBytes: 64 * BLOCK,
          epoch: 1,
          run: 1,
        },
        done,
      )
    })
    expect(error).toMatchObject({ kind: 'full', code: 'CACHE_STORE_FULL' })
    expect([store.freeBytes, second.state]).toEqual([freeBytes, before])
    expect(logOf(volume).lastBatchSeq).toBe(1)
  })

  test('a log may grow beyond its reservation into what nobody has reserved, and no further', async () => {
    const { volume, owner, store } = await freshLog(8)
    const second = await createVolume(store, '2'.repeat(32), 'second')
    await learn(second, { logBytes: BLOCK })
    let error: Error | null = null
    while (error === null) {
      const body = bodyOf(owner.make(8192))
      error = await new Promise((resolve) => volume.append(body, resolve))
    }
    expect(codeOf(error)).toBe('CACHE_STORE_FULL')
    expect(store.freeBytes).toBe(0)
    expect(volume.account.used).toBe(8 - second.account.reserved)
    const other = new TestOwner()
    other.volumeUuid = '2'.repeat(32)
    for (let count = 0; count < 4; count++) await append(second, other.make(8192))
    expect(second.account.used).toBe(2)
  })

  test('a full log goes on after a trim, also one that is still being written', async () => {
    const { volume, owner, storage } = await freshLog(4)
    let last = 0
    for (let count = 0; count < 8; count++) {
      await append(volume, owner.make(8192))
      last += 1
    }
    owner.returnTo(last)
    storage.holdWrites = true
    const trimmed = settled((done) => volume.trim(last - 1, done))
    const appended = append(volume, owner.make(8192))
    expect(storage.held).toHaveLength(1)
    storage.completeAll()
    await Promise.all([trimmed, appended])
    expect(logOf(volume)).toMatchObject({ lastBatchSeq: last + 1, tail: { batchSeq: last } })
  })

  test('a table that is full is said', async () => {
    const { store } = await openStore(new TestStorage(bytesFor(4)))
    for (const digit of ['1', '2', '3', '4']) await createVolume(store, digit.repeat(32), `v${digit}`)
    await expect(createVolume(store, '5'.repeat(32), 'v5')).rejects.toMatchObject({ code: 'CACHE_STORE_VOLUMES' })
    await expect(createVolume(store, '1'.repeat(32), 'v1')).rejects.toMatchObject({ code: 'CACHE_STORE_ORDER' })
    await settled((done) => store.find('3'.repeat(32))?.discard(done))
    await createVolume(store, '5'.repeat(32), 'v5')
    expect(store.volumes()).toHaveLength(4)
  })
})

describe('trim', () => {
  test('frees segments that are wholly below, durably, and keeps the numbers of an empty log', async () => {
    const { volume, owner, storage, store } = await freshLog(16)
    for (let count = 0; count < 9; count++) await append(volume, owner.make(8192))
    expect(volume.account.used).toBe(5)
    await settled((done) => volume.trim(4, done))
    expect(volume.account.used).toBe(3)
    await settled((done) => volume.trim(9, done))
    expect(volume.account.used).toBe(1)
    const { previousHash } = owner.next
    expect(logOf(volume)).toMatchObject({
      tail: { batchSeq: 10, seq: 10, previousHash },
      lastBatchSeq: 9,
      lastSeq: 9,
      lastHash: previousHash,
      storedBytes: 0,
    })
    const again = await reopened(storage)
    expect(again.volume.state).toEqual(volume.state)
    expect(again.store.freeBytes).toBe(store.freeBytes)
    await append(again.volume, owner.make(512))
    expect(logOf((await reopened(again.storage)).volume).lastBatchSeq).toBe(10)
  })

  test('of batches that are not there is an error; of older ones nothing', async () => {
    const { volume, owner } = await freshLog()
    await append(volume, owner.make(512))
    expect(codeOf(await failure((done) => volume.trim(2, done)))).toBe('CACHE_STORE_NOT_HELD')
    await settled((done) => volume.trim(1, done))
    await settled((done) => volume.trim(1, done))
    expect(volume.headerHashOf(1)).toBeNull()
    await expect(readBatch(volume, 1)).rejects.toMatchObject({ code: 'CACHE_STORE_NOT_HELD' })
  })

  test('drops the names that no batch needs, and a pending name that was passed', async () => {
    const { volume, owner } = await freshLog()
    for (let count = 0; count < 3; count++) await append(volume, owner.make(512))
    await settled((done) => volume.update({ pending: logName(2, 3) }, done))
    await settled((done) => volume.promote(logName(2).logUuid, done))
    owner.returnTo(2)
    owner.name = logName(2)
    for (let count = 0; count < 3; count++) await append(volume, owner.make(512))
    await settled((done) => volume.update({ pending: logName(3, 4) }, done))
    await settled((done) => volume.trim(4, done))
    expect(logOf(volume)).toMatchObject({ lineage: [logName(2, 3)], pending: null })
  })
})

describe('promotion', () => {
  async function prepared() {
    const found = await freshLog()
    const { volume, owner } = found
    for (let count = 0; count < 6; count++) await append(volume, owner.make(8192))
    await settled((done) => volume.update({ pending: logName(2, 4) }, done))
    return found
  }

  test('drops what is behind the gathered end, not before', async () => {
    const { volume, owner, storage } = await prepared()
    expect(logOf(volume)).toMatchObject({ lastBatchSeq: 6, lineage: [logName(1)], pending: logName(2, 4) })
    expect(logOf((await reopened(storage)).volume)).toEqual(logOf(volume))
    await settled((done) => volume.promote(logName(2).logUuid, done))
    owner.returnTo(3)
    expect(logOf(volume)).toMatchObject({
      lastBatchSeq: 3,
      lastSeq: 3,
      lastHash: owner.next.previousHash,
      lineage: [logName(1), logName(2, 4)],
      pending: null,
    })
    const again = await reopened(storage)
    expect(logOf(again.volume)).toEqual(logOf(volume))
    await settled((done) => again.volume.promote(logName(2).logUuid, done))
    owner.name = logName(2)
    await append(again.volume, owner.make(512, 1, 99))
    const last = await reopened(again.storage)
    expect(logOf(last.volume)).toMatchObject({ lastBatchSeq: 4, lastHash: owner.next.previousHash })
    expect((await readBatch(last.volume, 4)).equals(owner.made.get(4)?.bytes ?? Buffer.alloc(0))).toBe(true)
  })

  test('of another name is an error', async () => {
    const { volume } = await prepared()
    const error = await failure((done) => volume.promote(logName(3).logUuid, done))
    expect(codeOf(error)).toBe('CACHE_STORE_NOT_HELD')
    expect(logOf(volume).lastBatchSeq).toBe(6)
  })

  test('of a name right behind the end drops nothing', async () => {
    const { volume } = await prepared()
    await settled((done) => volume.update({ pending: logName(2, 7) }, done))
    await settled((done) => volume.promote(logName(2).logUuid, done))
    expect(logOf(volume)).toMatchObject({ lastBatchSeq: 6, lineage: [logName(1), logName(2, 7)] })
  })

  test('a pending name outside the log is refused', async () => {
    const { volume } = await prepared()
    const error = await failure((done) => volume.update({ pending: logName(2, 8) }, done))
    expect(codeOf(error)).toBe('CACHE_STORE_ORDER')
    await settled((done) => volume.update({ pending: null }, done))
    expect(logOf(volume).pending).toBeNull()
  })

  test('waits for the append in flight, and the next append for it', async () => {
    const { volume, owner, storage } = await freshLog()
    await append(volume, owner.make(512))
    await settled((done) => volume.update({ pending: logName(2, 2) }, done))
    storage.holdWrites = true
    const order: string[] = []
    const appended = append(volume, owner.make(512)).then(() => order.push('append'))
    const promoted = settled((done) => volume.promote(logName(2).logUuid, done)).then(() => order.push('promote'))
    expect(storage.held).toHaveLength(1)
    storage.completeAll()
    await Promise.all([appended, promoted])
    expect(order).toEqual(['append', 'promote'])
    expect(logOf(volume).lastBatchSeq).toBe(1)
  })
})

describe('learning', () => {
  test('discards the log, keeps promise and key, begins where it is told', async () => {
    const { volume, owner, storage } = await freshLog()
    for (let count = 0; count < 5; count++) await append(volume, owner.make(8192))
    const begin = { batchSeq: 40, seq: 100, previousHash: 77n }
    await learn(volume, { lineage: [logName(1), logName(3, 30)], begin, epoch: 3, run: 2 })
    expect(volume.state).toEqual({
      promise: 3,
      epoch: 3,
      run: 2,
      log: {
        lineage: [logName(3, 30)],
        pending: null,
        tail: begin,
        lastBatchSeq: 39,
        lastSeq: 99,
        lastHash: 77n,
        ackedSeq: 0,
        storedBytes: 0,
      },
    })
    expect(volume.account.used).toBe(0)
    const learner = new TestOwner(begin)
    learner.name = logName(3)
    await append(volume, learner.make(512))
    const again = await reopened(storage)
    expect(again.volume.state).toEqual(volume.state)
    expect(again.volume.volumeKey).toEqual(volume.volumeKey)
  })

  test('is refused to an older engine and with a lineage that cannot be', async () => {
    const { volume } = await freshLog()
    await settled((done) => volume.update({ epoch: 5, run: 3 }, done))
    await expect(learn(volume, { epoch: 4 })).rejects.toMatchObject({ code: 'CACHE_STORE_ORDER' })
    const begin = { batchSeq: 4, seq: 4, previousHash: 0n }
    for (const lineage of [[], [logName(1, 5)], [logName(1, 3), logName(2, 3)]]) {
      await expect(learn(volume, { epoch: 5, run: 3, lineage, begin })).rejects.toMatchObject({
        code: 'CACHE_STORE_ORDER',
      })
    }
    expect(logOf(volume).tail.batchSeq).toBe(1)
    expect(volume.logBytesReserved).toBe(8 * BLOCK)
  })
})

describe('removal', () => {
  test('frees everything, and the same volume comes back as another member', async () => {
    const { volume, owner, storage, store } = await freshLog()
    const { capacityBytes, incarnation } = store
    await append(volume, owner.make(512))
    expect(volume.incarnation).toBe(1)
    await settled((done) => volume.discard(done))
    expect(store.freeBytes).toBe(capacityBytes)
    expect(store.find(VOLUME_UUID)).toBeNull()
    expect(codeOf(await failure((done) => volume.update({ promise: 9 }, done)))).toBe('CACHE_STORE_NOT_HELD')
    const again = await openStore(storage.reborn())
    expect(again.store.volumes()).toEqual([])
    expect(again.store.incarnation).toBe(incarnation + 1)
    const created = await createVolume(again.store)
    expect(created.incarnation).toBe(2)
    expect(created.state).toEqual({ promise: 0, epoch: 0, run: 0, log: null })
  })
})

describe('a write that fails', () => {
  test('in an append: the log is lost until the next start, what is held can be read', async () => {
    const { volume, owner, storage, log } = await freshLog()
    await append(volume, owner.make(512))
    storage.failNextWrite = true
    const error = await failure((done) => volume.append(bodyOf(owner.make(512)), done))
    expect(error.message).toBe('write failed')
    expect(volume.state.log).toBeNull()
    expect(volume.lossReason).toContain('write failed')
    expect(volume.failure).toBe(error)
    expect(log.named('replica.store.write_failed')).toHaveLength(1)
    expect(await failure((done) => volume.update({ promise: 9 }, done))).toBe(error)
    expect((await readBatch(volume, 1)).equals(owner.made.get(1)?.bytes ?? Buffer.alloc(0))).toBe(true)
    expect(logOf((await reopened(storage)).volume).lastBatchSeq).toBe(1)
  })

  test('in a slot: both what it was and what it should be may be found; everything that waits fails', async () => {
    const { volume, owner, storage } = await freshLog()
    await append(volume, owner.make(512))
    storage.holdWrites = true
    const errors = [
      failure((done) => volume.trim(1, done)),
      failure((done) => volume.learn({ ...LEARN, epoch: 2 }, done)),
      failure((done) => volume.append(bodyOf(owner.make(512)), done)),
    ]
    storage.failNextWrite = true
    storage.completeAll()
    expect((await Promise.all(errors)).map((error) => error.message)).toEqual(Array(3).fill('write failed'))
    expect(volume.state.log).toBeNull()
    const again = await reopened(storage)
    expect(logOf(again.volume)).toMatchObject({ tail: { batchSeq: 2 }, lastBatchSeq: 1 })
    expect(again.volume.state.epoch).toBe(1)
  })
})

const LEARN = {
  lineage: [logName(1)],
  begin: { batchSeq: 1, seq: 1, previousHash: 0n },
  logBytes: 8 * BLOCK,
  epoch: 1,
  run: 1,
}

describe('closing', () => {
  test('waits for orders in flight and takes no more', async () => {
    const { volume, owner, storage, store } = await freshLog()
    storage.holdWrites = true
    const appended = append(volume, owner.make(512))
    const closed = store.close()
    expect(storage.closed).toBe(false)
    expect(codeOf(await failure((done) => volume.update({ promise: 9 }, done)))).toBe('CACHE_STORE_CLOSED')
    await expect(createVolume(store, '2'.repeat(32))).rejects.toMatchObject({ code: 'CACHE_STORE_CLOSED' })
    storage.completeAll()
    await appended
    await closed
    expect(storage.closed).toBe(true)
    expect(store).toBeInstanceOf(ReplicaStore)
  })
})
