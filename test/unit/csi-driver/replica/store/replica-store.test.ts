// Proves: what a store has answered is there after a restart, byte for byte; what stands on a foreign, lost or smaller
// storage is refused or made new, never taken over; copies of superblocks and slots stand in for damaged ones, and a
// volume of which neither copy is left never comes back as the member that it was.
import { segmentsStart, slotPosition } from '../../../../../csi-driver/replica/store/store-geometry.ts'
import { STORE_SUPERBLOCK_POSITIONS } from '../../../../../csi-driver/replica/store/store-superblock.ts'
import {
  append,
  BLOCK,
  bytesFor,
  createVolume,
  freshLog,
  learn,
  logOf,
  openStore,
  readBatch,
  SEGMENT_BYTES,
  SEGMENTS_START,
  settled,
  SLOTS,
  TestOwner,
  TestStorage,
  VOLUME_UUID,
  volumeIn,
} from './store-kit.ts'

const OTHER_UUID = '2'.repeat(32)
const GEOMETRY = { capacityBytes: bytesFor(16), segmentBytes: SEGMENT_BYTES, slotCount: SLOTS }

test('the kit knows the geometry', () => {
  expect(segmentsStart(GEOMETRY)).toBe(SEGMENTS_START)
})

test('a log is found again after a restart, batch by batch', async () => {
  const { storage, volume, owner, store } = await freshLog()
  for (let count = 0; count < 12; count++) await append(volume, owner.make(count % 3 === 0 ? 8192 : 512))
  const before = volume.state
  expect(logOf(volume)).toMatchObject({ lastBatchSeq: 12, lastSeq: 12, lastHash: owner.next.previousHash })
  const { storeUuid, freeBytes } = store
  const again = await openStore(storage.reborn())
  const found = volumeIn(again.store)
  expect(found.state).toEqual(before)
  expect(again.store.storeUuid).toBe(storeUuid)
  expect(again.store.freeBytes).toBe(freeBytes)
  for (let batchSeq = 1; batchSeq <= 12; batchSeq++) {
    expect((await readBatch(found, batchSeq)).equals(owner.made.get(batchSeq)?.bytes ?? Buffer.alloc(0))).toBe(true)
  }
  await settled((done) => found.trim(7, done))
  await append(found, owner.make(512))
  const last = volumeIn((await openStore(again.storage.reborn())).store)
  expect(last.state).toEqual(found.state)
  expect(logOf(last)).toMatchObject({ lastBatchSeq: 13, tail: { batchSeq: 8 } })
})

test('who brought a volume is known after a restart', async () => {
  const { storage, store } = await openStore(new TestStorage(bytesFor(4)))
  const made = { volume: 'data', volumeUuid: VOLUME_UUID, volumeKey: Buffer.alloc(32), createdBy: 'node-a' }
  await settled((done) => store.create(made, done))
  expect(volumeIn((await openStore(storage.reborn())).store).createdBy).toBe('node-a')
})

test('a log that cannot be brought up is a lost one, and the other volumes are there', async () => {
  // Past what the wire lets through: the number of the next batch is no number of the format any more.
  const { storage, store } = await openStore(new TestStorage(bytesFor(16)))
  const begin = { batchSeq: Number.MAX_SAFE_INTEGER, seq: 1, previousHash: 0n }
  const volume = await createVolume(store)
  await learn(volume, { begin })
  await append(volume, new TestOwner(begin).make(512, 1, 1))
  await learn(await createVolume(store, OTHER_UUID, 'other'))
  const again = await openStore(storage.reborn())
  expect(volumeIn(again.store).state.log).toBeNull()
  expect(volumeIn(again.store).lossReason).toContain('the log cannot be brought up')
  expect(again.log.named('replica.store.log_lost')).toHaveLength(1)
  expect(logOf(volumeIn(again.store, OTHER_UUID))).toMatchObject({ lastBatchSeq: 0 })
  await learn(volumeIn(again.store))
  await append(volumeIn(again.store), new TestOwner().make(512))
  expect(logOf(volumeIn((await openStore(again.storage.reborn())).store))).toMatchObject({ lastBatchSeq: 1 })
})

describe('a storage', () => {
  test('that is empty becomes a store only where that is allowed', async () => {
    const storage = new TestStorage(bytesFor(4))
    const refused = { kind: 'invalid', code: 'CACHE_STORE_REFUSED' }
    await expect(openStore(storage, { allowFormat: false })).rejects.toMatchObject(refused)
    expect(storage.bytes.every((byte) => byte === 0)).toBe(true)
    const { store, log } = await openStore(storage)
    expect(store).toMatchObject({ incarnation: 1, resource: 'flash', capacityBytes: 4 * SEGMENT_BYTES })
    expect(store.freeBytes).toBe(store.capacityBytes)
    expect(log.named('replica.store.made')).toHaveLength(1)
    const again = await openStore(storage, { allowFormat: false })
    expect(again.store.storeUuid).toBe(store.storeUuid)
    expect(again.log.named('replica.store.made')).toEqual([])
  })

  test.each([
    ['at its start', 1080],
    ['far in', 65_600],
    ['at its end', bytesFor(4) - 100],
  ])('with foreign data %s is refused and not touched', async (_, at) => {
    const storage = new TestStorage(bytesFor(4))
    storage.bytes[at] = 0x53
    const before = Buffer.from(storage.bytes)
    await expect(openStore(storage)).rejects.toMatchObject({ code: 'CACHE_STORE_REFUSED' })
    expect(storage.bytes.equals(before)).toBe(true)
  })

  test('of another resource, or smaller than the store, is refused', async () => {
    const storage = new TestStorage(bytesFor(4))
    await openStore(storage)
    await expect(openStore(storage, { resource: 'memory' })).rejects.toThrow('made for flash')
    const cut = new TestStorage(storage.bytes.subarray(0, bytesFor(3)))
    await expect(openStore(cut)).rejects.toThrow('longer than its storage')
  })

  test('that is too small for a store is refused', async () => {
    await expect(openStore(new TestStorage(SEGMENTS_START))).rejects.toThrow('no store can be made')
    await expect(openStore(new TestStorage(BLOCK))).rejects.toThrow('no store can be made')
    const options = { sizeBytes: bytesFor(5) }
    await expect(openStore(new TestStorage(bytesFor(4)), options)).rejects.toThrow('storage is smaller')
  })

  test('that grew: the store grows to what it is given, and never shrinks', async () => {
    const { storage, volume, owner } = await freshLog(8)
    await append(volume, owner.make(512))
    const larger = new TestStorage(Buffer.concat([storage.bytes, Buffer.alloc(8 * SEGMENT_BYTES, 0xab)]))
    const kept = await openStore(larger, { sizeBytes: bytesFor(4) })
    expect(kept.store.capacityBytes).toBe(8 * SEGMENT_BYTES)
    const { store } = await openStore(larger, { sizeBytes: bytesFor(12) })
    expect(store.capacityBytes).toBe(12 * SEGMENT_BYTES)
    expect(logOf(volumeIn(store)).lastBatchSeq).toBe(1)
    await learn(volumeIn(store), { logBytes: 24 * BLOCK, epoch: 1, run: 1 })
    const again = new TestOwner()
    for (let count = 0; count < 16; count++) await append(volumeIn(store), again.make(8192))
    expect(logOf(volumeIn((await openStore(larger.reborn())).store)).lastBatchSeq).toBe(16)
  })
})

describe('superblocks', () => {
  test('any copy is enough', async () => {
    const { storage, volume, store } = await freshLog()
    for (const kept of STORE_SUPERBLOCK_POSITIONS) {
      const damaged = storage.reborn()
      for (const position of STORE_SUPERBLOCK_POSITIONS)
        if (position !== kept) damaged.bytes.fill(0x11, position, position + 64)
      const again = await openStore(damaged, { allowFormat: false })
      expect(again.store.storeUuid).toBe(store.storeUuid)
      expect(volumeIn(again.store).state).toEqual(volume.state)
    }
  })

  test('without any, the store is a new one, where that is allowed', async () => {
    const { storage, store } = await freshLog()
    for (const position of STORE_SUPERBLOCK_POSITIONS) storage.bytes.fill(0x11, position + 16, position + 32)
    await expect(openStore(storage, { allowFormat: false })).rejects.toThrow('no superblock')
    const again = await openStore(storage)
    expect(again.store.storeUuid).not.toBe(store.storeUuid)
    expect(again.store.volumes()).toEqual([])
    expect((await openStore(storage.reborn())).store.volumes()).toEqual([])
  })
})

describe('slots', () => {
  function damageSlot(storage: TestStorage, copy: number): void {
    const position = slotPosition(GEOMETRY, 0, copy)
    storage.bytes.fill(0x22, position + 100, position + 110)
  }

  test.each([0, 1])('copy %i may be damaged, and is made good again', async (copy) => {
    const { storage, volume, owner } = await freshLog()
    await append(volume, owner.make(512))
    await settled((done) => volume.update({ promise: 9 }, done))
    damageSlot(storage, copy)
    const again = await openStore(storage.reborn())
    expect(volumeIn(again.store).state).toEqual(volume.state)
    damageSlot(again.storage, 1 - copy)
    expect(volumeIn((await openStore(again.storage.reborn())).store).state).toEqual(volume.state)
  })

  test.each([0, 1])('copy %i may be damaged and the start that makes it good cut short', async (copy) => {
    const { storage, volume } = await freshLog()
    await settled((done) => volume.update({ promise: 9 }, done))
    damageSlot(storage, copy)
    const found = storage.reborn()
    const begun = new Promise<void>((resolve) => (found.onWrite = () => resolve()))
    found.holdWrites = true
    await Promise.race([openStore(found), begun])
    const position = found.held[0]?.position ?? 0
    expect(position).toBe(slotPosition(GEOMETRY, 0, copy))
    // A write that was torn within a sector, which the power supply of some disks allows.
    found.bytes.fill(0x33, position, position + 100)
    const again = await openStore(found.crash(() => false))
    expect(volumeIn(again.store).state).toEqual(volume.state)
  })

  test.each([0, 1])('copy %i may be unreadable', async (copy) => {
    const { storage, volume } = await freshLog()
    const bad = slotPosition(GEOMETRY, 0, copy)
    const found = storage.reborn()
    found.failReads = (position, length) => position <= bad && bad < position + length
    const position = STORE_SUPERBLOCK_POSITIONS.every((each) => each < bad)
    expect(position).toBe(true)
    // The probe reads the head in one piece, which holds the slots too in a store as small as this one.
    found.failReads = (at, length) => at <= bad && bad < at + length && length <= SLOTS * BLOCK
    expect(volumeIn((await openStore(found)).store).state).toEqual(volume.state)
  })

  test('that cannot be read at all are no reason to give a volume up', async () => {
    const { storage } = await freshLog()
    const found = storage.reborn()
    found.failReads = (position, length) => position >= 65_536 && length <= SLOTS * BLOCK
    await expect(openStore(found)).rejects.toMatchObject({ code: 'EIO' })
    expect(found.bytes.equals(storage.bytes)).toBe(true)
  })

  test('both damaged: the volume is gone, and is another member when it comes back', async () => {
    const { storage, volume, owner } = await freshLog()
    await append(volume, owner.make(512))
    damageSlot(storage, 0)
    damageSlot(storage, 1)
    const { store, log, storage: next } = await openStore(storage.reborn())
    expect(store.volumes()).toEqual([])
    expect(log.named('replica.store.slot_lost')).toHaveLength(1)
    expect(store.freeBytes).toBe(store.capacityBytes)
    const created = await createVolume(store)
    expect([created.slotIndex, created.incarnation]).toEqual([1, 2])
    const again = await openStore(next.reborn())
    expect(again.log.named('replica.store.slot_lost')).toEqual([])
    expect(volumeIn(again.store).incarnation).toBe(2)
    expect(again.store.incarnation).toBe(2)
  })

  test.each([
    ['nothing', (sector: number) => sector > 0, 0],
    ['a volume without a log', () => true, 1],
  ])('a first writing that a crash cut short leaves %s', async (_, keeps, volumes) => {
    const { storage, store } = await openStore(new TestStorage(bytesFor(4)))
    storage.holdWrites = true
    store.create(
      { volume: 'data', volumeUuid: VOLUME_UUID, volumeKey: Buffer.alloc(32), createdBy: 'node-a' },
      () => undefined,
    )
    const again = await openStore(storage.crash(keeps))
    expect(again.store.volumes()).toHaveLength(volumes)
    expect(again.store.incarnation).toBe(1)
    expect((await createVolume(again.store, OTHER_UUID, 'other')).slotIndex).toBe(volumes)
  })

  test('a slot whose writing failed is left alone until the next start', async () => {
    const { storage, store } = await openStore(new TestStorage(bytesFor(4)))
    storage.failNextWrite = true
    await expect(createVolume(store)).rejects.toMatchObject({ code: 'EIO' })
    expect((await createVolume(store)).slotIndex).toBe(1)
    await expect(createVolume(store, '2'.repeat(32), 'no good name')).rejects.toMatchObject({
      code: 'CACHE_STORE_ORDER',
    })
  })
})
