// Proves: the description of a running store says what its volumes hold and what that takes, in order, without the key.
import { describeStore } from '../../../../../csi-driver/replica/store/describe-store.ts'
import { append, createVolume, freshLog, logName, SEGMENT_BYTES, settled, VOLUME_UUID } from './store-kit.ts'

test('a store with a log, and a volume without', async () => {
  const { store, volume, owner } = await freshLog()
  for (let count = 0; count < 5; count++) {
    owner.ackedSeq = 2 * count
    await append(volume, owner.make(8192, 2))
  }
  await settled((done) => volume.trim(1, done))
  await settled((done) => volume.update({ pending: logName(2, 6) }, done))
  await createVolume(store, '2'.repeat(32), 'aside')
  const description = describeStore(store)
  const { storeUuid, capacityBytes, freeBytes } = store
  expect(description).toEqual({
    storeUuid,
    incarnation: 1,
    resource: 'flash',
    capacityBytes,
    freeBytes,
    segmentBytes: SEGMENT_BYTES,
    volumes: [
      {
        volume: 'aside',
        volumeUuid: '2'.repeat(32),
        incarnation: 1,
        promise: 0,
        epoch: 0,
        run: 0,
        log: null,
        lossReason: null,
        usedBytes: 0,
        reservedBytes: 0,
      },
      {
        volume: 'data',
        volumeUuid: VOLUME_UUID,
        incarnation: 1,
        promise: 1,
        epoch: 1,
        run: 1,
        log: {
          logUuid: logName(1).logUuid,
          names: [logName(1).logUuid],
          pendingLogUuid: logName(2).logUuid,
          tailBatchSeq: 2,
          lastBatchSeq: 5,
          tailSeq: 3,
          lastSeq: 10,
          ackedSeq: 8,
          batches: 4,
          records: 8,
          storedBytes: 4 * 3 * 4096,
        },
        lossReason: null,
        usedBytes: 3 * SEGMENT_BYTES,
        reservedBytes: 4 * SEGMENT_BYTES,
      },
    ],
  })
  expect(JSON.stringify(description)).not.toContain('key')
})
