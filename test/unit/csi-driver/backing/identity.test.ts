// Proves: each kind of difference between the device that is there and the one of the volume is told apart.
import { compareIdentity } from '../../../../csi-driver/backing/identity.ts'
import type { BackingIdentity } from '../../../../csi-driver/io/backing-identity.ts'

const stored: BackingIdentity = { kind: 'block', id: 'wwid:naa.1', sizeBytes: 8192 }

test.each([
  ['same', {}],
  ['grown', { sizeBytes: 12_288 }],
  ['shrunk', { sizeBytes: 4096 }],
  ['other', { id: 'wwid:naa.2' }],
  ['other', { kind: 'file' }],
  ['other', { id: 'wwid:naa.2', sizeBytes: 12_288 }],
] as const)('%s', (comparison, change) => {
  expect(compareIdentity(stored, { ...stored, ...change })).toBe(comparison)
})
