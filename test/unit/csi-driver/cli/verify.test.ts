// Proves each finding of a cache that does not fit the register, and none where it fits. The checks of the journal are
// proven with the journal.
import { registerFindings } from '../../../../csi-driver/cli/verify.ts'
import type { Superblock } from '../../../../csi-driver/journal/journal.ts'
import type { RegisterRecord } from '../../../../csi-driver/register/record.ts'

const SUPERBLOCK = { volumeUuid: 'v', registerNonce: 'r', epoch: 3, storeUuid: 's', incarnation: 1 } as Superblock
const RECORD = {
  volumeUuid: 'v',
  registerNonce: 'r',
  epoch: 3,
  dirty: true,
  members: [{ node: 'n', storeUuid: 's', incarnation: 1 }],
} as unknown as RegisterRecord

test('a cache that fits', () => expect(registerFindings(SUPERBLOCK, RECORD)).toEqual([]))

test('a stale cache of a clean volume is no finding: nothing needs it', () => {
  expect(registerFindings(SUPERBLOCK, { ...RECORD, dirty: false, members: [] })).toEqual([])
})

test.each<[Partial<RegisterRecord>, string]>([
  [{ volumeUuid: 'x' }, 'cache is of another volume cache=v register=x'],
  [{ registerNonce: 'x' }, 'register was replaced cache=r register=x'],
  [{ epoch: 2 }, 'log is newer than the register log=3 register=2'],
  [{ members: [] }, 'cache is stale'],
  [{ members: [{ node: 'n', storeUuid: 's', incarnation: 2 }] }, 'cache is stale'],
])('%j', (change, expected) => {
  expect(registerFindings(SUPERBLOCK, { ...RECORD, ...change })).toEqual([expect.stringContaining(expected)])
})
