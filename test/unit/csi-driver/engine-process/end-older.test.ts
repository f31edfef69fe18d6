// Proves: an engine ends for a newer owner of its own volume, never for another volume of the same name, nor for one that
// somebody without the volume key has made with the same identifier.
import { whoIsMeant } from '../../../../csi-driver/engine-process/end-older.ts'
import { storeProof } from '../../../../csi-driver/observe/store-proof.ts'

const UUID = 'a'.repeat(32)
const OTHER = 'b'.repeat(32)
const KEY = Buffer.alloc(32, 7)
const SERVED = { volumeUuid: UUID, volumeKey: KEY, epoch: 7 }

test.each([
  ['this', UUID, KEY, 8],
  ['not-older', UUID, KEY, 7],
  ['not-older', UUID, KEY, 6],
  ['other', OTHER, KEY, 1000],
  ['other', OTHER, KEY, 1],
  ['other', UUID, Buffer.alloc(32, 8), 1000],
] as const)('%s %s', (expected, volumeUuid, key, epoch) => {
  expect(whoIsMeant(SERVED, { volumeUuid, epoch, proof: storeProof(key, volumeUuid, epoch) })).toBe(expected)
})

test('a proof holds for one epoch', () => {
  expect(whoIsMeant(SERVED, { volumeUuid: UUID, epoch: 9, proof: storeProof(KEY, UUID, 8) })).toBe('other')
  expect(whoIsMeant(SERVED, { volumeUuid: UUID, epoch: 9, proof: '' })).toBe('other')
})
