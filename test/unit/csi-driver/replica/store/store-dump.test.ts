// Proves: a dump says what stands on a storage without writing and without the volume's key: a store, a lost log, a slot
// that nobody can read, and that there is no store. The lines themselves are in test/golden/replica-store-v1.txt.
import { slotPosition } from '../../../../../csi-driver/replica/store/store-geometry.ts'
import { dumpStore } from '../../../../../csi-driver/replica/store/store-dump.ts'
import {
  append,
  bytesFor,
  createVolume,
  freshLog,
  heapMemory,
  SEGMENT_BYTES,
  SEGMENTS_START,
  SLOTS,
  TestStorage,
} from './store-kit.ts'

async function dumped(storage: TestStorage) {
  const lines: string[] = []
  const before = Buffer.from(storage.bytes)
  const probe = await dumpStore({ storage, memory: heapMemory, write: (line) => lines.push(line) })
  expect(storage.bytes.equals(before)).toBe(true)
  return { probe, text: lines.join('\n') }
}

test('a store', async () => {
  const { storage, volume, owner, store } = await freshLog()
  for (let count = 0; count < 3; count++) await append(volume, owner.make(8192))
  await createVolume(store, '2'.repeat(32), 'other')
  const { probe, text } = await dumped(storage.reborn())
  expect(probe.kind).toBe('store')
  expect(text).toContain('log of=data case=log_end lastBatchSeq=3')
  expect(text.match(/ {2}batch batchSeq=/g)).toHaveLength(3)
  expect(text).toContain('log none')
  expect(text).not.toContain('07070707')
})

test('a lost log and a slot that cannot be read', async () => {
  const { storage, volume, owner, store } = await freshLog()
  for (let count = 0; count < 3; count++) await append(volume, owner.make(8192))
  await createVolume(store, '2'.repeat(32), 'other')
  const damaged = storage.reborn()
  damaged.bytes.fill(1, SEGMENTS_START + 4096, SEGMENTS_START + 4200)
  const geometry = { capacityBytes: bytesFor(16), segmentBytes: SEGMENT_BYTES, slotCount: SLOTS }
  for (const copy of [0, 1])
    damaged.bytes.fill(1, slotPosition(geometry, 1, copy), slotPosition(geometry, 1, copy) + 50)
  const { text } = await dumped(damaged)
  expect(text).toContain('log of=data LOST case=missing')
  expect(text).toContain('slot index=1 state=damaged')
})

test.each([
  ['empty', 0],
  ['foreign', 1],
])('what is %s', async (kind, value) => {
  const { probe, text } = await dumped(new TestStorage(Buffer.alloc(bytesFor(4), value)))
  expect([probe.kind, text]).toEqual([kind, ''])
})
