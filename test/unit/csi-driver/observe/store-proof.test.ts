// Proves: the proof of a store to an engine is what its description says, and holds for one key, volume and epoch.
import { createHmac } from 'node:crypto'
import { isStoreProof, storeProof } from '../../../../csi-driver/observe/store-proof.ts'

const KEY = Buffer.alloc(32, 3)
const UUID = 'a1'.repeat(16)

test('HMAC-SHA256 over the text, the identifier and the epoch', () => {
  const text = `forebay store to engine${UUID}12`
  expect(storeProof(KEY, UUID, 12)).toBe(createHmac('sha256', KEY).update(text).digest('hex'))
})

test.each([
  ['another key', Buffer.alloc(32, 4), UUID, 12],
  ['another volume', KEY, 'b1'.repeat(16), 12],
  ['another epoch', KEY, UUID, 13],
] as const)('%s', (_what, key, volumeUuid, epoch) => {
  expect(isStoreProof(storeProof(KEY, UUID, 12), KEY, UUID, 12)).toBe(true)
  expect(isStoreProof(storeProof(KEY, UUID, 12), key, volumeUuid, epoch)).toBe(false)
})

test('what is no proof at all', () => {
  for (const given of ['', 'ä'.repeat(64), '0'.repeat(63)]) expect(isStoreProof(given, KEY, UUID, 12)).toBe(false)
})
