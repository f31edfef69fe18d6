// Proves: an engine ends for a newer owner of its own volume, never for another volume of the same name.
import { whoIsMeant } from '../../../../csi-driver/engine-process/end-older.ts'

const SERVED = { volumeUuid: 'a'.repeat(32), epoch: 7 }

test.each([
  ['this', { ...SERVED, epoch: 8 }],
  ['not-older', SERVED],
  ['not-older', { ...SERVED, epoch: 6 }],
  ['other', { volumeUuid: 'b'.repeat(32), epoch: 1000 }],
  ['other', { volumeUuid: 'b'.repeat(32), epoch: 1 }],
] as const)('%s %o', (expected, asked) => {
  expect(whoIsMeant(SERVED, asked)).toBe(expected)
})
