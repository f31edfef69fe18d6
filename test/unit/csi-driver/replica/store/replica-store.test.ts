// Proves: what a store has answered is there after a restart, byte for byte: volumes, promises, logs, names, trims; what
// stands on a foreign or lost storage is refused or made new, never taken over.
import { append, bytesFor, freshLog, logOf, openStore, readBatch, settled, volumeIn } from './store-kit.ts'

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
  expect(bytesFor(16)).toBe(storage.sizeBytes)
})
