// The values behind the golden record of the replica store, version 1: fixed inputs from which today's code must make
// the recorded bytes again. A new format version gets a new sample and new files; this one is never edited.
import { SILENT_LOG } from '../../base/log.ts'
import { ReplicaStore } from '../../csi-driver/replica/store/replica-store.ts'
import {
  append,
  BLOCK,
  bodyOf,
  bytesFor,
  createVolume,
  heapMemory,
  learn,
  logName,
  SEGMENT_BYTES,
  settled,
  SLOTS,
  TestOwner,
  TestStorage,
} from '../unit/csi-driver/replica/store/store-kit.ts'

const DATABASE = '00112233445566778899aabbccddeeff'
const MAIL = 'ffeeddccbbaa99887766554433221100'

/**
 * A store with two volumes: one whose log was trimmed, promoted and has a torn newest batch, one that waits for its first
 * batch with a pending name; a third one was removed.
 */
export async function sampleStore(): Promise<TestStorage> {
  const storage = new TestStorage(bytesFor(12))
  let wallMs = 1_700_000_000_000
  let drawn = 0
  const store = await ReplicaStore.open({
    storage,
    memory: heapMemory,
    clock: { monotonicMs: () => 0, bootMs: () => 0, wallMs: () => (wallMs += 1000) },
    random: { fill: (buffer) => void buffer.fill((drawn += 0x11)) },
    log: SILENT_LOG,
    resource: 'flash',
    sizeBytes: storage.sizeBytes,
    allowFormat: true,
    segmentBytes: SEGMENT_BYTES,
    slotCount: SLOTS,
  })
  const removed = await createVolume(store, 'a'.repeat(32), 'removed')
  await learn(removed)
  await settled((done) => removed.discard(done))
  const database = await createVolume(store, DATABASE, 'database')
  const mail = await createVolume(store, MAIL, 'mail')
  await learn(mail, { begin: { batchSeq: 7, seq: 70, previousHash: 0xfedc_ba98_7654_3210n }, logBytes: BLOCK })
  await settled((done) => mail.update({ promise: 3, pending: logName(3, 7) }, done))
  await learn(database)
  const owner = new TestOwner()
  owner.volumeUuid = DATABASE
  for (let count = 0; count < 5; count++) {
    owner.ackedSeq = count
    await append(database, owner.make(count % 2 === 0 ? 8192 : 512, 2))
  }
  await settled((done) => database.trim(1, done))
  await settled((done) => database.update({ promise: 2, epoch: 2, run: 1, pending: logName(2, 5) }, done))
  await settled((done) => database.promote(logName(2).logUuid, done))
  owner.returnTo(4)
  Object.assign(owner, { name: logName(2), epoch: 2, ackedSeq: 8 })
  await append(database, owner.make(4096))
  await append(database, owner.make(0, 3))
  storage.holdWrites = true
  database.append(bodyOf(owner.make(8192)), () => undefined)
  return storage.crash((sector) => sector < 9)
}
