// Proves, case by case: what a crash can leave behind the last batch ends the log there and never counts later; what a
// crash cannot leave makes the log lost, with a reason, never shorter; a damaged segment header alone costs nothing; and
// the one limit: damage of the newest batch looks like a write that was never complete.
import { STORED_BATCH_MAGIC } from '../../../../../csi-driver/replica/store/segment-format.ts'
import { slotPosition } from '../../../../../csi-driver/replica/store/store-geometry.ts'
import { decodeStoreSuperblock } from '../../../../../csi-driver/replica/store/store-superblock.ts'
import type { StoredVolume } from '../../../../../csi-driver/replica/store/stored-volume.ts'
import { decodeSlot, encodeSlot } from '../../../../../csi-driver/replica/store/volume-slot.ts'
import {
  append,
  BLOCK,
  bodyOf,
  bytesFor,
  createVolume,
  freshLog,
  learn,
  logName,
  logOf,
  openStore,
  readBatch,
  SEGMENT_BYTES,
  SEGMENTS_START,
  settled,
  SLOTS,
  TestOwner,
  type TestStorage,
  volumeIn,
} from './store-kit.ts'

async function reopened(storage: TestStorage) {
  const found = await openStore(storage.reborn(), { allowFormat: false })
  return { ...found, volume: volumeIn(found.store) }
}

function flip(storage: TestStorage, position: number): void {
  storage.bytes[position] = (storage.bytes[position] as number) ^ 0x10
}

/** Where the stored batches stand, by number; the newest of each. */
function placesOf(storage: TestStorage): Map<number, number> {
  const places = new Map<number, number>()
  for (let at = SEGMENTS_START; at < storage.bytes.length; at += BLOCK) {
    if (storage.bytes.readUInt32LE(at) === STORED_BATCH_MAGIC) places.set(storage.bytes.readUInt32LE(at + 24), at)
  }
  return places
}

function placeOf(storage: TestStorage, batchSeq: number): number {
  const place = placesOf(storage).get(batchSeq)
  if (place === undefined) throw new Error(`batch stands nowhere batchSeq=${batchSeq}`)
  return place
}

/** A log of `count` batches of three blocks: two in each segment. */
async function filled(count: number) {
  const found = await freshLog()
  for (let index = 0; index < count; index++) await append(found.volume, found.owner.make(8192))
  return found
}

const GEOMETRY = { capacityBytes: bytesFor(16), segmentBytes: SEGMENT_BYTES, slotCount: SLOTS }

function volumeStore(storage: TestStorage): string {
  return decodeStoreSuperblock(storage.bytes, 0)?.storeUuid ?? ''
}

async function expectLost(storage: TestStorage, words: string): Promise<StoredVolume> {
  const { volume, log } = await reopened(storage)
  expect(volume.state.log).toBeNull()
  expect(volume.lossReason).toContain(words)
  expect(log.named('replica.store.log_lost')).toHaveLength(1)
  expect(volume.state).toMatchObject({ promise: 1, epoch: 1, run: 1 })
  return volume
}

describe('what a crash leaves', () => {
  test('each single sector of the batch in flight, missing or alone', async () => {
    const base = await filled(1)
    // What stands there before differs from the batch everywhere, also where the batch is zero.
    base.storage.bytes.fill(0xee, placeOf(base.storage, 1) + 3 * BLOCK)
    const body = bodyOf(base.owner.make(8192))
    for (let chosen = 0; chosen < 24; chosen++) {
      for (const alone of [true, false]) {
        const { storage, volume } = await reopened(base.storage)
        storage.holdWrites = true
        volume.append({ ...body, buffer: Buffer.from(body.buffer) }, () => undefined)
        const after = await reopened(storage.crash((sector) => (sector === chosen) === alone))
        // The last sectors are padding, which nobody needs.
        const isWhole = !alone && chosen * 512 >= 64 + body.length
        expect(logOf(after.volume).lastBatchSeq).toBe(isWhole ? 2 : 1)
      }
    }
  })

  test('all sectors: the batch counts although nobody was told', async () => {
    const { storage, volume, owner } = await filled(1)
    storage.holdWrites = true
    volume.append(bodyOf(owner.make(8192)), () => undefined)
    const after = await reopened(storage.crash(() => true))
    expect(logOf(after.volume).lastBatchSeq).toBe(2)
  })

  test('a torn batch never counts later, whatever completes it', async () => {
    const first = await filled(1)
    const torn = bodyOf(first.owner.make(8192))
    first.storage.holdWrites = true
    first.volume.append({ ...torn, buffer: Buffer.from(torn.buffer) }, () => undefined)
    const [held] = first.storage.held
    const written = held?.data ?? Buffer.alloc(0)
    const at = held?.position ?? 0
    const second = await reopened(first.storage.crash((sector) => sector !== 5))
    // The next life writes batch 2 anew, and its write is torn so that the old one is whole again.
    written.copy(second.storage.bytes, at)
    const third = await reopened(second.storage)
    expect(logOf(third.volume).lastBatchSeq).toBe(1)
    first.owner.returnTo(1)
    await append(third.volume, first.owner.make(512, 1, 77))
    const last = await reopened(third.storage)
    expect(logOf(last.volume)).toMatchObject({ lastBatchSeq: 2, lastHash: first.owner.next.previousHash })
  })

  test('the header of a segment whose first batch never came', async () => {
    const { storage, volume, owner } = await filled(2)
    storage.holdWrites = true
    volume.append(bodyOf(owner.make(8192)), () => undefined)
    storage.complete()
    expect(storage.held).toHaveLength(1)
    const after = await reopened(storage.crash(() => false))
    expect(logOf(after.volume).lastBatchSeq).toBe(2)
    expect(after.volume.account.used).toBe(1)
  })

  test('a torn segment header', async () => {
    const { storage, volume, owner } = await filled(2)
    storage.holdWrites = true
    volume.append(bodyOf(owner.make(8192)), () => undefined)
    const after = await reopened(storage.crash((sector) => sector === 0))
    expect(logOf(after.volume).lastBatchSeq).toBe(2)
    owner.returnTo(2)
    await append(after.volume, owner.make(8192))
    expect(logOf((await reopened(after.storage)).volume).lastBatchSeq).toBe(3)
  })
})

describe('what a promotion dropped', () => {
  async function promoted() {
    const found = await filled(7)
    const { volume, owner } = found
    await settled((done) => volume.update({ pending: logName(2, 3) }, done))
    await settled((done) => volume.promote(logName(2).logUuid, done))
    owner.returnTo(2)
    owner.name = logName(2)
    return found
  }

  async function lastBatches(volume: StoredVolume, owner: TestOwner): Promise<boolean> {
    const { tail, lastBatchSeq } = logOf(volume)
    for (let batchSeq = tail.batchSeq; batchSeq <= lastBatchSeq; batchSeq++) {
      const bytes = owner.made.get(batchSeq)?.bytes ?? Buffer.alloc(0)
      if (!(await readBatch(volume, batchSeq)).equals(bytes)) return false
    }
    return true
  }

  test('stays away although it is whole on the disk', async () => {
    const { storage } = await promoted()
    const places = placesOf(storage)
    expect([...places.keys()].toSorted((left, right) => left - right)).toEqual([1, 2, 3, 4, 5, 6, 7])
    expect(logOf((await reopened(storage)).volume)).toMatchObject({ lastBatchSeq: 2, pending: null })
  })

  test('stays away behind new batches, over several starts', async () => {
    const { storage, owner } = await promoted()
    let current = storage
    for (let count = 0; count < 6; count++) {
      const { storage: next, volume } = await reopened(current)
      await append(volume, owner.make(count % 2 === 0 ? 512 : 8192, 1, 100 + count))
      current = next
      const again = await reopened(current)
      expect(logOf(again.volume).lastBatchSeq).toBe(3 + count)
      expect(await lastBatches(again.volume, owner)).toBe(true)
    }
  })

  test('leaves the log where it goes on, also when nothing before it is left', async () => {
    const { storage, volume, owner } = await filled(2)
    await settled((done) => volume.trim(2, done))
    await settled((done) => volume.update({ pending: logName(2, 3) }, done))
    await append(volume, owner.make(8192))
    await settled((done) => volume.promote(logName(2).logUuid, done))
    expect(logOf((await reopened(storage)).volume)).toEqual(logOf(volume))
    owner.returnTo(2)
    owner.name = logName(2)
    await append(volume, owner.make(512, 1, 50))
    expect(logOf((await reopened(storage)).volume)).toEqual(logOf(volume))
    await append(volume, owner.make(8192))
    expect(logOf((await reopened(storage)).volume)).toEqual(logOf(volume))
  })

  test('never stands in for a new batch that was damaged', async () => {
    const { storage, owner } = await promoted()
    const { storage: next, volume } = await reopened(storage)
    for (let count = 0; count < 3; count++) await append(volume, owner.make(8192, 1, 100 + count))
    await settled((done) => volume.update({ promise: 2 }, done))
    for (let at = SEGMENTS_START; at < next.bytes.length; at += BLOCK) {
      const damaged = next.reborn()
      damaged.bytes.fill(0, at, at + BLOCK)
      const after = await reopened(damaged)
      if (after.volume.state.log === null) continue
      expect(logOf(after.volume).lastBatchSeq).toBe(5)
      expect(after.volume.state).toEqual(volume.state)
    }
  })
})

describe('what a crash cannot leave', () => {
  test.each([
    ['the header of a batch', 0],
    ['the body of a batch', 5000],
  ])('%s in the middle of a segment', async (_, offset) => {
    const { storage } = await filled(6)
    flip(storage, placeOf(storage, 3) + offset)
    await expectLost(storage, 'batchSeq=3 proof=later')
  })

  test('a batch before the last one, in the last segment', async () => {
    const { storage } = await filled(2)
    flip(storage, placeOf(storage, 1))
    await expectLost(storage, 'batchSeq=1 proof=later=2')
  })

  test('a later batch in a segment that is damaged at its beginning', async () => {
    const { storage } = await filled(4)
    const start = placeOf(storage, 3) - BLOCK
    storage.bytes.fill(0x77, start, start + 2 * BLOCK)
    await expectLost(storage, 'batchSeq=3 proof=later=4')
  })

  test('another chain than the one that was complete', async () => {
    const { storage, volume } = await filled(3)
    await settled((done) => volume.update({ promise: 1, pending: logName(2, 4) }, done))
    for (const copy of [0, 1]) {
      const position = slotPosition(GEOMETRY, 0, copy)
      const place = { storeUuid: volumeStore(storage), copy }
      const slot = decodeSlot(storage.bytes, position, { ...place, index: 0 })
      if (slot?.kind !== 'volume' || slot.log === null) throw new Error('the slot has a log')
      encodeSlot(storage.bytes, position, { ...slot, log: { ...slot.log, headHash: 1n } }, place)
    }
    await expectLost(storage, 'case=other_branch')
    const { storage: next } = await reopened(storage)
    await expectLost(next, 'batchSeq=4 proof=head=5')
  })

  test('a whole segment, or the only batches behind it', async () => {
    const { storage } = await filled(6)
    const whole = storage.reborn()
    const start = placeOf(whole, 3) - BLOCK
    whole.bytes.fill(0xaa, start, start + SEGMENT_BYTES)
    await expectLost(whole, 'batchSeq=3 proof=later=5')
  })

  test('a batch that the slot has seen complete', async () => {
    const { storage, volume } = await filled(3)
    await settled((done) => volume.update({ promise: 1, run: 1, epoch: 1, pending: logName(2, 4) }, done))
    flip(storage, placeOf(storage, 3) + 100)
    await expectLost(storage, 'batchSeq=3 proof=head=4')
  })

  test('the first batch behind a trim', async () => {
    const { storage, volume } = await filled(4)
    await settled((done) => volume.trim(3, done))
    flip(storage, placeOf(storage, 4) + 100)
    await expectLost(storage, 'batchSeq=4 proof=head=5')
  })

  test('a segment that cannot be read', async () => {
    const { storage } = await filled(6)
    const at = placeOf(storage, 3)
    const found = storage.reborn()
    found.failReads = (position, length) =>
      position > 0 && position <= at && at < position + length && length > 2 * BLOCK
    const { store } = await openStore(found)
    expect(volumeIn(store).lossReason).toContain('EIO')
  })

  test('a segment of which nothing can be read, whoever it belongs to', async () => {
    const { storage, volume } = await filled(4)
    const start = placeOf(storage, 3) - BLOCK
    const found = storage.reborn()
    found.failReads = (position) => position >= start && position < start + SEGMENT_BYTES
    const { store } = await openStore(found)
    expect(volumeIn(store).lossReason).toContain('unreadableSegment=1')
    const second = await createVolume(store, '2'.repeat(32), 'other')
    await learn(second, { logBytes: 8 * BLOCK })
    const other = new TestOwner()
    other.volumeUuid = '2'.repeat(32)
    for (let count = 0; count < 6; count++) await append(second, other.make(8192))
    // The disk comes back, and with it the log.
    found.failReads = () => false
    expect((await reopened(found)).volume.state).toEqual(volume.state)
  })

  test('a bad sector in the header of a segment hides nothing', async () => {
    const { storage } = await filled(4)
    const header = placeOf(storage, 3) - BLOCK
    const found = storage.reborn()
    found.failReads = (position, length) => position > 0 && position <= header && header < position + length
    const { store } = await openStore(found)
    expect(volumeIn(store).lossReason).toContain('batchSeq=3 proof=later=4')
  })

  test('stays lost when what proved it is gone', async () => {
    const { storage } = await filled(4)
    const start = placeOf(storage, 3) - BLOCK
    storage.bytes.fill(0x77, start, start + 2 * BLOCK)
    const { storage: next, volume } = await reopened(storage)
    expect(volume.account.used).toBe(2)
    next.bytes.fill(0, start, start + SEGMENT_BYTES)
    expect((await reopened(next)).volume.lossReason).toContain('batchSeq=3 proof=head=4')
  })

  test('is still lost after orders that keep it, and over by LEARN', async () => {
    const { storage } = await filled(6)
    flip(storage, placeOf(storage, 3))
    const { storage: next, volume, store } = await reopened(storage)
    expect(volume.account.used).toBe(3)
    const { freeBytes } = store
    await settled((done) => volume.update({ promise: 8, epoch: 2, run: 1 }, done))
    const again = await reopened(next)
    expect(again.volume.state).toEqual({ promise: 8, epoch: 2, run: 1, log: null })
    expect(again.store.freeBytes).toBe(freeBytes)
    await learn(again.volume, { epoch: 2 })
    expect(again.volume.lossReason).toBeNull()
    expect(again.volume.account.used).toBe(0)
    expect(logOf((await reopened(again.storage)).volume).lastBatchSeq).toBe(0)
  })
})

describe('what costs nothing', () => {
  test('a damaged segment header: its first batch says whose it is', async () => {
    const { storage, volume } = await filled(6)
    for (const batchSeq of [1, 3, 5]) {
      const damaged = storage.reborn()
      damaged.bytes.fill(0x55, placeOf(storage, batchSeq) - BLOCK, placeOf(storage, batchSeq))
      expect((await reopened(damaged)).volume.state).toEqual(volume.state)
    }
  })

  test('older batches in a segment that is used again', async () => {
    const { volume, owner, storage } = await freshLog(4)
    for (let round = 0; round < 20; round++) {
      await append(volume, owner.make(round % 3 === 0 ? 512 : 8192))
      if (round > 2) await settled((done) => volume.trim(round - 2, done))
      const after = await reopened(storage)
      expect(after.volume.state).toEqual(volume.state)
    }
  })
})

test('the limit: a damaged newest batch looks torn while nothing else speaks of it', async () => {
  const { storage } = await filled(3)
  flip(storage, placeOf(storage, 3) + 100)
  expect(logOf((await reopened(storage)).volume).lastBatchSeq).toBe(2)
})

test('reads only what is not trimmed, once', async () => {
  const { storage, volume } = await filled(10)
  const whole = await reopened(storage)
  await settled((done) => volume.trim(9, done))
  const little = await reopened(storage)
  expect(whole.storage.readBytes - little.storage.readBytes).toBeGreaterThan(4 * SEGMENT_BYTES)
})
